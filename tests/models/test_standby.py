"""The VAE that an operator names is that of the library's checkpoints without one."""

from __future__ import annotations

from pathlib import Path

import pytest

from limner.domain.model import Card
from limner.engine.checkpoints import layouts
from limner.engine.checkpoints.layouts import EMBEDDED
from limner.errors import AmbiguousModel
from limner.models.listing import Library
from limner.usecases.drawing.choosing import Models
from tests.engine import checkpoint_files
from tests.models import chosen, files


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    shelf = chosen.write(tmp_path / "shelf")
    files.without_vae(shelf / "knight.safetensors", shelf / "bare.safetensors")
    files.without_vae(shelf / "knight.safetensors", shelf / "beside.safetensors")
    files.save_vae(shelf / "beside.vae.pt", checkpoint_files.models(seed=3)["vae"])
    return shelf


def own() -> Card | None:
    return None


@pytest.mark.parametrize("where", ["in the library", "beside it", "a folder", "a whole folder"])
def test_it_draws_with_what_has_none(tmp_path: Path, shelf: Path, where: str) -> None:
    elsewhere = files.save_vae(tmp_path / "s.safetensors", checkpoint_files.models(seed=9)["vae"])
    vae = {
        "in the library": shelf / "soft.safetensors",
        "beside it": elsewhere,
        "a folder": EMBEDDED / "vae",
        "a whole folder": EMBEDDED,
    }[where]
    library = Library(tmp_path / "data", [shelf], vae=vae)
    row = library.find("bare").as_dict()
    assert (row["usable"], "needs_vae" in row) == (True, False)
    assert row["notes"] == [
        f"VAE taken from {vae.name}, which the server names for checkpoints without one"
    ]
    if "folder" in where:
        return  # Squire's has another shape
    drawn = Models(own, library=library).choose("bare")
    assert drawn is not None
    assert (drawn.vae, drawn.vae_path) == (layouts.vae_sha256(vae), vae)
    assert library.file(drawn.vae) == vae, "an engine finds it"
    assert Models(own, library=library).recall(*drawn.pair) == drawn
    beside = Models(own, library=library).choose("beside")
    assert beside is not None
    assert beside.card.vae == "beside.vae.pt"
    named = Models(own, library=library).choose("bare", "soft")
    assert named is not None
    assert named.card.vae == "soft.safetensors"


@pytest.mark.parametrize("vae", [EMBEDDED / "vae", EMBEDDED])
def test_a_folders_sum_is_that_of_its_vae(tmp_path: Path, shelf: Path, vae: Path) -> None:
    library = Library(tmp_path / "data", [shelf], vae=vae)
    (entry,) = (e for e in library.entries() if e.file == vae and e.facts.kind == "vae")
    assert library.identify(entry) == layouts.vae_sha256(vae)
    (squire,) = (e for e in library.entries() if e.name == "squire")
    assert library.identify(squire) == layouts.read_layout(EMBEDDED).sha256
    again = Library(tmp_path / "data", [shelf], vae=vae)
    library.save()
    sums = {e.id: e.sha256 for e in again.entries() if e.file in (vae, EMBEDDED)}
    assert sums == {entry.id: layouts.vae_sha256(vae), squire.id: library.identify(squire)}


def test_one_that_cannot_be_used_changes_nothing(tmp_path: Path, shelf: Path) -> None:
    for vae in (tmp_path / "gone.safetensors", shelf / "fox.safetensors"):
        library = Library(None, [shelf], vae=vae)
        assert library.entries() == Library(None, [shelf]).entries()


def test_equal_files_are_one_where_a_vae_is_named_with_their_sum(
    tmp_path: Path, shelf: Path
) -> None:
    for name in ("one", "two"):
        files.save_vae(shelf / f"{name}.vae.pt", checkpoint_files.models(seed=len(name))["vae"])
        files.without_vae(shelf / "knight.safetensors", shelf / f"{name}.safetensors")
    files.save_vae(shelf / "two.vae.pt", checkpoint_files.models(seed=5)["vae"])
    models = Models(own, library=(library := Library(tmp_path / "data", [shelf])))
    sum = library.identify(library.find("one"))
    for entry in library.entries():
        library.identify(entry)
    with pytest.raises(AmbiguousModel, match=r"which may be .*one.*two"):
        models.choose(sum)
    for digits in (sum, sum[:10]):
        found = models.choose(digits, "soft")
        assert found is not None
        assert found.card.vae == "soft.safetensors"

"""The embedded model's LoRAs and the like in the library: listed, and behind the operator's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from limner.engine.checkpoints.layouts import SATCHEL
from limner.models import listing
from limner.models.entries import Entry
from limner.models.facts import EMBEDDING
from limner.models.listing import Library
from tests.models import files

MEGABYTES_MAX = 10


def test_what_ships_is_listed_as_built_in_and_can_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "SATCHEL", SATCHEL)
    shipped = {path.stem: path for path in SATCHEL.glob("*.safetensors")}
    listed = {e.name: e for e in Library().entries() if e.found.place.yields}
    assert listed.keys() == shipped.keys()
    for entry in listed.values():
        row = entry.as_dict()
        assert (row["library"], row["base"], row["usable"]) == ("built-in", "sd1", True)
        assert any("Squire" in note for note in row["notes"])
    assert sum(path.stat().st_size for path in shipped.values()) <= MEGABYTES_MAX * 1e6


def found(library: Library, name: str) -> Entry:
    return library.find(name, ("lora",), "loras")


def test_it_is_found_by_name(no_satchel: Path) -> None:
    files.lora(no_satchel / "night.safetensors", 128)
    library = Library()
    assert [entry.name for entry in library.entries()] == ["squire", "night"]
    for name in ("night", "night.safetensors", "built-in:night.safetensors"):
        assert found(library, name).file == no_satchel / "night.safetensors"


@pytest.mark.parametrize(
    ("inner", "left"),
    [
        ("night.safetensors", "built-in:night.safetensors"),
        ("styles/night.safetensors", "night.safetensors"),
    ],
)
def test_an_operators_file_of_its_name_goes_first(
    no_satchel: Path, tmp_path: Path, inner: str, left: str
) -> None:
    files.lora(no_satchel / "night.safetensors", 128)
    files.lora(tmp_path / "own" / inner)
    library = Library(named=[tmp_path / "own"])
    assert [e.name for e in library.entries()] == ["squire", left, "night"]
    assert found(library, "night").file == tmp_path / "own" / inner
    for entry in library.entries():
        assert library.find(entry.name) == entry


def test_controls_and_embeddings_of_the_embedded_model_are_listed_as_loras_are(
    no_satchel: Path,
) -> None:
    files.controlnet(no_satchel / "outline.safetensors")
    files.embedding(no_satchel / "bad.safetensors")
    for path in sorted(no_satchel.iterdir()):
        told = {"sd version": "SD1", "description": "For Squire alone."}
        files.note(path.with_suffix(".json"), told)
    library = Library()
    for name, kind, field in (("outline", "controlnet", "controls"), ("bad", EMBEDDING, "prompt")):
        row = library.find(name, (kind,), field).as_dict()
        assert (row["library"], row["base"], row["usable"]) == ("built-in", "sd1", True)
        assert any("For Squire alone." in note for note in row["notes"])

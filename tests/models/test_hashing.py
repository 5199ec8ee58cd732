"""SHA-256s: made once, of the bytes, known to the list when they are there, and found by."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest
import torch

from limner.engine.checkpoints import digests, importing, layouts
from limner.engine.checkpoints.layouts import EMBEDDED
from limner.errors import CheckpointError, InvalidInput
from limner.models.hashing import Hashing
from limner.models.listing import Library
from tests.engine import checkpoint_files
from tests.models import files
from tests.waiting import wait_until


@pytest.fixture(autouse=True)
def computed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """The names of the files that are read whole, as they are."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    names: list[str] = []
    plain = digests.compute

    def counted(path: Path) -> str:
        names.append(path.name)
        return plain(path)

    monkeypatch.setattr(digests, "compute", counted)
    return names


@pytest.fixture
def models(tmp_path: Path) -> Path:
    files.lora(tmp_path / "models" / "elk.safetensors", note="elk")
    files.lora(tmp_path / "models" / "fox.safetensors", note="fox")
    return tmp_path / "models"


def sums(library: Library) -> dict[str, str | None]:
    return {e.name: e.sha256 for e in library.entries() if e.found.place.label != "built-in"}


def plain_sum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_sum_is_that_of_the_bytes_and_made_once(
    tmp_path: Path, models: Path, computed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    library = Library(tmp_path / "data", [models])
    assert sums(library) == {"elk": None, "fox": None}
    fox = plain_sum(models / "fox.safetensors")
    assert library.identify(library.find("fox")) == fox
    assert sums(library) == {"elk": None, "fox": fox}
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another"))  # the index remembers it
    again = Library(tmp_path / "data", [models])
    assert again.identify(again.find("fox")) == fox
    assert computed == ["fox.safetensors"]
    assert next(e for e in again.entries() if e.name == "fox").as_dict()["sha256"] == fox


def test_a_changed_file_has_another_sum_and_a_sidecar_changes_none(
    tmp_path: Path, models: Path, computed: list[str]
) -> None:
    library = Library(tmp_path / "data", [models])
    fox = library.find("fox")
    first = library.identify(fox)
    files.note(models / "fox.json", {"activation text": "snow", "sha256": "0" * 64})
    assert sums(library)["fox"] == first
    files.lora(models / "fox.safetensors", note="another fox")
    assert sums(library)["fox"] is None
    second = library.identify(fox)  # as it is now, whatever the entry was made of
    assert second == plain_sum(models / "fox.safetensors") != first
    assert sums(library)["fox"] == second


def test_a_folder_is_summed_as_the_engine_does(tmp_path: Path) -> None:
    shutil.copytree(EMBEDDED, tmp_path / "models" / "folder")
    library = Library(None, [tmp_path / "models"])
    made = library.identify(library.find("folder"))
    assert made == layouts.read_layout(tmp_path / "models" / "folder").sha256
    (tmp_path / "models" / "folder" / "vae" / "config.json").write_text("{}")
    assert sums(library)["folder"] is None


def test_what_cannot_be_summed_says_why(
    models: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    library = Library(None, [models])
    fox, elk = library.find("fox"), library.find("elk")
    fox.file.unlink()
    with pytest.raises(CheckpointError, match=r"fox\.safetensors cannot be read: no such file"):
        library.identify(fox)

    def grows(path: Path) -> str:
        with path.open("ab") as file:
            file.write(b"more")
        return "0" * 64

    monkeypatch.setattr(digests, "compute", grows)
    with pytest.raises(CheckpointError, match=r"elk\.safetensors changed while it was read"):
        library.identify(elk)
    assert sums(library) == {"elk": None}


def test_a_model_is_found_by_its_sum(models: Path) -> None:
    library = Library(None, [models])
    fox = library.identify(library.find("fox"))
    for text in (fox, fox.upper(), fox[:10]):
        assert library.find(text).name == "fox"
    with pytest.raises(InvalidInput, match="not in the library"):
        library.find(fox[:11])
    with pytest.raises(InvalidInput, match="the SHA-256 of 2 of its 3 models is not known yet"):
        library.find("0" * 64)
    with pytest.raises(InvalidInput, match="vae is"):
        library.find(fox, {"vae"}, "vae")


def test_of_equal_files_the_first_is_found_unless_they_predict_otherwise(tmp_path: Path) -> None:
    whole = checkpoint_files.write_single_file(tmp_path / "w", checkpoint_files.models())
    for name in ("a", "b"):
        shutil.copyfile(whole, files.note(tmp_path / name, {}).with_suffix(".safetensors"))
    library = Library(None, [tmp_path])
    made = {library.identify(library.find(name)) for name in ("a", "b")}
    assert library.find(*made).name == "a"
    (tmp_path / "b.yaml").write_text("    parameterization: v\n")
    with pytest.raises(
        InvalidInput, match=r"may be .*a\.safetensors and .*b\.safetensors; equal files"
    ):
        library.find(*made)


def test_ten_digits_of_several_are_refused_with_both(models: Path) -> None:
    library = Library(None, [models])
    first = [e for e in library.entries() if e.name in ("elk", "fox")]
    index = library._index
    assert index is not None
    for number, entry in enumerate(first):
        index.sum(entry.file, lambda _, digit=str(number): "ab" * 5 + digit * 54)
    with pytest.raises(InvalidInput, match=r"models:elk\.safetensors and models:fox\.safetensors"):
        library.find("ab" * 5)
    assert library.find("ab" * 5 + "1" * 54).name == "fox"


def test_an_imported_model_is_found_by_its_source_and_no_stranger_is(tmp_path: Path) -> None:
    source = tmp_path / "old.ckpt"
    original = checkpoint_files.original(checkpoint_files.models(), torch.float16)
    torch.save({"state_dict": original}, source)
    importing.import_checkpoint(source, tmp_path / "data" / "models", name="new")
    files.lora(tmp_path / "models" / "liar.safetensors", source_sha256="1" * 64)
    library = Library(tmp_path / "data", [tmp_path / "models"])
    assert library.find(plain_sum(source)).name == "new"
    assert library.find(plain_sum(source)[:10]).as_dict()["source_sha256"] == plain_sum(source)
    with pytest.raises(InvalidInput, match="not in the library"):
        library.find("1" * 64)
    assert library.find("liar").as_dict()["source_sha256"] is None


def test_the_thread_sums_all_once_and_only_while_nothing_is_drawn(
    tmp_path: Path, models: Path, computed: list[str]
) -> None:
    (models / "page.safetensors").write_text("<html>")
    library = Library(tmp_path / "data", [models])
    asked: list[bool] = []

    def idle() -> bool:
        asked.append(len(asked) > 0)  # the first time something is drawn
        return asked[-1]

    hashing = Hashing(library, idle)
    hashing.start()
    wait_until(lambda: all(sums(library)[name] for name in ("elk", "fox")))
    hashing.close()
    assert asked[0] is False
    assert computed.count("elk.safetensors") == computed.count("fox.safetensors") == 1
    assert "page.safetensors" not in computed
    kept = json.loads((tmp_path / "data" / "library.json").read_text())["sha256"]
    assert kept[str(models / "fox.safetensors")][1] == plain_sum(models / "fox.safetensors")


def test_what_fails_is_left_alone_until_it_changes(
    models: Path, computed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []

    def fails(path: Path) -> str:
        tried.append(path.name)
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(digests, "compute", fails)
    hashing = Hashing(Library(None, [models]), lambda: True)
    for _ in range(2):
        hashing.round()
    assert tried.count("fox.safetensors") == 1
    files.lora(models / "fox.safetensors", note="another")
    hashing.round()
    assert tried.count("fox.safetensors") == 2

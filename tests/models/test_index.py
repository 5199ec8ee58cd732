"""No header is read twice: counted, not timed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from limner.models import facts, index
from limner.models.listing import Library
from tests.models import files

COUNT = 12


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files whose headers are read, as they are."""
    names: list[str] = []
    plain = facts.read_header

    def counted(path):
        names.append(path.name)
        return plain(path)

    monkeypatch.setattr(facts, "read_header", counted)
    return names


@pytest.fixture
def models(tmp_path: Path) -> Path:
    for number in range(COUNT):
        files.lora(tmp_path / "models" / f"fox-{number}.safetensors")
    return tmp_path / "models"


def test_a_header_is_read_once_however_often_is_asked(
    tmp_path: Path, models: Path, read: list[str]
) -> None:
    first = [entry.as_dict() for entry in Library(tmp_path / "data", [models]).entries()]
    assert len(read) == COUNT
    library = Library(tmp_path / "data", [models])
    for _ in range(2):
        assert [entry.as_dict() for entry in library.entries()] == first
    assert len(read) == COUNT


def test_what_changed_is_read_anew_and_nothing_else(
    tmp_path: Path, models: Path, read: list[str]
) -> None:
    library = Library(tmp_path / "data", [models])
    library.entries()
    read.clear()
    files.embedding(models / "fox-3.safetensors")
    os.utime(models / "fox-4.safetensors", (1, 1))
    files.note(models / "fox-5.json", {"activation text": "snow"})
    files.lora(models / "new.safetensors")
    (models / "fox-6.safetensors").unlink()
    rows = {entry.found.shown: entry.as_dict() for entry in library.entries()}
    assert sorted(read) == [*(f"fox-{n}.safetensors" for n in (3, 4, 5)), "new.safetensors"]
    assert rows["fox-3.safetensors"]["kind"] == "textual-inversion"
    assert rows["fox-5.safetensors"]["trigger_words"] == ["snow"]
    assert "fox-6.safetensors" not in rows
    kept = json.loads((tmp_path / "data" / "library.json").read_text())["files"]
    assert str(models / "fox-6.safetensors") not in kept


def test_a_list_of_other_folders_forgets_nothing(
    tmp_path: Path, models: Path, read: list[str]
) -> None:
    Library(tmp_path / "data", [models]).entries()
    Library(tmp_path / "data", [tmp_path / "data"]).entries()
    Library(tmp_path / "data", [models]).entries()
    assert len(read) == COUNT


@pytest.mark.parametrize("content", ["", "[]", "{", '{"format": "0"}', '{"files": 3}'])
def test_a_broken_or_older_index_is_made_anew(
    tmp_path: Path, models: Path, read: list[str], content: str
) -> None:
    file = tmp_path / "data" / "library.json"
    file.parent.mkdir()
    file.write_text(content)
    for _ in range(2):
        assert len(Library(tmp_path / "data", [models]).entries()) == COUNT + 1
    assert len(read) == COUNT


def test_what_could_not_be_read_is_tried_again(tmp_path: Path, read: list[str]) -> None:
    models = tmp_path / "models"
    models.mkdir()
    (models / "fox.safetensors").write_text("<html>")
    for _ in range(2):
        Library(tmp_path / "data", [models]).entries()
    assert len(read) == 2


def test_an_index_that_cannot_be_written_is_done_without(tmp_path: Path, models: Path) -> None:
    (tmp_path / "data").write_text("a file where the folder should be")
    assert len(Library(tmp_path / "data", [models]).entries()) == COUNT + 1
    assert index._read(tmp_path / "data" / "library.json") == ({}, {})


def test_a_list_is_kept_for_as_long_as_is_said(models: Path, read: list[str]) -> None:
    library = Library(None, [models], fresh_s=1000)
    first = library.entries()
    files.lora(models / "new.safetensors")
    assert library.entries() is first

"""Names: short where they are one file's alone, and refused with all paths where they are not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from limner.errors import InvalidInput
from limner.models.listing import Library
from tests.models import files


@pytest.fixture
def library(tmp_path: Path) -> Library:
    for inner in ("a/fox.safetensors", "b/fox.safetensors", "elk.safetensors"):
        files.lora(tmp_path / "one" / inner)
    for inner in ("a/fox.safetensors", "hands.safetensors"):
        files.embedding(tmp_path / "two" / inner)
    torch.save({"emb_params": torch.ones(2, 768)}, tmp_path / "two" / "hands.pt")
    return Library(named=[tmp_path / "one", tmp_path / "two"])


def test_every_listed_name_finds_its_own_file(library: Library) -> None:
    names = [entry.name for entry in library.entries()]
    assert names == [
        "squire", "elk", "one:a/fox.safetensors", "b/fox", "hands.pt", "hands",
        "two:a/fox.safetensors",
    ]  # fmt: skip
    for entry in library.entries():
        assert library.find(entry.name) == entry


def test_odd_names_are_listed_as_a_request_can_hold_them(tmp_path: Path) -> None:
    odd = ("elk ", "elk", " hero", "\thero\n", " ", "half\udcff", "half\udcfe", "half?",
           "é, ü: <x> [0123456789]", "0123456789", "a\u2028b")  # fmt: skip
    for stem in odd:
        files.lora(tmp_path / "shelf" / f"{stem}.safetensors")
    library = Library(named=[tmp_path / "shelf"])
    listed = [entry for entry in library.entries() if entry.found.place.label != "built-in"]
    assert {entry.file.stem for entry in listed} == set(odd)
    for entry in listed:
        held = json.loads(json.dumps(entry.as_dict(), ensure_ascii=False).encode())["name"]
        assert library.find(held.strip()).file == entry.file
    assert "hero" not in {entry.name for entry in listed}, "two have this name"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("fox", "model is 'fox', which may be one:a/fox.safetensors and one:b/fox.safetensors and "
         "two:a/fox.safetensors; name one of these"),
        ("a/fox", "may be one:a/fox.safetensors and two:a/fox.safetensors"),
        ("elq", "which is not in the library; did you mean 'elk'?"),
        ("zebra", "which is not in the library; GET /api/models"),
        ("../elk", "not in the library"),
    ],
)  # fmt: skip
def test_a_name_of_none_or_of_several_is_refused(
    library: Library, name: str, sentence: str
) -> None:
    with pytest.raises(InvalidInput) as told:
        library.find(name)
    assert sentence in str(told.value)
    assert told.value.field == "model"


def test_a_kind_narrows_a_name(library: Library) -> None:
    found = library.find("a/fox", {"textual-inversion"}, field="embedding")
    assert found.found.place.label == "two"
    with pytest.raises(InvalidInput, match="vae is 'elk'"):
        library.find("elk", {"vae"}, field="vae")


def test_a_pickle_gives_way_to_its_copy(library: Library) -> None:
    assert library.find("hands").file.name == "hands.safetensors"
    assert library.find("hands.pt").file.name == "hands.pt"

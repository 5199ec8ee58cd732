"""Names: short where they are one file's alone, and refused with all paths where they are not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from limner.engine.checkpoints.layouts import EMBEDDED
from limner.errors import InvalidInput
from limner.models.listing import Library
from tests.engine import checkpoint_files
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


def test_files_that_cannot_be_read_have_names_of_their_own(tmp_path: Path) -> None:
    for suffix in ("ckpt", "safetensors"):
        (tmp_path / f"cut.{suffix}").write_bytes(b"PK")
    names = [entry.name for entry in Library(None, [tmp_path]).entries()]
    assert [name for name in names if "cut" in name] == ["cut.ckpt", "cut.safetensors"]


def test_a_snapshot_is_called_after_its_repository(tmp_path: Path) -> None:
    folder = tmp_path / "models--artist--night-v1.5" / "snapshots" / ("0f" * 20)
    files.lora(folder / "unet" / "x.safetensors")
    (folder / "model_index.json").write_text("{}", encoding="utf-8")
    files.lora(tmp_path / "plain-v1.5.safetensors")
    names = [entry.name for entry in Library(None, [tmp_path]).entries()]
    assert {"night-v1.5", "plain-v1.5"} <= set(names)


def test_a_repositorys_only_file_is_called_after_it(tmp_path: Path) -> None:
    def snapshot(repository: str) -> Path:
        return tmp_path / f"models--artist--{repository}" / "snapshots" / ("0f" * 20)

    files.lora(snapshot("lcm-lora-v1.5") / "pytorch_lora_weights.safetensors")
    for variant in ("", ".fp16"):
        name = f"diffusion_pytorch_model{variant}.safetensors"
        files.controlnet(snapshot("canny-v1.1") / name)
    files.controlnet(snapshot("many") / "control_depth.safetensors")
    files.controlnet(tmp_path / "plain" / "diffusion_pytorch_model.safetensors")
    listed = Library(None, [tmp_path]).entries()
    assert [entry.name for entry in listed if entry.found.place.label != "built-in"] == [
        "canny-v1.1.fp16", "canny-v1.1", "lcm-lora-v1.5", "control_depth",
        "diffusion_pytorch_model",
    ]  # fmt: skip


def test_a_folder_with_pickles_does_not_give_way(tmp_path: Path) -> None:
    folder = folders_of_pickles(tmp_path / "rpg")
    torch.save({"state_dict": {}}, tmp_path / "other.ckpt")
    parts = checkpoint_files.models()
    torch.save({"state_dict": checkpoint_files.original(parts)}, tmp_path / "rpg.ckpt")
    library = Library(None, [tmp_path])
    assert library.find("rpg", ("sd1",)).file == folder
    row = library.find("rpg", ("sd1",)).as_dict()
    assert (row["pickled"], row["usable"]) == (True, True)


def folders_of_pickles(folder: Path) -> Path:
    """A checkpoint's folder whose text encoder is a ``.bin``."""
    shutil.copytree(EMBEDDED, folder)
    file = folder / "text_encoder" / "model.safetensors"
    torch.save(load_file(file), file.with_name("pytorch_model.bin"))
    file.unlink()
    return folder

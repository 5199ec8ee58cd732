"""An import may take the VAE and the text encoder from other files, and is then the whole."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers.models.clip.modeling_clip import CLIPTextModel

from limner.engine.checkpoints import layouts, weights
from limner.engine.checkpoints.importing import import_checkpoint
from limner.engine.checkpoints.prediction import Wish
from limner.errors import CheckpointError
from tests.engine import checkpoint_files
from tests.engine.checkpoints.loading import assert_equal, edit_json, load
from tests.engine.checkpoints.odd_folders import whole_folder
from tests.engine.checkpoints.odd_names import vae_beside
from tests.engine.checkpoints.writing import TEXT, UNET, VAE, Tensors, only, without, written


@pytest.fixture(scope="module", autouse=True)
def _quick() -> Iterator[None]:
    """One tokenizer."""
    clip = weights._tokenizer(layouts.read_layout(layouts.EMBEDDED))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weights, "_tokenizer", lambda _: clip)
        yield


@pytest.fixture(scope="module")
def other() -> dict[str, Any]:
    """The parts of another checkpoint."""
    return checkpoint_files.models(seed=7)


def test_a_unet_alone_becomes_a_whole_checkpoint(tensors: Tensors, tmp_path: Path) -> None:
    unet = written(tmp_path, only(tensors, UNET), "fox.safetensors")
    whole = written(tmp_path, tensors)
    made = import_checkpoint(unet, tmp_path / "models", vae=whole, wish=Wish(text_encoder=whole))
    found = load_file(made.path)
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], value) for name, value in tensors.items())
    assert made.provenance["kind"] == "sd1"
    sums = layouts.read_layout(whole).sha256
    assert f"VAE taken from odd.safetensors (sha256 {sums})" in made.provenance["changes"]
    assert layouts.read_layout(made.path).source_sha256 == layouts.read_layout(unet).sha256


@pytest.mark.slow
def test_named_parts_go_before_the_files_own(
    tensors: Tensors, other: dict[str, Any], tmp_path: Path
) -> None:
    """From folders in diffusers' names, which a single file takes as they are."""
    for part in ("vae", "text_encoder"):
        other[part].save_pretrained(tmp_path / part)
    made = import_checkpoint(
        written(tmp_path, tensors),
        tmp_path / "models",
        vae=tmp_path / "vae",
        wish=Wish(text_encoder=tmp_path / "text_encoder"),
    )
    ours = load(made.path)
    assert_equal(ours.vae, other["vae"])
    assert_equal(ours.text_encoder, other["text_encoder"])
    told = "; ".join(ours.info.conversions)
    assert "text encoder taken from text_encoder (sha256 " in told
    assert "VAE taken from vae (sha256 " in told
    assert ours.info.vae == "built in"


def test_a_vae_that_lies_beside_goes_along(tensors: Tensors, tmp_path: Path) -> None:
    path = vae_beside(tmp_path, tensors, "odd.vae.pt")
    made = import_checkpoint(path, tmp_path / "models")
    found = only(load_file(made.path), VAE)
    wanted = only(tensors, VAE)
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], value) for name, value in wanted.items())
    assert "VAE taken from odd.vae.pt" in "; ".join(made.provenance["changes"])


@pytest.mark.slow
def test_a_folder_takes_other_parts(
    tensors: Tensors, other: dict[str, Any], tmp_path: Path
) -> None:
    text: CLIPTextModel = other["text_encoder"]
    text.save_pretrained(tmp_path / "text")
    vae = written(tmp_path, only(tensors, VAE), "vae.safetensors")
    folder = whole_folder(tmp_path, tensors)
    made = import_checkpoint(
        folder, tmp_path / "models", vae=vae, wish=Wish(text_encoder=tmp_path / "text")
    )
    ours = load(made.path)
    assert_equal(ours.text_encoder, text)
    state = ours.vae.state_dict()
    assert torch.equal(state["decoder.conv_out.bias"], tensors[f"{VAE}decoder.conv_out.bias"])


@pytest.mark.parametrize(
    ("part", "changes", "words"),
    [
        ("vae", {"scaling_factor": 0.13025}, r"vae says scaling_factor 0\.13025.*read with 0\.18215"
         r".*after --vae instead"),
        ("text_encoder", {"hidden_act": "gelu"}, r"says hidden_act gelu.*quick_gelu.*"
         r"after --text-encoder instead"),
    ],
)  # fmt: skip
def test_what_one_file_cannot_say_is_refused(
    tensors: Tensors,
    other: dict[str, Any],
    tmp_path: Path,
    part: str,
    changes: dict[str, Any],
    words: str,
) -> None:
    other[part].save_pretrained(tmp_path / part)
    edit_json(tmp_path / part / "config.json", **changes)
    named = {"vae": tmp_path / part} if part == "vae" else {}
    wish = Wish(text_encoder=None if named else tmp_path / part)
    with pytest.raises(CheckpointError, match=words):
        import_checkpoint(written(tmp_path, tensors), tmp_path / "models", wish=wish, **named)
    assert not list((tmp_path / "models").glob("*"))


@pytest.mark.parametrize(
    ("left", "words"),
    [
        ((UNET,), r"odd\.safetensors is a UNet alone; with --text-encoder too it becomes a whole"),
        ((UNET, VAE), r"odd\.safetensors holds no text encoder; name one with"),
        ((VAE,), r"odd\.safetensors is a VAE; --vae and --text-encoder go with a"),
    ],
)
def test_what_lacks_then_is_refused(
    tensors: Tensors,
    tmp_path: Path,
    left: tuple[str, ...],
    words: str,
) -> None:
    whole = written(tmp_path, tensors, "whole.safetensors")
    path = written(tmp_path, only(tensors, *left))
    with pytest.raises(CheckpointError, match=words):
        import_checkpoint(path, tmp_path / "models", vae=whole)


def test_a_part_of_other_widths_is_refused(tensors: Tensors, tmp_path: Path) -> None:
    embedded = layouts.EMBEDDED / "text_encoder"
    rest = written(tmp_path, without(tensors, TEXT))
    width = json.loads((embedded / "config.json").read_text())["hidden_size"]
    with pytest.raises(CheckpointError, match=rf"contexts 32 wide, .* writes {width}"):
        import_checkpoint(rest, tmp_path / "models", wish=Wish(text_encoder=embedded))

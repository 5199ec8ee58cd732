"""A text encoder may be another's, and its positions those of the file; a receipt tells either."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from transformers.models.clip.modeling_clip import CLIPTextModel

from limner.cli import models
from limner.engine.checkpoints import cards, layouts, text_encoders, weights
from limner.engine.checkpoints.layouts import chosen
from limner.engine.checkpoints.parts import Part
from limner.engine.checkpoints.prediction import Wish
from limner.errors import CheckpointError
from tests.engine import checkpoint_files
from tests.engine.checkpoints.loading import assert_equal, copy, load
from tests.engine.checkpoints.writing import (
    POSITIONS,
    TEXT,
    UNET,
    VAE,
    Tensors,
    only,
    pickled,
    without,
    written,
)
from tests.rarely import rarely

STORED = Wish(clip_positions="stored")


@pytest.fixture(scope="module", autouse=True)
def _one_tokenizer() -> Iterator[None]:
    clip = weights._tokenizer(layouts.read_layout(layouts.EMBEDDED))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weights, "_tokenizer", lambda _: clip)
        yield


@pytest.fixture(scope="module")
def other() -> CLIPTextModel:
    return checkpoint_files.models(seed=7)["text_encoder"]


def state(other: CLIPTextModel, prefix: str) -> Tensors:
    return {prefix + name: value.contiguous() for name, value in other.state_dict().items()}


def saved(path: Path, tensors: Tensors) -> Path:
    save_file(tensors, path)
    return path


def saved_folder(path: Path, other: CLIPTextModel) -> Path:
    other.save_pretrained(path)
    return path


ENCODERS: dict[str, Callable[[Path, CLIPTextModel], Path]] = {
    "CLIP's names": lambda tmp, te: saved(tmp / "clip_l.safetensors", state(te, "text_model.")),
    "bare names": lambda tmp, te: saved(tmp / "te.safetensors", state(te, "")),
    "checkpoint names": lambda tmp, te: saved(tmp / "te.sft", state(te, f"{TEXT}text_model.")),
    "ComfyUI's names": lambda tmp, te: saved(
        tmp / "te.safetensors", state(te, "text_encoders.clip_l.transformer.text_model.")
    ),
    "pickled": lambda tmp, te: pickled(tmp, {"state_dict": state(te, "text_model.")}, "te.bin"),
    "folder": lambda tmp, te: saved_folder(tmp / "clip", te),
}


@pytest.mark.parametrize("form", rarely(ENCODERS, 4))
def test_the_text_encoder_can_be_another(
    single_file: Path, other: CLIPTextModel, tmp_path: Path, form: str
) -> None:
    path = ENCODERS[form](tmp_path, other)
    ours = load(single_file, wish=Wish(text_encoder=path))
    assert_equal(ours.text_encoder, other)
    assert f"text encoder replaced by {path.name}" in ours.info.conversions
    assert ours.info.text_encoder_sha256 == cards.text_encoder_sha256(path)
    assert ours.info.sha256 == cards.read(single_file, None).sha256


@pytest.mark.slow
def test_a_checkpoint_without_takes_one_and_is_then_the_whole(
    tensors: Tensors, parts: dict[str, Any], tmp_path: Path
) -> None:
    rest = written(tmp_path, without(tensors, TEXT), "rest.safetensors")
    text = written(tmp_path, only(tensors, TEXT), "text.safetensors")
    whole = load(written(tmp_path, tensors))
    ours = load(rest, wish=Wish(text_encoder=text))
    for name in ("unet", "vae", "text_encoder"):
        assert_equal(getattr(ours, name), getattr(whole, name))


def test_a_unet_alone_draws_with_parts_that_are_named(tensors: Tensors, tmp_path: Path) -> None:
    plain = written(tmp_path, tensors)
    bare = {name.removeprefix(UNET): value for name, value in only(tensors, UNET).items()}
    unet = written(tmp_path, bare, "unet.safetensors")
    ours = load(unet, vae=plain, wish=Wish(text_encoder=plain))
    whole = load(plain)
    for name in ("unet", "vae", "text_encoder"):
        assert_equal(getattr(ours, name), getattr(whole, name))
    assert models.inspect(unet, Wish(text_encoder=plain), plain)["loadable"] is True


@pytest.mark.parametrize(
    ("left", "wish", "sentence"),
    [
        ((UNET,), False, r"odd\.safetensors is a UNet alone: it holds no text encoder and no VAE; "
         r"name them with --text-encoder and --vae\."),
        ((UNET,), True, r"odd\.safetensors is a UNet alone: it holds no VAE; name one with --vae"),
        ((UNET, VAE), False, r"odd\.safetensors holds no text encoder; name one with --text-enc"),
        ((UNET, TEXT), False, r"odd\.safetensors holds no VAE; name one with --vae\."),
    ],
)  # fmt: skip
def test_every_part_that_lacks_is_named(
    tensors: Tensors, tmp_path: Path, left: tuple[str, ...], wish: bool, sentence: str
) -> None:
    path = written(tmp_path, only(tensors, *left))
    text = written(tmp_path, only(tensors, TEXT), "text.safetensors") if wish else None
    with pytest.raises(CheckpointError, match=sentence) as told:
        chosen(path, None, Wish(text_encoder=text))
    assert models.inspect(path, Wish(text_encoder=text))["refusal"] == str(told.value)


def test_what_holds_no_text_encoder_is_no_way_out(
    single_file: Path, tensors: Tensors, tmp_path: Path
) -> None:
    vae = written(tmp_path, only(tensors, VAE), "vae.safetensors")
    for path, sentence in (
        (vae, r"vae\.safetensors holds no text encoder; it seems to be a VAE alone"),
        (tmp_path, "holds no text encoder: neither config.json nor"),
        (tmp_path / "gone", "gone does not exist"),
    ):
        with pytest.raises(CheckpointError, match=sentence):
            chosen(single_file, None, Wish(text_encoder=path))


def spoilt(tensors: Tensors, places: dict[int, float], dtype: torch.dtype) -> Tensors:
    ids = torch.arange(77, dtype=torch.float64)[None]
    for place, number in places.items():
        ids[0, place] = number
    return tensors | {POSITIONS: ids.to(dtype)}


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float16, torch.int64])
def test_stored_positions_are_those_that_a_cast_gives(
    tensors: Tensors, tmp_path: Path, dtype: torch.dtype
) -> None:
    """The oracle is PyTorch's own cast, by which AUTOMATIC1111 loaded them into its buffer."""
    odd = spoilt(tensors, {9: 8.9975, 40: 3}, dtype)
    path = written(tmp_path, odd)
    ours = load(path, wish=STORED)
    expected = odd[POSITIONS].to(torch.int64)
    assert torch.equal(ours.text_encoder.embeddings.position_ids, expected)
    wrong = int((expected != torch.arange(77)).sum())
    assert any(f"as stored, {wrong} of 77 out of order" in note for note in ours.info.conversions)
    assert ours.info.clip_positions == "stored"
    plain = load(path)
    assert torch.equal(plain.text_encoder.embeddings.position_ids, torch.arange(77)[None])
    assert plain.info.clip_positions == "counted"
    tokens = torch.full((1, 77), 7)
    ours.text_encoder.embeddings.position_ids = torch.arange(77)[None]
    assert torch.equal(ours.text_encoder(tokens)[0], plain.text_encoder(tokens)[0])


def test_stored_positions_that_are_in_order_change_nothing(single_file: Path) -> None:
    ours, plain = cards.read(single_file, None, STORED), cards.read(single_file, None)
    assert (ours, ours.clip_positions) == (plain, "counted")


@pytest.mark.parametrize(
    ("places", "sentence"),
    [({3: 77}, "for 77 is among them and it has 77"), ({0: -1}, "-1 is"), ({5: torch.nan}, "-1")],
)
def test_stored_positions_that_are_none_are_refused_and_counted_ones_load(
    tensors: Tensors, tmp_path: Path, places: dict[int, float], sentence: str
) -> None:
    path = written(tmp_path, spoilt(tensors, places, torch.float32))
    with pytest.raises(CheckpointError, match=sentence + r".*leave out --clip-positions"):
        chosen(path, None, STORED)
    chosen(path, None)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, []),
        ({"hidden_size": 768, "num_hidden_layers": 12, "max_position_embeddings": 77}, []),
        ({"hidden_size": 768, "num_hidden_layers": 11}, ["the text encoder has 11 layers"]),
        ({"hidden_size": 768, "max_position_embeddings": 248}, ["has 248 positions"]),
    ],
)
def test_a_text_encoder_unlike_sd15s_is_told(changes: dict[str, Any], told: list[str]) -> None:
    standard = {"num_hidden_layers": 12, "max_position_embeddings": 77}
    sentences = text_encoders.told(Part({**standard, **changes}, ()), stored=False).notes
    assert len(sentences) == len(told)
    assert all(words in sentence for words, sentence in zip(told, sentences, strict=True))


@pytest.mark.slow
def test_a_folder_without_one_takes_another(
    folder: Path, other: CLIPTextModel, tmp_path: Path
) -> None:
    rest = copy(folder, tmp_path / "rest")
    shutil.rmtree(rest / "text_encoder")
    with pytest.raises(CheckpointError, match="rest holds no text encoder; name one with --text"):
        chosen(rest, None)
    assert models.inspect(rest)["loadable"] is False
    other.save_pretrained(tmp_path / "clip")
    ours = load(rest, wish=Wish(text_encoder=tmp_path / "clip"))
    assert_equal(ours.text_encoder, other)

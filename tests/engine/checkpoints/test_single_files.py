"""Single files that lack something or contradict themselves are refused by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from limner.errors import CheckpointError
from tests.engine.checkpoints.loading import load
from tests.engine.checkpoints.writing import TEXT, Tensors, written

REFUSED: dict[str, tuple[Callable[[Tensors], Tensors], str]] = {
    "a missing tensor": (
        lambda t: {k: v for k, v in t.items() if "out.2.weight" not in k},
        r"lacks 1 of the \d+ tensors of the unet, 'conv_out\.weight'",
    ),
    "a wrong shape": (
        lambda t: t | {"model.diffusion_model.out.2.bias": torch.ones(5)},
        r"'conv_out\.bias' of the unet has shape \(5,\), expected \(4,\)",
    ),
    "a foreign text encoder": (
        lambda t: t | {f"{TEXT}text_model.final_layer_norm.bias": torch.ones(31)},
        "text_encoder",
    ),
    "a 16-channel VAE": (
        lambda t: t | {"first_stage_model.post_quant_conv.weight": torch.ones(16, 16, 1, 1)},
        "16 latent channels; 4 are needed",
    ),
    "a small vocabulary": (
        lambda t: t | {f"{TEXT}text_model.embeddings.token_embedding.weight": torch.ones(1000, 32)},
        "tokenizer knows 49408 tokens, the text encoder 1000",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_an_incomplete_file_is_refused(tensors: Tensors, tmp_path: Path, what: str) -> None:
    change, words = REFUSED[what]
    path = written(tmp_path, change(tensors))
    with pytest.raises(CheckpointError, match=words) as caught:
        load(path)
    assert "odd.safetensors" in str(caught.value)


def test_a_header_that_contradicts_itself_is_refused(single_file: Path, tmp_path: Path) -> None:
    whole = single_file.read_bytes()
    for sound, broken in ((b'"F16"', b'"F32"'), (b'"shape":[4]', b'"shape":[5]')):
        assert sound in whole
        path = tmp_path / "odd.safetensors"
        path.write_bytes(whole.replace(sound, broken, 1))
        with pytest.raises(CheckpointError, match=r"odd\.safetensors"):
            load(path)

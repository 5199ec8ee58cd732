"""Embeddings out of files of every form, against what was written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from limner.engine.adapters import embeddings
from limner.engine.checkpoints import adapters
from limner.engine.checkpoints.inspection import kind_of, read_header
from limner.errors import CheckpointError

VECTORS = torch.randn(3, 768, generator=torch.Generator().manual_seed(1))


def _old(path: Path, vectors: Tensor) -> None:
    """As the first trainer wrote it: a module's parameters, and a tensor for the token."""
    parameters = torch.nn.ParameterDict({"*": torch.nn.Parameter(vectors)})
    content = {"string_to_token": {"*": torch.tensor(265)}, "string_to_param": parameters}
    torch.save(content, path, _use_new_zipfile_serialization=False)


def _automatic1111(path: Path, vectors: Tensor) -> None:
    content = {"string_to_token": {"*": 265}, "string_to_param": {"*": vectors}, "step": 9}
    torch.save({**content, "name": "x", "sd_checkpoint": "0123abcd"}, path)


FORMS: Mapping[str, tuple[str, Callable[[Path, Tensor], Any]]] = {
    "AUTOMATIC1111": (".pt", _automatic1111),
    "its own module": (".pt", _old),
    "safetensors": (".safetensors", lambda p, v: save_file({"emb_params": v}, p)),
    "half": (".safetensors", lambda p, v: save_file({"emb_params": v.half()}, p)),
    "diffusers' pickle": (".bin", lambda p, v: torch.save({"<cat-toy>": v}, p)),
    "diffusers": (".safetensors", lambda p, v: save_file({"<cat-toy>": v}, p)),
    "one encoder's": (".safetensors", lambda p, v: save_file({"clip_l": v}, p)),
    "one vector": (".bin", lambda p, v: torch.save({"<cat-toy>": v[0]}, p)),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_its_vectors(tmp_path: Path, form: str) -> None:
    suffix, write = FORMS[form]
    path = tmp_path / f"neg{suffix}"
    write(path, VECTORS)
    header = read_header(path)
    assert kind_of(header) == "textual-inversion"
    expected = VECTORS[:1] if form == "one vector" else VECTORS
    expected = expected.half().float() if form == "half" else expected
    told = adapters.facts(header, "textual-inversion")
    assert (told["base"], told["vectors"]) == ("sd1", len(expected))
    assert torch.equal(embeddings.read(path), expected)


WRONG: Mapping[str, tuple[Mapping[str, Tensor], str]] = {
    "SDXL's": ({"clip_l": VECTORS, "clip_g": torch.zeros(3, 1280)}, "is an embedding for SDXL"),
    "two": ({"<a>": VECTORS, "<b>": VECTORS + 1}, "holds no single row of an embedding's vectors"),
    "whole numbers": ({"emb_params": VECTORS.int()}, "holds no single row"),
    "too many": ({"emb_params": torch.zeros(76, 768)}, "has 76 vectors; embeddings of 1 to 75"),
    "none": ({"emb_params": torch.zeros(0, 768)}, "has 0 vectors"),
    "infinite": ({"emb_params": torch.full((1, 768), torch.inf)}, "values that are not finite"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_no_embedding_is_told(tmp_path: Path, what: str) -> None:
    tensors, sentence = WRONG[what]
    save_file(dict(tensors), tmp_path / "neg.safetensors")
    with pytest.raises(CheckpointError) as caught:
        embeddings.read(tmp_path / "neg.safetensors")
    assert sentence in str(caught.value)
    assert "neg.safetensors" in str(caught.value)


def test_those_that_a_lora_brings_are_read_by_name(tmp_path: Path) -> None:
    path = tmp_path / "hero.safetensors"
    down = "lora_unet_mid_block_attentions_0_proj_in.lora_down.weight"
    names = {"night sky": "string_to_param.*", "v1.3": "string_to_param.*", "toy": "clip_l"}
    brought = {
        f"bundle_emb.{name}.{end}": VECTORS * n for n, (name, end) in enumerate(names.items())
    }
    save_file({down: torch.zeros(4, 320), **brought}, path)
    assert kind_of(read_header(path)) == "lora"
    assert list(adapters.bundled(read_header(path))) == sorted(names)
    for number, name in enumerate(names):
        assert torch.equal(embeddings.read(path, name), VECTORS * number)
    with pytest.raises(CheckpointError, match="holds no single row"):
        embeddings.read(path, "another")

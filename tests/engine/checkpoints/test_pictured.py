"""Embeddings in pictures, written here as AUTOMATIC1111 writes them, in both of its ways."""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from limner.engine.adapters import embeddings
from limner.engine.checkpoints.inspection import kind_of, read_header
from limner.errors import CheckpointError

SHOWN = np.random.default_rng(1).integers(1, 255, (64, 48, 3), dtype=np.uint8)


def content(vectors: torch.Tensor) -> bytes:
    told = {
        "string_to_token": {"*": 265},
        "string_to_param": {"*": {"TORCHTENSOR": vectors.tolist()}},
        "name": "hidden",
        "step": 500,
    }
    return json.dumps(told).encode()


def with_text(path: Path, vectors: torch.Tensor, kind: str = "tEXt") -> None:
    info, text = PngInfo(), base64.b64encode(content(vectors)).decode()
    if kind == "iTXt":
        info.add_itxt("sd-ti-embedding", text, zip=True)
    else:
        info.add_text("sd-ti-embedding", text, zip=kind == "zTXt")
    Image.fromarray(SHOWN).save(path, pnginfo=info)


def in_pixels(path: Path, vectors: torch.Tensor) -> None:
    """The two halves of each byte beside the picture, each under the key stream, a style above."""
    data = np.frombuffer(zlib.compress(content(vectors), 9), np.uint8)
    height = len(SHOWN)
    size = -(-len(data) // (height * 3)) * height * 3
    state, keys = 0, []
    for _ in range(size):
        state = (state * 1664525 + 1013904223) % 2**32
        keys.append(state % 255 & 15)
    style = np.random.default_rng(2).integers(1, 16, size, dtype=np.uint8) << 4
    halves = [
        (np.resize(half, size) ^ np.array(keys, np.uint8) ^ style).reshape(height, -1, 3)
        for half in (data & 15, data >> 4)
    ]
    black = np.zeros((height, 1, 3), np.uint8)
    row = np.concatenate([halves[0], black, SHOWN, black, halves[1]], axis=1)
    Image.fromarray(np.pad(row, ((2, 2), (3, 3), (0, 0)))).save(path)


@pytest.mark.parametrize("kind", ["tEXt", "zTXt", "iTXt", "pixels"])
@pytest.mark.parametrize("count", [1, 3])
def test_the_vectors_in_a_picture(tmp_path: Path, kind: str, count: int) -> None:
    vectors = torch.randn(count, 768, generator=torch.Generator().manual_seed(count))
    path = tmp_path / "neg.png"
    if kind == "pixels":
        in_pixels(path, vectors)
    else:
        with_text(path, vectors, kind)
    header = read_header(path)
    assert kind_of(header) == "textual-inversion"
    assert [tensor.shape for tensor in header.tensors.values()] == [(count, 768)]
    assert torch.equal(embeddings.read(path), vectors)


def broken(path: Path, what: str) -> None:
    info = PngInfo()
    texts = {
        "no base64": "!",
        "no JSON": base64.b64encode(b"{").decode(),
        "no tensor": base64.b64encode(b'{"string_to_param": {"*": 1}}').decode(),
        "two tensors": base64.b64encode(
            b'{"string_to_param": {"*": {"TORCHTENSOR": [1]}, "b": {"TORCHTENSOR": [1]}}}'
        ).decode(),
        "ragged": base64.b64encode(
            b'{"string_to_param": {"*": {"TORCHTENSOR": [[1, 2], [3]]}}}'
        ).decode(),
    }
    if what in texts:
        info.add_text("sd-ti-embedding", texts[what])
    Image.fromarray(SHOWN).save(path, pnginfo=info)
    if what == "cut short":
        path.write_bytes(path.read_bytes()[:200])
    if what == "large":
        path.write_bytes(path.read_bytes() + bytes(9 << 20))


@pytest.mark.parametrize(
    "what",
    ["plain", "no base64", "no JSON", "no tensor", "two tensors", "ragged", "cut short", "large"],
)
def test_a_picture_that_is_none_is_told(tmp_path: Path, what: str) -> None:
    path = tmp_path / "neg.png"
    broken(path, what)
    with pytest.raises(CheckpointError, match=r"neg\.png is a PNG picture and holds no embedding"):
        read_header(path)


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    info = PngInfo()
    info.add_text("sd-ti-embedding", "A" * (20 << 20), zip=True)
    Image.fromarray(SHOWN).save(tmp_path / "neg.png", pnginfo=info)
    with pytest.raises(CheckpointError, match="holds no embedding"):
        read_header(tmp_path / "neg.png")


def test_numbers_that_are_none_are_told(tmp_path: Path) -> None:
    with_text(tmp_path / "neg.png", torch.full((1, 768), torch.nan))
    with pytest.raises(CheckpointError, match="not finite"):
        embeddings.read(tmp_path / "neg.png")

"""Embeddings that hide in PNG pictures, as AUTOMATIC1111 writes them; in either of two places.

The text ``sd-ti-embedding`` holds base64 of JSON in which a tensor is ``{"TORCHTENSOR": [[...]]}``.
Or the four lower bits of the pixels left and right of two black columns hold the lower and the
upper halves of the bytes of such JSON, deflated, under a key stream.
"""

from __future__ import annotations

import base64
import functools
import itertools
import json
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from limner.engine.checkpoints.headers import Header, TensorInfo, stamp
from limner.engine.checkpoints.regular import opened
from limner.errors import CheckpointError

MAGIC = b"\x89PNG\r\n\x1a\n"
_KEY = b"sd-ti-embedding\0"
_FILE_MAX = 8 << 20  # bytes; those that are shared are of one
_JSON_MAX = 16 << 20
_PIXELS_MAX = 16 << 20
_LOW = np.uint8(0x0F)
_STREAM = 1_664_525, 1_013_904_223, 1 << 32  # a linear congruential generator: a, c, m

Rows = list[list[float]]
Bytes = npt.NDArray[np.uint8]


def is_picture(path: Path) -> bool:
    """Whether it is a PNG, by its first bytes."""
    with opened(path) as file:
        return file.read(len(MAGIC)) == MAGIC


def numbers(path: Path) -> Rows:
    """The vectors in a picture, row by row. Raises ``CheckpointError`` where there are none."""
    return _numbers(path, stamp(path))


def header(path: Path) -> Header:
    """As of a file of tensors. Raises ``CheckpointError`` for a picture without an embedding."""
    rows = numbers(path)
    name = "string_to_param.*"
    return Header(path, {name: TensorInfo("F32", (len(rows), len(rows[0])), path, name=name)}, {})


@functools.lru_cache(maxsize=4)
def _numbers(path: Path, _stamp: str) -> Rows:
    data = path.read_bytes() if path.stat().st_size <= _FILE_MAX else b""
    try:
        found = json.loads(_text(data) or _hidden(path, data))
        [tensor] = found["string_to_param"].values()
        return _rows(tensor["TORCHTENSOR"])
    except Exception as error:  # a stranger's picture, of any content
        raise CheckpointError(f"{path.name} is a PNG picture and holds no embedding.") from error


def _rows(tensor: Sequence[Any]) -> Rows:
    rows = tensor if isinstance(tensor[0], list) else [tensor]
    array = np.array(rows, np.float32)
    if array.ndim != 2:
        raise ValueError("no list of vectors")
    return [[float(number) for number in row] for row in array]


def _text(data: bytes) -> bytes | None:
    """The JSON in the text chunk, if there is one."""
    for kind, content in _chunks(data):
        if kind == b"tEXt" and content.startswith(_KEY):
            return base64.b64decode(content[len(_KEY) :])
        if kind == b"zTXt" and content.startswith(_KEY):
            return base64.b64decode(_inflated(content[len(_KEY) + 1 :]))
        if kind == b"iTXt" and content.startswith(_KEY):
            deflated = content[len(_KEY)] == 1
            text = content[len(_KEY) + 2 :].split(b"\0", 2)[2]
            return base64.b64decode(_inflated(text) if deflated else text)
    return None


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = len(MAGIC)
    while place + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        yield kind, data[place + 8 : place + 8 + length]
        place += 12 + length


def _inflated(data: bytes) -> bytes:
    reader = zlib.decompressobj()
    made = reader.decompress(data, _JSON_MAX)
    if reader.unconsumed_tail:
        raise ValueError("too long")
    return made


def _hidden(path: Path, data: bytes) -> bytes:
    """The JSON in the lower bits of the pixels."""
    if not data:
        raise ValueError("too large")
    with Image.open(path) as picture:
        if picture.width * picture.height > _PIXELS_MAX:
            raise ValueError("too large")
        pixels = np.asarray(picture.convert("RGB"))
    bits = _cropped(pixels) & _LOW
    black = np.flatnonzero(bits.sum(axis=(0, 2)) == 0)
    if len(black) < 2:
        raise ValueError("no two black columns")
    lower, upper = (
        _opened(bits[:, side]) for side in (slice(black[0]), slice(black[-1] + 1, None))
    )
    return _inflated((upper << 4 | lower).tobytes())


def _cropped(pixels: Bytes) -> Bytes:
    """Without the rows and columns at the edges that are black altogether."""
    rows, columns = map(np.unique, np.nonzero(pixels.min(axis=2)))
    return pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _opened(block: Bytes) -> Bytes:
    """What the key stream says: the same four bits for the same place in any block."""
    keys = np.fromiter(itertools.islice(_stream(), block.size), np.uint8, block.size)
    return block.reshape(-1) ^ (keys & _LOW)


def _stream() -> Iterator[int]:
    a, c, m = _STREAM
    seed = 0
    while True:
        seed = (a * seed + c) % m
        yield seed % 255

"""Read what a file holds by its first bytes, whatever its name says; no tensor is read.

The safetensors format: 8 bytes of little-endian header length, a JSON header that gives each
tensor's dtype, shape and byte range, then the bytes (https://github.com/huggingface/safetensors).
PyTorch's formats are pickles, which ``torchfiles`` reads without running them.
"""

from __future__ import annotations

import functools
import itertools
import json
import math
import operator
import stat
import struct
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from limner.engine.checkpoints import names, pictured, torchfiles
from limner.engine.checkpoints.headers import SIZES, Header, TensorInfo, stamp
from limner.errors import CheckpointError

Range = tuple[int, int, str]  # of a tensor: its first byte, its end, its name

MAX_HEADER = 20_000_000  # bytes; SD 1.5 has 0.15 million, the format allows 100 million

# Foreign files by their first bytes.
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"<", "an HTML or XML page, perhaps an error page saved in place of the download"),
    (b"version https://git-lfs", "a Git LFS pointer; fetch the file itself with git lfs pull"),
    (b"GGUF", "a GGUF file, whose numbers are quantised; take the same model as .safetensors"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"\x89HDF", "an HDF5 file; take the same model as .safetensors"),
    (b"7z\xbc\xaf", "a 7z archive; unpack it first"),
    (b"Rar!", "a RAR archive; unpack it first"),
    (b"\x1f\x8b", "a gzip archive; unpack it first"),
    (b"{", "a JSON text"),
)


def read_header(path: Path) -> Header:
    """What a whole file of tensors holds, under the names of latent diffusion.

    Raises:
        CheckpointError: the file is missing, empty, cut short, foreign, damaged, or a pickle that
            asks for more than tensors.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise CheckpointError(f"{path} is not a file.")
        return _remembered(path, stamp(path))
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} does not exist.") from error
    except OSError as error:
        reason = error.strerror or "it cannot be read"
        raise CheckpointError(f"{path} cannot be opened: {reason}.") from error


@functools.lru_cache(maxsize=16)  # several readers look at the files that one start or import names
def _remembered(path: Path, before: str) -> Header:
    with path.open("rb") as file:
        found = replace(_read(path, file), stamp=before)
    require_unchanged(found)
    tensors, notes = names.canonical(found.tensors)
    return replace(found, tensors=tensors, notes=found.notes + notes)


def require_unchanged(header: Header) -> None:
    """Raise CheckpointError when the file is no longer the one whose header was read."""
    try:
        same = stamp(header.path) == header.stamp
    except OSError as error:
        raise CheckpointError(f"{header.path} vanished while it was read.") from error
    if not same:
        raise CheckpointError(
            f"{header.path.name} changed while it was read; "
            "try again when it is downloaded or copied."
        )


def _read(path: Path, file: BinaryIO) -> Header:
    start = file.read(64)
    if not start:
        raise CheckpointError(f"{path.name} is empty.")
    if start.startswith(torchfiles.MAGIC) and not _may_be_length(start):
        return torchfiles.read(path, file)
    if start.startswith(pictured.MAGIC):
        return pictured.header(path)
    for magic, what in _MAGIC:
        if start.lstrip().startswith(magic) and not _may_be_length(start):
            raise CheckpointError(f"{path.name} seems to be {what}.")
    if len(start) < 9:
        raise CheckpointError(f"{path.name} is too short to be a checkpoint.")
    return _safetensors(path, file, start)


def _may_be_length(start: bytes) -> bool:
    """Eight bytes of a sensible length, then a JSON object: a first byte may be any."""
    return start[8:9] == b"{" and struct.unpack("<Q", start[:8])[0] <= MAX_HEADER


def _safetensors(path: Path, file: BinaryIO, start: bytes) -> Header:
    size = path.stat().st_size
    length = struct.unpack("<Q", start[:8])[0]
    if start[8:9] != b"{":
        raise CheckpointError(f"{path.name} is neither a safetensors nor a PyTorch file.")
    if length > MAX_HEADER:
        raise CheckpointError(
            f"{path.name} announces a header of {length:,} bytes, more than any checkpoint needs; "
            f"at most {MAX_HEADER:,} are read."
        )
    if 8 + length > size:
        raise CheckpointError(_truncated(path, size, 8 + length))
    file.seek(8)
    try:
        entries = json.loads(file.read(length))
        metadata = entries.pop("__metadata__", None)
        if not entries:
            raise CheckpointError(f"{path.name} is a safetensors file without any tensor.")
        tensors, ranges = _tensors(path, entries, 8 + length)
        _check_numbers(ranges, [info.shape for info in tensors.values()])
    except (AttributeError, LookupError, TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path.name} has a damaged safetensors header.") from error
    notes = _check_ranges(path, sorted(ranges), size - 8 - length)
    return Header(path, tensors, _texts(metadata), notes=notes)


def _tensors(
    path: Path, entries: Mapping[str, Any], data: int
) -> tuple[dict[str, TensorInfo], list[Range]]:
    """In one loop, without a call for each: a library of models has a million."""
    sizes, product = SIZES, math.prod
    tensors: dict[str, TensorInfo] = {}
    ranges: list[Range] = []
    for name, entry in entries.items():
        dtype, shape = entry["dtype"], tuple(entry["shape"])
        start, stop = entry["data_offsets"]
        size = sizes.get(dtype)
        if size is None:
            dtype = str(dtype)
        elif stop - start != product(shape) * size:
            raise CheckpointError(
                f"{path.name} is damaged: {name!r} of shape {shape} as {dtype} has "
                f"{stop - start:,} bytes."
            )
        ranges.append((start, stop, name))
        tensors[name] = TensorInfo(dtype, shape, path, data + start, None, None, name)
    return tensors, ranges


def _check_numbers(ranges: Sequence[Range], shapes: Sequence[tuple[int, ...]]) -> None:
    """Raise TypeError or ValueError unless all are whole numbers from 0 on, ends after starts."""
    starts, stops, _ = zip(*ranges, strict=True)
    numbers = [*starts, *stops, *itertools.chain.from_iterable(shapes)]
    if {*map(type, numbers)} != {int}:
        raise TypeError("a size is no whole number")
    if min(numbers) < 0 or any(map(operator.gt, starts, stops)):
        raise ValueError("a size is below 0")


def _check_ranges(path: Path, ranges: list[Range], size: int) -> tuple[str, ...]:
    """Tensors lie one after the other up to the end; what is odd about it, in words."""
    end = 0
    for start, stop, name in ranges:
        if start != end:
            what = "overlaps the tensor before it" if start < end else "lies behind a gap"
            raise CheckpointError(f"{path.name} is damaged: {name!r} {what}.")
        end = stop
    if size < end:
        whole = path.stat().st_size - size + end
        raise CheckpointError(_truncated(path, path.stat().st_size, whole))
    if size > end:
        return (f"{size - end:,} bytes after the last tensor left aside",)
    return ()


def _truncated(path: Path, size: int, expected: int) -> str:
    return (
        f"{path.name} is truncated: it has {size:,} bytes of at least {expected:,}; "
        "download or copy it again."
    )


def _texts(metadata: Any) -> dict[str, str]:
    """Metadata are texts; some writers leave numbers and lists there, which are kept as JSON."""
    if not isinstance(metadata, dict):
        return {}
    return {k: v if isinstance(v, str) else json.dumps(v) for k, v in metadata.items()}

"""PyTorch's two containers of a pickle and the numbers beside it: a zip, and the older one.

Both are read for what they hold and where; the numbers stay where they are.
"""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from limner.engine.checkpoints import pickles
from limner.engine.checkpoints.headers import SIZES, Header, TensorInfo
from limner.engine.checkpoints.pickles import Noted
from limner.errors import CheckpointError

MAGIC = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_LEGACY = 0x1950A86A20F9469CFC6C, 1001  # the first two pickles of the older container
_LARGEST_PICKLE = 64_000_000  # bytes; SD 1.5 has 0.2 million

# What broken bytes make a pickle's reader raise.
_BROKEN = (
    pickle.UnpicklingError, zipfile.BadZipFile, struct.error, EOFError, ValueError, TypeError,
    LookupError, AttributeError, AssertionError, ArithmeticError, MemoryError, RecursionError,
    NotImplementedError, RuntimeError,
)  # fmt: skip


def read(path: Path, file: BinaryIO) -> Header:
    """The tensors of a ``.ckpt``, ``.pt`` or ``.bin``; nothing in it is run.

    Raises:
        CheckpointError: it is damaged, asks for more than tensors, or holds none.
    """
    file.seek(0)
    try:
        zipped = file.read(4) == MAGIC[0]
        file.seek(0)
        content, places = _zip(path, file) if zipped else _legacy(path, file)
        found = {
            name: _placed(path, name, noted, places)
            for name, noted in pickles.tensors(content).items()
        }
    except _BROKEN as error:
        raise _damaged(path) from error
    if not found:
        raise CheckpointError(f"{path.name} holds no dictionary of tensors.")
    return Header(path, found, {}, pickled=True)


def _placed(
    path: Path, name: str, noted: Noted, places: Mapping[str, tuple[int, int]]
) -> TensorInfo:
    """Where in the file it lies; its storage must reach as far as it does."""
    start, stop = places[noted.storage.key]
    width = SIZES[noted.dtype]
    offset = start + noted.storage.start * SIZES[noted.storage.dtype] + noted.offset * width
    ordered, step = [], 1
    for size in reversed(noted.shape):
        ordered.append(step)
        step *= size
    plain = noted.strides == tuple(reversed(ordered))
    found = TensorInfo(
        noted.dtype, noted.shape, path, offset, None if plain else noted.strides, name=name
    )
    if offset < start or offset + found.span * width > stop:
        raise CheckpointError(f"{path.name} is damaged: {name!r} reaches beyond its numbers.")
    return found


def _zip(path: Path, file: BinaryIO) -> tuple[Any, dict[str, tuple[int, int]]]:
    with zipfile.ZipFile(file) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
        found = [name for name in entries if name == "data.pkl" or name.endswith("/data.pkl")]
        if not found:
            raise CheckpointError(
                f"{path.name} is a zip archive, but not PyTorch's; unpack it first."
            )
        top = found[0].removesuffix("data.pkl")
        if f"{top}byteorder" in entries and archive.read(f"{top}byteorder") != b"little":
            raise CheckpointError(f"{path.name} holds big-endian numbers, which are not read.")
        if entries[found[0]].file_size > _LARGEST_PICKLE:
            raise CheckpointError(f"{path.name} holds a pickle too large for any checkpoint's.")
        content = pickles.Reader(io.BytesIO(archive.read(found[0])), path.name).load()
        data = {n.removeprefix(f"{top}data/"): e for n, e in entries.items() if "/data/" in f"/{n}"}
        return content, {key: _entry(path, file, entry) for key, entry in data.items()}


def _entry(path: Path, file: BinaryIO, entry: zipfile.ZipInfo) -> tuple[int, int]:
    """First byte and end of an entry that is stored as it is."""
    if entry.compress_type != zipfile.ZIP_STORED:
        raise CheckpointError(
            f"{path.name} was compressed anew, so that its numbers cannot be reached; "
            "unpack and save it with PyTorch."
        )
    file.seek(entry.header_offset)
    name, extra = struct.unpack("<26x2H", file.read(30))
    start = entry.header_offset + 30 + name + extra
    if start + entry.file_size > path.stat().st_size:
        raise _damaged(path)
    return start, start + entry.file_size


def _legacy(path: Path, file: BinaryIO) -> tuple[Any, dict[str, tuple[int, int]]]:
    """Magic number, version, system, content, keys: pickles; then each storage with its length."""
    first = pickles.Reader(file, path.name).load()
    if first != _LEGACY[0]:
        noted = pickles.tensors(first)
        what = "tensors without their numbers" if noted else "no tensors"
        raise CheckpointError(f"{path.name} is a pickle, but not PyTorch's: it holds {what}.")
    version, _ = (pickles.Reader(file, path.name).load() for _ in range(2))
    if version != _LEGACY[1]:
        raise CheckpointError(f"{path.name} is of an unknown version of PyTorch's format.")
    reader = pickles.Reader(file, path.name)
    content = reader.load()
    widths = {each.key: SIZES[each.dtype] for each in reader.storages}
    places = {}
    for key in pickles.Reader(file, path.name).load():
        (count,) = struct.unpack("<Q", file.read(8))
        start = file.tell()
        places[str(key)] = start, start + count * widths[str(key)]
        file.seek(places[str(key)][1])
    if file.tell() > path.stat().st_size:
        raise _damaged(path)
    return content, places


def _damaged(path: Path) -> CheckpointError:
    return CheckpointError(f"{path.name} is damaged or cut short; download or copy it again.")

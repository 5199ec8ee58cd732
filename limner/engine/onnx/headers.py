"""What an ONNX file takes and gives, read from the file without onnxruntime.

A file is one protocol buffer (onnx/onnx.proto). Only the fields named here are read, and what lies
between, the weights above all, is passed over; so telling what a file is takes no memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from limner.engine.checkpoints.headers import stamp
from limner.errors import CheckpointError

BYTES_MAX = (2 << 30) - 1  # no protocol buffer is larger
FIELDS_MAX = 500_000  # of all messages that are looked into
_PIECE_MAX = 1 << 20  # bytes of one message that is read whole
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_TYPES: Mapping[int, str] = {
    1: "float32", 2: "uint8", 3: "int8", 6: "int32", 7: "int64", 9: "bool", 10: "float16",
    11: "float64",
}  # fmt: skip

Value = int | bytes
Field = tuple[int, Value]


@dataclass(frozen=True)
class Port:
    """An input or output: ``dtype`` is numpy's name, ``unknown`` of others.

    ``shape`` has None for a side that may be any.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]


@dataclass(frozen=True)
class Graph:
    """A file's inputs (without those that are weights), outputs and metadata."""

    path: Path
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    metadata: Mapping[str, str]
    stamp: str


def read(path: Path) -> Graph:
    """What the file at ``path`` takes and gives.

    Raises:
        CheckpointError: it is gone, too large, cut short or no ONNX file, or its weights lie in
            another file; the sentence names it.
    """
    try:
        with path.open("rb") as file:
            return _Reader(file, path).graph()
    except OSError as error:
        why = str(error.strerror or error).lower()
        raise CheckpointError(f"{path.name} cannot be read: {why}.") from error
    except (ValueError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path.name} is no ONNX file, or damaged: {error}.") from error


class _Reader:
    """Walks one file's messages. Raises ``ValueError`` with what is wrong with them."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file, self._path = file, path
        self._left = FIELDS_MAX
        self._size = path.stat().st_size
        if self._size > BYTES_MAX:
            raise ValueError("it is larger than 2 GiB")

    def graph(self) -> Graph:
        """ModelProto: 7 is the graph, 14 the metadata."""
        metadata, found = dict[str, str](), None
        for number, start, end in self._places(0, self._size):
            if number == 7:
                found = self._ports(start, end)
            elif number == 14:
                pair = dict(_fields(self._piece(start, end)))
                metadata[_text(pair.get(1))] = _text(pair.get(2))
        if found is None or not found[1]:
            raise ValueError("it holds no graph that gives anything")
        return Graph(self._path, *found, metadata, stamp(self._path))

    def _ports(self, start: int, end: int) -> tuple[tuple[Port, ...], tuple[Port, ...]]:
        """GraphProto: 5 are weights, 11 the inputs, 12 the outputs."""
        weights, inputs, outputs = set[str](), list[Port](), list[Port]()
        for number, first, last in self._places(start, end):
            if number == 5:
                weights.add(self._weight(first, last))
            elif number in (11, 12):
                (inputs if number == 11 else outputs).append(_port(self._piece(first, last)))
        return tuple(each for each in inputs if each.name not in weights), tuple(outputs)

    def _weight(self, start: int, end: int) -> str:
        """The name of a TensorProto: 8; 14 says whether it lies in another file."""
        name = ""
        for number, first, last in self._places(start, end):
            if number == 8:
                name = _text(self._piece(first, last))
            elif number == 13:
                raise ValueError("its weights lie in another file; save it with them inside")
        return name

    def _places(self, start: int, end: int) -> Iterator[tuple[int, int, int]]:
        """The number, start and end of each field of bytes of the message that lies there."""
        at = start
        while at < end:
            self._file.seek(at)
            head = self._file.read(min(20, end - at))
            key, used = _varint(head, 0)
            length = 0
            if key & 7 == _BYTES:
                length, used = _varint(head, used)
            elif key & 7 == _VARINT:
                _, used = _varint(head, used)
            else:
                length = _fixed(key & 7)
            self._spend()
            at += used
            if at + length > end:
                raise ValueError("it was cut short")
            if key & 7 == _BYTES:
                yield key >> 3, at, at + length
            at += length

    def _piece(self, start: int, end: int) -> bytes:
        if end - start > _PIECE_MAX:
            raise ValueError("a name or shape in it is larger than 1 MiB")
        self._file.seek(start)
        return self._file.read(end - start)

    def _spend(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise ValueError(f"it has over {FIELDS_MAX:,} parts")


def _port(message: bytes) -> Port:
    """ValueInfoProto: 1 the name, 2 the type, whose 1 is of a tensor: 1 the kind, 2 the shape."""
    fields = dict(_fields(message))
    tensor = dict(_fields(_bytes(dict(_fields(_bytes(fields.get(2)))).get(1))))
    shape = tuple(_side(_bytes(side)) for _, side in _fields(_bytes(tensor.get(2))))
    kind = tensor.get(1, 0)
    dtype = _TYPES.get(kind, "unknown") if isinstance(kind, int) else "unknown"
    return Port(_text(fields.get(1)), dtype, shape)


def _side(message: bytes) -> int | None:
    """TensorShapeProto.Dimension: 1 is its number; below one it may be any, as without."""
    length = dict(_fields(message)).get(1)
    return length if isinstance(length, int) and 0 < length < 1 << 31 else None


def _fields(message: bytes) -> Iterator[Field]:
    """Each field's number and value."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, at = _varint(message, at)
            yield number, value
            continue
        length = _fixed(wire)
        if wire == _BYTES:
            length, at = _varint(message, at)
        if at + length > len(message):
            raise ValueError("it was cut short")
        yield number, message[at : at + length]
        at += length


def _fixed(wire: int) -> int:
    """How many bytes a value of this wire type takes; 0 of one that says so itself."""
    lengths = {_FIXED64: 8, _FIXED32: 4, _BYTES: 0}
    if wire not in lengths:
        raise ValueError("it is no protocol buffer")
    return lengths[wire]


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """The number that begins at ``at``, and where the next one does."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise ValueError("it was cut short")
        value |= (data[at] & 127) << shift
        at += 1
        if data[at - 1] < 128:
            return value, at
    raise ValueError("it is no protocol buffer")


def _bytes(value: Value | None) -> bytes:
    return value if isinstance(value, bytes) else b""


def _text(value: Value | None) -> str:
    return _bytes(value).decode("utf-8")

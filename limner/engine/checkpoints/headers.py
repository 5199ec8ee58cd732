"""What a file of tensors holds, whatever its container: names, number types, shapes, places."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

# Bytes of one number, by safetensors' names of the types.
SIZES: Mapping[str, int] = {
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1,
    "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1,
    "C64": 8, "C128": 16,
}  # fmt: skip
# The types that weights may be stored in.
FLOATS: Mapping[str, str] = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2",
}  # fmt: skip


# Not to be changed, though nothing keeps from it: a frozen one takes three times as long to make,
# and a library of models has a million.
@dataclass(slots=True)
class TensorInfo:
    """One tensor: ``dtype`` is safetensors' name (F16, F32, ...); ``offset`` in bytes of ``file``.

    ``strides`` (in numbers) where they do not lie in the order of the shape; ``scale`` is a tensor
    that this one is multiplied with, as in scaled 8-bit files; ``name`` is the one in the file.
    """

    dtype: str
    shape: tuple[int, ...]
    file: Path = Path()
    offset: int = 0
    strides: tuple[int, ...] | None = None
    scale: TensorInfo | None = None
    name: str = ""

    @property
    def count(self) -> int:
        return math.prod(self.shape)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def shaped(self, shape: tuple[int, ...]) -> TensorInfo:
        """The same numbers with other ones at the end of the shape."""
        strides = self.strides and (*self.strides, *[1] * len(shape))[: len(shape)]
        return replace(self, shape=shape, strides=strides)

    @property
    def span(self) -> int:
        """How many numbers of the file it reaches over, gaps of its strides included."""
        if self.strides is None or not self.count:
            return self.count
        return 1 + sum((n - 1) * s for n, s in zip(self.shape, self.strides, strict=True))


@dataclass(frozen=True)
class Header:
    """The tensors and the metadata of one file.

    ``stamp`` changes when the file does; ``notes`` say what is odd about it and was put right.
    """

    path: Path
    tensors: Mapping[str, TensorInfo]
    metadata: Mapping[str, str]
    stamp: str = ""
    pickled: bool = False
    notes: tuple[str, ...] = ()

    def shape(self, name: str, ndim: int | None = None) -> tuple[int, ...] | None:
        """The tensor's shape, or None where it is missing or has not ``ndim`` dimensions."""
        tensor = self.tensors.get(name)
        return tensor.shape if tensor and ndim in (None, tensor.ndim) else None

    def any(self, *prefixes: str) -> bool:
        """Whether some tensor's name begins with one of these."""
        return any(f"\n{prefix}" in self.lines for prefix in prefixes)

    @cached_property
    def lines(self) -> str:
        """The names as ``lines`` has them."""
        return lines(self.tensors)

    def parameters(self, prefix: str) -> int:
        """How many numbers lie under a prefix, CLIP's position ids not counted."""
        return sum(
            tensor.count
            for name, tensor in self.tensors.items()
            if name.startswith(prefix) and not name.endswith("position_ids")
        )

    @property
    def precision(self) -> str:
        """The type that most numbers have: ``float16``, ``bfloat16``, ``float32``, ..."""
        counts: dict[str, int] = {}
        for tensor in self.tensors.values():
            counts[tensor.dtype] = counts.get(tensor.dtype, 0) + tensor.count
        most = max(counts, key=counts.__getitem__, default="")
        return FLOATS.get(most, most.lower())


def lines(names: Iterable[str]) -> str:
    """All names, one a line, with a line break before the first and after the last.

    To look for something in one text is many times faster than in each name.
    """
    return "\n".join(("", *names, ""))


def stamp(path: Path) -> str:
    """Size, time and place of a file; another file's, or a changed one's, differ."""
    stat = path.stat()
    return f"{stat.st_size}:{stat.st_mtime_ns}:{stat.st_ino}"

"""What makes a picture larger: a way that is built in, or a file of the library."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field

BUILT_IN = ("Lanczos", "Nearest", "Scale2x")
"""Pillow's two ways, and the rule for pixel art that looks at a pixel's four neighbours."""

PASSES_MAX = 3
FACTOR_MAX = 16.0
PICTURE_BYTES_MAX = 192 << 20
"""Of the largest picture on the way, RGB: 8,192 pixels squared."""


class Upscaler(BaseModel):
    """By its name, and where it is a file by its SHA-256."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(max_length=500)
    sha256: str = Field("", max_length=64)

    @property
    def built_in(self) -> bool:
        """Whether it needs no file."""
        return self.name in BUILT_IN and not self.sha256


def covering(size: Sequence[int], wanted: Sequence[int]) -> tuple[int, ...]:
    """What a picture of ``size`` becomes where it covers ``wanted`` and nothing is cut yet."""
    ratio = max(most / side for side, most in zip(size, wanted, strict=True))
    return tuple(max(most, round(side * ratio)) for side, most in zip(size, wanted, strict=True))


def passes(scale: int, size: Sequence[int], wanted: Sequence[int]) -> int:
    """How often a network that makes pictures ``scale`` times as large runs until one of ``size``
    covers ``wanted``: once at least, ``PASSES_MAX`` times at most."""
    count, grown = 1, scale
    while (
        scale > 1
        and count < PASSES_MAX
        and any(side * grown < most for side, most in zip(size, wanted, strict=True))
    ):
        count, grown = count + 1, grown * scale
    return count

"""Values that are changed to what can be drawn or answered, each with a note that says so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from limner import imaging
from limner.domain import params


def side(name: str, pixels: int, notes: list[str]) -> int:
    """A side in whole latent pixels; what was taken off is noted."""
    floored = pixels - pixels % params.SIDE_MULTIPLE
    if floored != pixels:
        notes.append(
            f"{name} {pixels} was floored to {floored}, a multiple of {params.SIDE_MULTIPLE}"
        )
    return floored


def fitted(width: int, height: int, *, longest: int) -> tuple[int, int]:
    """A picture's own proportions in whole latent pixels, at most ``longest`` a side."""
    scale = min(1.0, longest / max(width, height))
    sides = (int(side * scale) for side in (width, height))
    fitted_width, fitted_height = (
        max(params.SIDE_MIN, side - side % params.SIDE_MULTIPLE) for side in sides
    )
    return fitted_width, fitted_height


def samples(samples: int, notes: list[str], *, all_fit: bool) -> int:
    """How many samples are drawn; what has no place in the answer is noted."""
    if samples == 1 or all_fit:
        return samples
    notes.append(
        f"one of {samples} samples was drawn and billed: this answer holds one picture; for all, "
        "send base64 true, output grid, or the header Accept: multipart/mixed"
    )
    return 1


def format(
    format: imaging.Format, given: Mapping[str, Any], notes: list[str], *, sprite: bool
) -> imaging.Format:
    """The format that is written: sprites are PNG, which is noted."""
    if not sprite:
        return format
    if given.get("output_format", "png") != "png":
        notes.append("output_format was ignored: sprites are PNG")
    return "png"

"""Sides in pixels, of which latents span several: they are floored, and that is told."""

from __future__ import annotations

from limner.domain.params import SIDE_MULTIPLE


def floored(field: str, pixels: int, notes: list[str]) -> int:
    """The next multiple of ``SIDE_MULTIPLE`` below; ``notes`` says so where that is another."""
    made = pixels - pixels % SIDE_MULTIPLE
    if made != pixels:
        notes.append(f"{field} {pixels} was floored to {made}, a multiple of {SIDE_MULTIPLE}")
    return made

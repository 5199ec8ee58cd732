"""Pixel art twice as large without a new colour: Scale2x (Mazzoleni 2001, EPX)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from limner.imaging.files import Pixels

Bits = npt.NDArray[np.bool_]


def scale2x(pixels: Pixels, wrap: tuple[bool, bool] = (False, False)) -> Pixels:
    """``pixels`` (h, w) or (h, w, 3) twice as large.

    Of the four pixels that one becomes, each takes the colour of the two neighbours that it lies
    between where these are alike and the two opposite ones are not. ``wrap``: the neighbours of the
    left edge are at the right one, those of the top at the bottom; else an edge is its own.
    """
    above, below = _moved(pixels, 0, wrap[1])
    left, right = _moved(pixels, 1, wrap[0])
    plain = ~(_same(above, below) | _same(left, right))
    made = pixels.repeat(2, 0).repeat(2, 1)
    for y, vertical in enumerate((above, below)):
        for x, across in enumerate((left, right)):
            meets = plain & _same(vertical, across)
            made[y::2, x::2][meets] = vertical[meets]
    return made


def _moved(pixels: Pixels, axis: int, wrap: bool) -> tuple[Pixels, Pixels]:
    """The neighbour before each pixel, and the one after it."""
    spread = [(0, 0)] * pixels.ndim
    spread[axis] = (1, 1)
    wide = np.pad(pixels, spread, mode="wrap" if wrap else "edge")
    before, _, after = (wide.take(range(n, n + pixels.shape[axis]), axis) for n in range(3))
    return before, after


def _same(one: Pixels, other: Pixels) -> Bits:
    equal: Bits = np.equal(one, other)
    return equal if equal.ndim == 2 else np.asarray(equal.all(-1))

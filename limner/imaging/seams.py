"""Pictures whose edges meet: how well they do, and what lies around them."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd

import numpy as np

from limner.domain.tiling import Axes
from limner.imaging.files import Pixels

Size = tuple[int, int]
"""Height and width."""

_REACH = 8
"""Pixels that a resampling looks beyond an edge at most, when it makes a picture larger."""


def scores(pixels: Pixels, axes: Axes, grain: int = 1) -> dict[str, float]:
    """For each of ``axes``, how the step over the edge compares to the steps within: 1 is alike.

    A step is the mean difference between neighbouring columns (of ``x``) or rows (of ``y``) of RGB
    (H, W, 3), whose true pixels are ``grain`` wide (sprites). Where there are no differences at
    all, the score is 1.
    """
    if not any(axes):
        return {}
    signed = pixels[grain // 2 :: grain, grain // 2 :: grain].astype(np.int16)
    numbers = {"x": 1, "y": 0}
    return {name: _score(signed, numbers[name]) for name, meets in axes._asdict().items() if meets}


def _score(signed: np.ndarray[tuple[int, ...], np.dtype[np.int16]], axis: int) -> float:
    steps = np.abs(signed - np.roll(signed, 1, axis))  # the first is that over the edge
    of_each = steps.mean(axis=tuple({0, 1, 2} - {axis}))
    within = float(of_each[1:].mean())
    return round(float(of_each[0]) / within, 3) if within else 1.0


def around(pixels: Pixels, axes: Axes, margin: int) -> tuple[Pixels, tuple[slice, slice]]:
    """``pixels`` (H, W, ...) with ``margin`` pixels more where edges meet, those from the opposite
    edge; and where in that the picture lies."""
    sides = [margin if meets else 0 for meets in (axes.y, axes.x)]
    widths = [(side, side) for side in sides] + [(0, 0)] * (pixels.ndim - 2)
    inside = tuple(slice(side, side + n) for side, n in zip(sides, pixels.shape, strict=False))
    return np.pad(pixels, widths, mode="wrap"), inside  # type: ignore[return-value]


@dataclass(frozen=True)
class Ring:
    """A picture that is made larger with some of its opposite edge on each side, and then cut.

    ``reads`` are the rows and columns of the picture of which that is made; ``large`` is its size
    once it is made larger, and ``inside`` where the picture lies in it then.
    """

    reads: tuple[list[int], list[int]]
    large: Size
    inside: tuple[slice, slice]

    @classmethod
    def of(cls, size: Size, to: Size, axes: Axes) -> Ring:
        """For a picture of ``size`` that is to be of size ``to``."""
        meets = (axes.y, axes.x)
        steps = [(n // gcd(n, m), m // gcd(n, m)) for n, m in zip(size, to, strict=True)]
        # As many steps as make whole pixels on both sides of the enlargement.
        counts = [-(-_REACH // own) if on else 0 for (own, _), on in zip(steps, meets, strict=True)]
        less = [own * n for (own, _), n in zip(steps, counts, strict=True)]
        reads = [[k % n for k in range(-m, n + m)] for n, m in zip(size, less, strict=True)]
        more = [grown * n for (_, grown), n in zip(steps, counts, strict=True)]
        large = (to[0] + 2 * more[0], to[1] + 2 * more[1])
        inside = (slice(more[0], more[0] + to[0]), slice(more[1], more[1] + to[1]))
        return cls((reads[0], reads[1]), large, inside)

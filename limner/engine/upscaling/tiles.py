"""A picture through an upscaler: in one piece where that is small enough, else in tiles.

A tile is given more of the picture than it is asked for, as far as the network looks; where that
is all of it, the tiles are those of the whole picture. Else they differ a little where they meet,
and fade into each other. No more is held than a tile takes, beside the two pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import torch

from limner.engine.batching.ticket import Pixels
from limner.engine.upscaling.nets import BLEND, TILE_BYTES, Net
from limner.errors import NotFinite

Floats = npt.NDArray[np.float32]
Span = tuple[int, int]
Wrap = tuple[bool, bool]
"""Whether a picture's left edge goes on at its right one, and its top at its bottom."""


def nothing() -> None:
    """For callers who never stop what they began."""


def run(
    net: Net,
    pixels: Pixels,
    wrap: Wrap = (False, False),
    proceed: Callable[[], None] = nothing,
    tile_bytes: int = TILE_BYTES,
) -> Pixels:
    """``pixels`` (h, w, 3), ``net.scale`` times as large.

    ``proceed`` is called before each tile; what it raises ends the work. Raises ``NotFinite``.
    """
    halos = tuple(net.halo if each else 0 for each in wrap)
    spread = ((halos[1],) * 2, (halos[0],) * 2, (0, 0))
    padded = np.pad(pixels, spread, mode="wrap") if any(wrap) else pixels
    height, width = pixels.shape[:2]
    whole = net.fits(padded.shape[0], padded.shape[1], tile_bytes)
    core = None if whole else net.core(tile_bytes)
    made = np.zeros((height * net.scale, width * net.scale, 3), np.uint8)
    for top in _spans(height, core):
        for left in _spans(width, core):
            proceed()
            rows, row = _given(top, net.halo, halos[1], padded.shape[0])
            columns, column = _given(left, net.halo, halos[0], padded.shape[1])
            tile = _through(net, padded[slice(*rows), slice(*columns)])
            _lay(made, tile, (top, left), (row, column), net.scale)
    return made


def _spans(length: int, core: int | None) -> Iterator[Span]:
    """What tiles are asked for along one side; a last one that is too short to fade is added to
    the one before it."""
    step = core or length
    starts = [at for at in range(0, length, step) if at == 0 or length - at > BLEND]
    yield from zip(starts, [*starts[1:], length], strict=True)


def _given(asked: Span, halo: int, before: int, length: int) -> tuple[Span, int]:
    """What a tile is given of a side of ``length``, which ``before`` pixels were put before; and
    where in that begins what it is asked for."""
    start, stop = asked[0] + before, asked[1] + before
    given = max(0, start - halo), min(length, stop + halo)
    return given, start - given[0]


def _through(net: Net, pixels: Pixels) -> Floats:
    """(h, w, 3) as float32 of 0 to 255."""
    image = torch.tensor(pixels, device=net.device).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        if net.channels == 1:
            made = torch.cat([net.run(image[:, n : n + 1].contiguous()) for n in range(3)], 1)
        else:
            made = net.run(image)
        if not bool(made.isfinite().all()):
            raise NotFinite("The upscaler made values that are not numbers.")
        return made[0].mul(255).permute(1, 2, 0).cpu().numpy()


def _lay(made: Pixels, tile: Floats, at: tuple[Span, Span], inside: Span, scale: int) -> None:
    """Lay what a tile was asked for into the picture, over the ends of those before it."""
    places, weights = [], []
    for (start, stop), begins, length in zip(at, inside, made.shape, strict=False):
        first = start - BLEND if start else 0
        last = min(stop + BLEND, length // scale)
        places.append((first * scale, last * scale, (begins - start + first) * scale))
        weights.append(_weights((last - first) * scale, BLEND * scale if start else 0))
    (top, bottom, y), (left, right, x) = places
    new = tile[y : y + bottom - top, x : x + right - left]
    old = made[top:bottom, left:right]
    share = (weights[0][:, None] * weights[1])[..., None]
    # What is there is rounded: between it and the same number unrounded lies nothing else.
    old[...] = np.rint(old + share * (new - old)).clip(0, 255).astype(np.uint8)


def _weights(length: int, fade: int) -> Floats:
    """How much of a tile counts along one side, where it begins with ``2 * fade`` of another."""
    weights = np.ones(length, np.float32)
    if fade:
        weights[: 2 * fade] = (np.arange(2 * fade, dtype=np.float32) + 0.5) / (2 * fade)
    return weights

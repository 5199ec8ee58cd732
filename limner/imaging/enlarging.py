"""Pictures made larger without a model, also those whose edges go on at the other side."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from PIL import Image

from limner.domain.upscalers import covering
from limner.imaging import fitting
from limner.imaging.files import Pixels
from limner.imaging.pixelart import scale2x

Wrap = tuple[bool, bool]
_RESIZING = 7  # bytes of a pixel: Pillow's four, and those of an array
_DOUBLING = 9  # three times those of the doubled picture, for its neighbours and where they agree
_LANCZOS_REACH = 3  # pixels, of the larger of the two sizes


def enlarge(
    name: str, pixels: Pixels, width: int, height: int, wrap: Wrap = (False, False)
) -> Pixels:
    """``pixels`` (h, w) or (h, w, 3) made to cover the size, by a way of ``upscalers.BUILT_IN``.

    What is over is cut in the middle. ``wrap``: the left edge goes on at the right one, the top at
    the bottom. Every way but ``Lanczos`` keeps a picture's own colours.
    """
    if pixels.shape[1::-1] == (width, height):
        return pixels
    return _WAYS[name](pixels, width, height, wrap)


def held(name: str, size: Sequence[int], wanted: Sequence[int]) -> int:
    """About the bytes that ``enlarge`` takes of a picture of ``size`` (height, width) in RGB."""
    if name != "Scale2x":
        return _RESIZING * math.prod(covering(size, wanted))
    height, width = size
    while height < wanted[0] or width < wanted[1]:
        height, width = 2 * height, 2 * width
    return _DOUBLING * height * width


def blended(pixels: Pixels, over: Pixels, share: float) -> Pixels:
    """``over`` laid on ``pixels`` of the same shape (h, w, c): 0 leaves them, 1 replaces them."""
    return np.asarray(Image.blend(Image.fromarray(pixels), Image.fromarray(over), share))


def _lanczos(pixels: Pixels, width: int, height: int, wrap: Wrap) -> Pixels:
    if not any(wrap):
        return fitting.enlarge(pixels, width, height)
    # Pillow looks beyond the box, at what is put round it here.
    h, w = pixels.shape[:2]
    most = max(1.0, w / width, h / height)
    x, y = (math.ceil(_LANCZOS_REACH * most) * each for each in wrap)
    spread = ((y, y), (x, x), (0, 0))[: pixels.ndim]
    image = Image.fromarray(np.pad(pixels, spread, mode="wrap"))
    # The middle of the proportions of the size, as it is cut elsewhere after.
    ratio = min(w / width, h / height)
    left, top = x + (w - ratio * width) / 2, y + (h - ratio * height) / 2
    box = (left, top, left + ratio * width, top + ratio * height)
    return np.asarray(image.resize((width, height), Image.Resampling.LANCZOS, box=box))


def _nearest(pixels: Pixels, width: int, height: int, _wrap: Wrap) -> Pixels:
    return fitting.enlarge(pixels, width, height, "Nearest")


def _scale2x(pixels: Pixels, width: int, height: int, wrap: Wrap) -> Pixels:
    while pixels.shape[0] < height or pixels.shape[1] < width:
        pixels = scale2x(pixels, wrap)
    return fitting.enlarge(pixels, width, height, "Nearest")


_WAYS: Mapping[str, Callable[[Pixels, int, int, Wrap], Pixels]] = {
    "Lanczos": _lanczos,
    "Nearest": _nearest,
    "Scale2x": _scale2x,
}

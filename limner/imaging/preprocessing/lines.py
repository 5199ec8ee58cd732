"""Lines of a picture: white on black."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from limner.imaging.files import Pixels

Plane = npt.NDArray[np.float32]

_SOFT_SIGMA = 1.5
_XDOG_SIGMAS = 0.5, 5.0  # of the fine and the broad blur


def _ndimage() -> Any:
    from scipy import ndimage  # the third of a second that it takes is spent by who needs it

    return ndimage


def luminance(pixels: Pixels) -> Plane:
    """Y of ITU-R BT.601, (H, W), 0 to 255."""
    weights = np.array([0.299, 0.587, 0.114], np.float32)
    grey: Plane = pixels.astype(np.float32) @ weights
    return grey


def canny(pixels: Pixels, low: float, high: float) -> Pixels:
    """Canny's edges (1986): 3x3 Sobel, thinned across the edge, followed from ``high`` to ``low``.

    The strength of an edge is the sum of both derivatives' magnitudes, as in OpenCV.
    """
    grey = np.round(luminance(pixels))
    dx, dy = _sobel(grey)
    strength = _thinned(np.abs(dx) + np.abs(dy), dx, dy)
    low, high = sorted((low, high))
    parts, count = _ndimage().label(strength > low, np.ones((3, 3)))
    strong = np.zeros(count + 1, bool)
    strong[np.unique(parts[strength > high])] = True
    strong[0] = False
    return _rgb(np.where(strong[parts], np.uint8(255), np.uint8(0)))


def _sobel(grey: Plane) -> tuple[Plane, Plane]:
    """The derivatives along x and y; edges are repeated."""
    sobel = _ndimage().sobel
    return sobel(grey, 1, mode="nearest"), sobel(grey, 0, mode="nearest")


def _thinned(strength: Plane, dx: Plane, dy: Plane) -> Plane:
    """Where it is not below its neighbours across the edge; elsewhere 0."""
    around = np.pad(strength, 1)
    height, width = strength.shape
    ax, ay = np.abs(dx), np.abs(dy)
    tangent = np.float32(np.tan(np.pi / 8))
    slope = np.where(dx * dy > 0, 1, -1)  # of the gradient, in rows a column
    step_y = np.where(ay <= tangent * ax, 0, np.where(ax <= tangent * ay, 1, slope))
    step_x = np.where((step_y == 1) & (ax <= tangent * ay), 0, 1)
    y, x = np.mgrid[1 : height + 1, 1 : width + 1]
    before, after = around[y - step_y, x - step_x], around[y + step_y, x + step_x]
    return np.where((strength > before) & (strength >= after), strength, np.float32(0))


def softedge(pixels: Pixels) -> Pixels:
    """The length of the gradient of a slightly blurred picture, the strongest white."""
    grey = _ndimage().gaussian_filter(luminance(pixels), _SOFT_SIGMA, mode="nearest")
    length = np.hypot(*_sobel(grey))
    return _rgb(_levels(length * (255 / max(float(length.max()), 1.0))))


def scribble(pixels: Pixels, threshold: float) -> Pixels:
    """White where a fine blur is darker than a broad one, in some colour, by over ``threshold``.

    The difference of Gaussians of Winnemöller's XDoG (2011), twice, held against a level.
    """
    fine, broad = (_blurred(pixels, sigma) for sigma in _XDOG_SIGMAS)
    difference = _levels(255 - (broad - fine).min(axis=2))
    strokes = 2 * (255 - difference.astype(np.int16)) > threshold
    return _rgb(np.where(strokes, np.uint8(255), np.uint8(0)))


def lineart(pixels: Pixels, sigma: float) -> Pixels:
    """How much darker it is than its surroundings, in every colour; half white at the median."""
    darker = (_blurred(pixels, sigma) - pixels).min(axis=2).clip(0, 255)
    seen = darker[darker > 8]
    middle = max(16.0, float(np.median(seen))) if seen.size else 16.0
    return _rgb(_levels(darker * (127 / middle)))


def threshold(pixels: Pixels, level: float) -> Pixels:
    """White where the luminance is above ``level``."""
    return _rgb(np.where(luminance(pixels) > level, np.uint8(255), np.uint8(0)))


def _blurred(pixels: Pixels, sigma: float) -> Plane:
    blurred: Plane = _ndimage().gaussian_filter(
        pixels.astype(np.float32), (sigma, sigma, 0), mode="nearest"
    )
    return blurred


def _levels(values: Any) -> Pixels:
    return np.asarray(np.clip(np.round(values), 0, 255), np.uint8)


def _rgb(grey: Pixels) -> Pixels:
    return np.repeat(grey[:, :, None], 3, axis=2)

"""How a picture looks from afar: its colours, without its details or in another order."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from limner.imaging.files import Pixels

_BOX, _BICUBIC, _NEAREST = (
    Image.Resampling.BOX, Image.Resampling.BICUBIC, Image.Resampling.NEAREST,
)  # fmt: skip
_WAVE = 256  # pixels between the places that are moved by chance


def invert(pixels: Pixels) -> Pixels:
    """255 less each."""
    return 255 - pixels


def tile(pixels: Pixels, rate: float) -> Pixels:
    """The mean of squares of ``rate`` pixels, enlarged again; 1 changes nothing."""
    return _through(pixels, rate, _BICUBIC)


def colour(pixels: Pixels, size: float) -> Pixels:
    """Squares of ``size`` pixels in their mean colours."""
    return _through(pixels, size, _NEAREST)


def blur(pixels: Pixels, sigma: float) -> Pixels:
    """Convolved with a Gaussian."""
    from scipy import ndimage

    blurred = ndimage.gaussian_filter(pixels.astype(np.float32), (sigma, sigma, 0), mode="nearest")
    return np.asarray(np.round(blurred), np.uint8)


def shuffle(pixels: Pixels, seed: float) -> Pixels:
    """Each pixel from somewhere else, neighbours from near each other; the same for one ``seed``.

    Where to look follows smooth noise that goes from one side of the picture to the other.
    """
    height, width = pixels.shape[:2]
    drawn = np.random.Generator(np.random.Philox(int(seed)))
    y, x = (_smooth(drawn, height, width) * (side - 1) for side in (height, width))
    return np.asarray(pixels[np.round(y).astype(int), np.round(x).astype(int)])


def _smooth(drawn: np.random.Generator, height: int, width: int) -> npt.NDArray[np.float32]:
    """From 0 to 1, (height, width)."""
    coarse = drawn.random((height // _WAVE + 2, width // _WAVE + 2)).astype(np.float32)
    smooth = np.asarray(Image.fromarray(coarse).resize((width, height), _BICUBIC))
    span = max(float(np.ptp(smooth)), 1e-6)
    return np.asarray((smooth - smooth.min()) / span, np.float32)


def _through(pixels: Pixels, rate: float, enlarged: Image.Resampling) -> Pixels:
    height, width = pixels.shape[:2]
    small = max(1, round(width / rate)), max(1, round(height / rate))
    if small == (width, height):
        return pixels
    return np.asarray(Image.fromarray(pixels).resize(small, _BOX).resize((width, height), enlarged))

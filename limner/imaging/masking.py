"""A picture of which a part is repainted: that part cut out, filled, and laid over the rest.

Masks are uint8 (height, width): 0 keeps, 255 repaints; pictures are RGB. Regions, filling and the
order of both are AUTOMATIC1111's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image, ImageFilter

from limner.domain.masking import BLUR_MAX, Masking
from limner.imaging.files import Pixels
from limner.imaging.fitting import enlarge, fit, fit_mask

Box = tuple[int, int, int, int]
"""Left, top, right and bottom in pixels; right and bottom are the first outside."""

# How far colours are spread into what is masked, in pixels, and how often each is laid on:
# the widest first, so that what is near comes out on top.
_SPREAD = ((256, 1), (64, 1), (16, 2), (4, 4), (2, 2))


@dataclass(frozen=True, eq=False)
class Region:
    """What of a picture (H, W, 3) is drawn at ``size`` where only the masked part is.

    The picture and its binary ``mask`` (H, W), as they are used by ``masking``.
    """

    picture: Pixels
    mask: Pixels
    masking: Masking
    size: tuple[int, int]

    @cached_property
    def touched(self) -> tuple[Box, Pixels]:
        """The box outside of which no pixel changes, and the softened mask within it."""
        reach = tuple(3 * blur + 3 if blur else 0 for blur in self.masking.blur)
        box = _padded(_box_of(self.mask), reach, self.mask.shape)
        soft = feather(_cut(self.mask, box), self.masking.blur)
        left, top, right, bottom = _box_of(soft)
        found = box[0] + left, box[1] + top, box[0] + right, box[1] + bottom
        return found, soft[top:bottom, left:right]

    @cached_property
    def box(self) -> Box:
        """What is touched with its padding, grown to the proportions of the size to draw."""
        padding = self.masking.mask_padding
        padded = _padded(self.touched[0], (padding, padding), self.mask.shape)
        return _widened(padded, self.size[0] / self.size[1], self.mask.shape)

    def fitted(self) -> tuple[Pixels, Pixels]:
        """The picture and the mask of the box, at the size to draw."""
        picture, mask = (
            Image.fromarray(_cut(each, self.box)) for each in (self.picture, self.mask)
        )
        drawn = fit(picture, *self.size, "fill"), fit_mask(mask, *self.size, "fill")
        return np.asarray(drawn[0]), np.asarray(drawn[1])

    def pasted(self, drawn: Pixels) -> Pixels:
        """The whole picture, with what was ``drawn`` of the box brought back to its size."""
        picture, mask = self.fitted()
        laid = overlay(drawn, picture, feather(mask, self._blur))
        left, top, right, bottom = self.box
        back = enlarge(laid, right - left, bottom - top)
        (x, y, x_end, y_end), soft = self.touched
        result = self.picture.copy()
        part = result[y:y_end, x:x_end]
        part[:] = overlay(back[y - top : y_end - top, x - left : x_end - left], part, soft)
        return result

    @property
    def changes(self) -> bool:
        """Whether anything is drawn, and seen in the picture."""
        return bool(self.touched[1].any() and self.fitted()[1].any())

    @property
    def _blur(self) -> tuple[int, int]:
        """The pixels of the blur as they are at the size to draw."""
        left, top, right, bottom = self.box
        scale = min(self.size[0] / (right - left), self.size[1] / (bottom - top))
        across, down = (min(BLUR_MAX, round(blur * scale)) for blur in self.masking.blur)
        return across, down


def feather(mask: Pixels, blur: int | tuple[int, int]) -> Pixels:
    """The mask softened by a Gaussian of ``blur`` pixels, to both sides of its edge."""
    if blur in (0, (0, 0)):
        return mask
    return np.asarray(Image.fromarray(mask).filter(ImageFilter.GaussianBlur(blur)))


def overlay(drawn: Pixels, source: Pixels, mask: Pixels) -> Pixels:
    """``drawn`` where ``mask`` (H, W) is 255, ``source`` where it is 0, between them a blend."""
    weight = mask[:, :, None].astype(np.uint16)
    mixed = drawn * weight + source * (255 - weight)
    return ((mixed + 127) // 255).astype(np.uint8)


def filled(picture: Pixels, mask: Pixels) -> Pixels:
    """The picture with the colours around the mask spread over what is masked."""
    known = Image.fromarray(picture).convert("RGBA")
    known.putalpha(Image.fromarray(255 - mask))
    known = known.convert("RGBa")  # by alpha, so that what is masked has no colour to spread
    result = Image.new("RGBA", known.size)
    for radius, times in _SPREAD:
        spread = known.filter(ImageFilter.GaussianBlur(radius)).convert("RGBA")
        for _ in range(times):
            result.alpha_composite(spread)
    result.alpha_composite(known.convert("RGBA"))
    return np.asarray(result.convert("RGB"))


def _box_of(mask: Pixels) -> Box:
    """Of what is marked; all of it where a blur has left nothing."""
    return Image.fromarray(mask).getbbox() or (0, 0, mask.shape[1], mask.shape[0])


def _cut(pixels: Pixels, box: Box) -> Pixels:
    left, top, right, bottom = box
    return np.ascontiguousarray(pixels[top:bottom, left:right])


def _padded(box: Box, by: tuple[int, ...], shape: tuple[int, ...]) -> Box:
    """``box`` with so many pixels across and down on each side, as far as the picture goes."""
    (left, top, right, bottom), (across, down), (height, width) = box, by, shape
    return (
        max(left - across, 0),
        max(top - down, 0),
        min(right + across, width),
        min(bottom + down, height),
    )


def _widened(box: Box, ratio: float, shape: tuple[int, ...]) -> Box:
    """``box`` grown to both sides to be ``ratio`` times as wide as high, where there is room."""
    (left, top, right, bottom), (height, width) = box, shape
    if (right - left) / (bottom - top) > ratio:
        more = (right - left) / ratio - (bottom - top)
        top, bottom = _grown(top, bottom, math.floor(more), height)
    else:
        more = (bottom - top) * ratio - (right - left)
        left, right = _grown(left, right, math.floor(more), width)
    return left, top, right, bottom


def _grown(low: int, high: int, by: int, limit: int) -> tuple[int, int]:
    """A side grown by ``by`` pixels about its middle, and moved to lie within 0 to ``limit``."""
    low, high = low - by // 2, high + by - by // 2
    moved = min(0, limit - high)
    low, high = low + moved, high + moved
    return max(low, 0), min(high - min(low, 0), limit)

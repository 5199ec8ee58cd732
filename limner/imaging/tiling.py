"""Tiles of a large picture, laid over each other without a seam; and boxes as masks."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from limner.domain.parts import Box, SdUpscale
from limner.imaging.files import Pixels
from limner.imaging.masking import overlay


def cut(picture: Pixels, box: Box) -> Pixels:
    """The pixels of ``box``."""
    left, top, right, bottom = box
    return np.ascontiguousarray(picture[top:bottom, left:right])


def marked(height: int, width: int, box: Box) -> Pixels:
    """A mask (height, width) that repaints ``box``."""
    left, top, right, bottom = box
    mask = np.zeros((height, width), np.uint8)
    mask[top:bottom, left:right] = 255
    return mask


@dataclass(frozen=True, eq=False)
class Canvas:
    """A picture (H, W, 3) into which tiles are laid, row by row from the left.

    A tile fades in over ``overlap`` pixels beside its neighbour, and a row, whole, over the row
    above, as in AUTOMATIC1111's grids: laid tile by tile, the right edge of one would show where
    the next row fades in. ``above`` and ``row`` (overlap, W, 3) are the pixels of that fade, before
    the row and of the row alone.
    """

    upscale: SdUpscale
    picture: Pixels
    above: Pixels
    row: Pixels

    @classmethod
    def of(cls, picture: Pixels, upscale: SdUpscale) -> Canvas:
        """With no tile yet."""
        return cls(upscale, picture, picture[:0], picture[:0])

    def laid(self, number: int, drawn: Pixels) -> Canvas:
        """With tile ``number``, which is next, as it was ``drawn``."""
        left, top, right, bottom = self.upscale.tiles[number]
        overlap = self.upscale.overlap if top else 0
        picture, above, row = self.picture.copy(), self.above, self.row.copy()
        if left == 0:
            above = picture[top : top + overlap].copy()
            row = above.copy()
        across = fading(right - left, self.upscale.overlap if left else 0)[None, :]
        place = slice(left, right)
        row[:, place] = overlay(drawn[:overlap], row[:, place], across)
        whole = picture[top + overlap : bottom, place]
        whole[:] = overlay(drawn[overlap : bottom - top, : right - left], whole, across)
        down = fading(overlap, overlap)[:, None]
        picture[top : top + overlap, place] = overlay(row[:, place], above[:, place], down)
        return replace(self, picture=picture, above=above, row=row)


def fading(side: int, overlap: int) -> Pixels:
    """How much of a tile shows from its edge on: 0, and 255 after ``overlap`` pixels."""
    weights = np.full(side, 255, np.uint8)
    weights[:overlap] = np.arange(overlap) * 255 // max(1, overlap)
    return weights

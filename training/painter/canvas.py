"""A small canvas on which shapes become shaded, dithered, outlined pixels.

Shapes are given in doll units (x to the right, y downwards, the feet at the origin), so that one
drawing serves every framing and size; the canvas turns them into pixel masks of (height, width).
"""

from __future__ import annotations

import numpy as np

from training.palette import OUTLINE

BAYER = (
    np.array([[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]], dtype=np.float32) + 0.5
) / 16
"""Thresholds in 0..1 of ordered dithering."""


class Canvas:
    """A picture under construction: the ground, and the figure that stands before it.

    `rgb` (height, width, 3) holds colours 0..255 and `alpha` (height, width) tells which pixels
    belong to the figure. `place` sets where the doll's origin lies and how many pixels a unit is.
    """

    def __init__(self, height: int, width: int) -> None:
        self.height, self.width = height, width
        self.rgb = np.zeros((height, width, 3), np.float32)
        self.alpha = np.zeros((height, width), bool)
        rows = np.arange(height, dtype=np.float32)[:, None] + 0.5
        columns = np.arange(width, dtype=np.float32)[None, :] + 0.5
        self.rows = np.broadcast_to(rows, (height, width))
        self.columns = np.broadcast_to(columns, (height, width))
        tiles = (height + 3) // 4, (width + 3) // 4
        self.bayer = np.tile(BAYER, tiles)[:height, :width]
        self.light = -1.0
        self.place(width / 2, height - 2, 1.0)

    def place(self, x: float, y: float, unit: float, mirror: bool = False) -> None:
        """Put the doll's origin at pixel (x, y), one unit being `unit` pixels wide."""
        self.unit = unit
        side = -1.0 if mirror else 1.0
        self.x = (self.columns - x) * (side / unit)
        self.y = (self.rows - y) / unit
        self.light = -side

    # Shapes: masks (height, width) from doll units.

    def ellipse(self, cx: float, cy: float, rx: float, ry: float) -> np.ndarray:
        """The disc round (cx, cy) with the radii rx and ry."""
        return ((self.x - cx) / rx) ** 2 + ((self.y - cy) / ry) ** 2 <= 1.0

    def box(self, left: float, top: float, right: float, bottom: float) -> np.ndarray:
        """The upright rectangle."""
        inside = (self.x >= left) & (self.x < right)
        return inside & (self.y >= top) & (self.y < bottom)

    def taper(self, top: float, bottom: float, over: float, under: float, cx: float = 0.0):
        """An upright trapezium round cx: half as wide as `over` at its top, `under` below."""
        share = (self.y - top) / (bottom - top)
        inside = (share >= 0) & (share < 1)
        return inside & (np.abs(self.x - cx) <= over + (under - over) * share)

    def bar(self, x0: float, y0: float, x1: float, y1: float, width: float) -> np.ndarray:
        """A straight bar with round ends; never thinner than about a pixel."""
        dx, dy = x1 - x0, y1 - y0
        length = dx * dx + dy * dy + 1e-6
        share = np.clip(((self.x - x0) * dx + (self.y - y0) * dy) / length, 0, 1)
        gap = np.hypot(self.x - x0 - share * dx, self.y - y0 - share * dy)
        return gap <= max(width / 2, 0.56 / self.unit)

    def polygon(self, *points: tuple[float, float]) -> np.ndarray:
        """A polygon by the even-odd rule."""
        inside = np.zeros((self.height, self.width), bool)
        for (x0, y0), (x1, y1) in zip(points, points[1:] + points[:1], strict=True):
            if y0 == y1:
                continue
            crosses = (self.y >= min(y0, y1)) & (self.y < max(y0, y1))
            inside ^= crosses & (self.x < x0 + (self.y - y0) * (x1 - x0) / (y1 - y0))
        return inside

    # Paint.

    def put(
        self,
        mask: np.ndarray,
        ramp: np.ndarray,
        shine: float = 0.5,
        line: bool = True,
        flat: float | None = None,
        soft: float = 1.0,
    ) -> None:
        """Lay a shaded part over the figure, with a dark line where it meets what lies below.

        `ramp` (5, 3) gives the tones. `shine` 0..1 spreads the tones: cloth is dull, metal bright.
        `flat` 0..1 replaces the modelling by one tone; `soft` below 1 draws it towards the base.
        """
        if not mask.any():
            return
        if line:
            border = _grown(mask) & ~mask & self.alpha
            self.rgb[border] = ramp[0]
        tone = self._tones(mask, shine, soft) if flat is None else np.full(mask.sum(), flat)
        level = np.clip(1 + np.floor(tone * 4), 1, 4).astype(int)
        self.rgb[mask] = ramp[level]
        self.alpha |= mask

    def _tones(self, mask: np.ndarray, shine: float, soft: float) -> np.ndarray:
        """Tones 0..1 of the mask's pixels: a round body lit from the upper left, dithered."""
        rows, columns = np.nonzero(mask)
        across = _spread(columns) * self.light
        down = _spread(rows)
        bulge = 1 - 0.5 * (across**2 + down**2)
        lit = 0.40 + 0.20 * across - 0.22 * down + (0.16 + 0.26 * shine) * (bulge - 0.6)
        lit = 0.38 + soft * (lit - 0.38)
        return np.clip(lit + 0.12 * (self.bayer[mask] - 0.5), 0, 0.999)

    def dot(self, mask: np.ndarray, colour: np.ndarray | tuple[float, float, float]) -> None:
        """Flat colour without line or shade: eyes, buckles, sparks."""
        self.rgb[mask] = colour
        self.alpha |= mask

    def spot(self, x: float, y: float, colour, size: float = 1.0) -> None:
        """A dot of about `size` units, at least the pixel that holds (x, y)."""
        half = max(size / 2, 0.5 / self.unit)
        self.dot(self.box(x - half, y - half, x + half, y + half), colour)

    def shade(self, mask: np.ndarray, factor: float) -> None:
        """Darken (or lighten) pixels of the figure."""
        self.rgb[mask & self.alpha] *= factor

    def outline(self) -> None:
        """Close the figure with a dark line one pixel wide round its silhouette."""
        border = _grown(self.alpha) & ~self.alpha
        self.rgb[border] = self.rgb[border] * 0.12 + OUTLINE * 0.88
        self.alpha |= border

    def dithered(self, value: np.ndarray, colours: np.ndarray) -> np.ndarray:
        """Colours (height, width, 3) for values 0..1 spread over a list of colours (n, 3).

        Two steps are put between neighbouring colours, so that the pattern stays quiet.
        """
        stops = np.linspace(0, len(colours) - 1, 3 * len(colours) - 2)
        steps = np.stack([np.interp(stops, range(len(colours)), c) for c in colours.T], axis=1)
        level = np.floor(value * (len(steps) - 1) + self.bayer).astype(int)
        return steps[np.clip(level, 0, len(steps) - 1)].astype(np.float32)


def _spread(positions: np.ndarray) -> np.ndarray:
    """Pixel positions as -1..1 over their own range."""
    low, high = positions.min(), positions.max()
    return (positions - (low + high) / 2) / max((high - low) / 2, 0.5)


def _grown(mask: np.ndarray) -> np.ndarray:
    """The mask and its four neighbours."""
    grown = mask.copy()
    grown[1:] |= mask[:-1]
    grown[:-1] |= mask[1:]
    grown[:, 1:] |= mask[:, :-1]
    grown[:, :-1] |= mask[:, 1:]
    return grown

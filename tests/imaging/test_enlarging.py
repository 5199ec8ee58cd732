"""Pictures made larger without a model."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from limner.imaging.enlarging import enlarge
from limner.imaging.pixelart import scale2x

PIXELS = np.random.default_rng(2).integers(0, 3, (12, 9, 3), np.uint8) * 100


def plain_scale2x(p):
    """The published rule, pixel by pixel."""
    h, w = p.shape[:2]
    made = np.zeros((2 * h, 2 * w, *p.shape[2:]), np.uint8)
    for y in range(h):
        for x in range(w):
            b, d = p[max(y - 1, 0), x], p[y, max(x - 1, 0)]
            f, i = p[y, min(x + 1, w - 1)], p[min(y + 1, h - 1), x]
            e = p[y, x]
            same = np.array_equal
            corners = [e, e, e, e]
            if not same(b, i) and not same(d, f):
                corners = [d if same(d, b) else e, f if same(b, f) else e,
                           d if same(d, i) else e, f if same(i, f) else e]  # fmt: skip
            made[2 * y, 2 * x], made[2 * y, 2 * x + 1] = corners[:2]
            made[2 * y + 1, 2 * x], made[2 * y + 1, 2 * x + 1] = corners[2:]
    return made


@pytest.mark.parametrize("pixels", [PIXELS, PIXELS[..., 0]])
def test_scale2x_is_the_published_rule(pixels):
    two = pixels // 100 % 2 * 255  # few colours, so that neighbours are alike
    assert np.array_equal(scale2x(two), plain_scale2x(two))
    assert not np.array_equal(scale2x(two), two.repeat(2, 0).repeat(2, 1))


def test_lanczos_and_nearest_are_pillows():
    for name, how in (("Lanczos", Image.Resampling.LANCZOS), ("Nearest", Image.Resampling.NEAREST)):
        expected = np.asarray(Image.fromarray(PIXELS).resize((18, 24), how))
        assert np.array_equal(enlarge(name, PIXELS, 18, 24), expected)


@pytest.mark.parametrize("name", ["Lanczos", "Scale2x", "Nearest"])
def test_a_picture_that_tiles_is_enlarged_as_a_part_of_its_repetition(name):
    middle = slice(24, 48), slice(18, 36)
    repeated = enlarge(name, np.tile(PIXELS, (3, 3, 1)), 54, 72)[middle]
    made = enlarge(name, PIXELS, 18, 24, (True, True))
    assert np.abs(made.astype(int) - repeated).max() <= (name == "Lanczos")

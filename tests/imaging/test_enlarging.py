"""Pictures made larger without a model."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from PIL import Image

from limner.domain.upscalers import covering
from limner.imaging import enlarging
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


@pytest.mark.parametrize("wanted", [(512, 512), (700, 300), (90, 1000)])
@pytest.mark.parametrize("name", ["Lanczos", "Nearest", "Scale2x"])
def test_it_holds_no_more_than_is_told_before(name: str, wanted: tuple[int, int]) -> None:
    """Of the doubling all is NumPy's; what Pillow holds is not seen here."""
    pixels = np.random.default_rng(1).integers(0, 3, (64, 80, 3), np.uint8) * 90
    tracemalloc.start()
    made = enlarging.enlarge(name, pixels, wanted[1], wanted[0])
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert made.shape == (*wanted, 3)
    assert most <= enlarging.held(name, (64, 80), wanted)


def test_a_doubled_picture_is_counted_before_it_is_cut() -> None:
    doubled = scale2x(scale2x(np.zeros((10, 8, 3), np.uint8)))
    assert enlarging.held("Scale2x", (10, 8), (40, 1)) >= 3 * doubled.nbytes


@pytest.mark.parametrize(
    ("size", "wanted", "large"),
    [
        ((24, 32), (48, 64), (48, 64)),
        ((32, 24), (16_384, 1), (16_384, 12_288)),
        ((24, 32), (12, 16), (12, 16)),
    ],
)
def test_what_covers_a_size_keeps_the_proportions(
    size: tuple[int, int], wanted: tuple[int, int], large: tuple[int, int]
) -> None:
    assert covering(size, wanted) == large

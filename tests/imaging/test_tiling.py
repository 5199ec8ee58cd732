"""Tiles over each other: the whole is covered, and nowhere does one begin at once."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limner.domain.parts import SdUpscale
from limner.imaging import tiling


@settings(max_examples=60, deadline=None)
@given(
    size=st.tuples(st.integers(128, 400), st.integers(128, 400)),
    tile=st.tuples(st.sampled_from((64, 96, 128)), st.sampled_from((64, 128))),
    overlap=st.integers(0, 32),
)
def test_tiles_cover_the_picture_and_overlap_enough(size, tile, overlap):
    boxes = SdUpscale(
        width=size[0], height=size[1], tile_width=tile[0], tile_height=tile[1], overlap=overlap
    ).tiles
    covered = np.zeros(size[::-1], bool)
    for left, top, right, bottom in boxes:
        assert (right - left, bottom - top) == tile
        assert 0 <= left <= right <= size[0]
        assert 0 <= top <= bottom <= size[1]
        covered[top:bottom, left:right] = True
    assert covered.all()
    for side, length, low in ((0, tile[0], size[0]), (1, tile[1], size[1])):
        starts = sorted({box[side] for box in boxes})
        assert starts[0] == 0
        assert starts[-1] + length == max(low, length)
        assert all(b <= a + length - overlap for a, b in pairwise(starts))


@pytest.mark.parametrize("overlap", [8, 32])
def test_no_seam_is_seen_between_tiles_of_any_two_colours(overlap):
    upscale = SdUpscale(width=300, height=240, tile_width=96, tile_height=96, overlap=overlap)
    rng = np.random.default_rng(overlap)
    canvas = tiling.Canvas.of(np.full((240, 300, 3), 90, np.uint8), upscale)
    for number in range(len(upscale.tiles)):
        colour = rng.integers(0, 256, 3).astype(np.uint8)
        canvas = canvas.laid(number, np.broadcast_to(colour, (96, 96, 3)))
    made = canvas.picture.astype(int)
    steepest = max(np.abs(np.diff(made, axis=axis)).max() for axis in (0, 1))
    assert steepest <= 255 / overlap + 3
    assert len(np.unique(made)) > 20


def test_laying_changes_no_canvas_that_was_there():
    upscale = SdUpscale(width=160, height=100, tile_width=96, tile_height=96, overlap=16)
    large = np.full((100, 160, 3), 90, np.uint8)
    first = tiling.Canvas.of(large, upscale).laid(0, np.full((96, 96, 3), 7, np.uint8))
    before = first.picture.copy()
    first.laid(1, np.full((96, 96, 3), 250, np.uint8))
    assert np.array_equal(first.picture, before)
    assert (large == 90).all()
    assert (before[:96, :96] == 7).all()


def test_a_box_as_a_mask():
    mask = tiling.marked(20, 30, (5, 2, 9, 20))
    assert mask.shape == (20, 30)
    assert (np.argwhere(mask).min(0).tolist(), np.argwhere(mask).max(0).tolist()) == (
        [2, 5], [19, 8],
    )  # fmt: skip
    assert (mask == 255).sum() == 4 * 18

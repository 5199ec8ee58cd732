"""A picture on its canvas: where it lies, what is painted, what is refused."""

import numpy as np
import pytest

from limner.errors import InvalidInput
from limner.imaging.canvas import place

PICTURE = np.random.default_rng(1).integers(0, 255, (40, 60, 3), dtype=np.uint8)


def placed(picture=PICTURE, **more):
    fields = {
        "width": 128, "height": 96, "scale": 1.0, "offset_x": 0, "offset_y": 0, "mask_expand": 0,
    }  # fmt: skip
    return place(picture, **{**fields, **more})


def test_the_picture_lies_at_its_offset_and_all_else_is_painted():
    canvas, mask = placed(offset_x=10, offset_y=20)
    assert canvas.shape == (96, 128, 3)
    assert mask.shape == (96, 128)
    assert np.array_equal(canvas[20:60, 10:70], PICTURE)
    assert not mask[20:60, 10:70].any()
    assert np.count_nonzero(mask == 255) == 96 * 128 - 40 * 60


def test_the_empty_part_repeats_the_edges():
    canvas, _ = placed(offset_x=10, offset_y=20)
    assert np.array_equal(canvas[95, 10:70], PICTURE[-1])
    assert np.array_equal(canvas[20:60, 0], PICTURE[:, 0])


def test_the_mask_reaches_into_the_picture_where_it_borders_on_nothing():
    _, mask = placed(offset_x=10, mask_expand=8)
    assert not mask[:32, 18:62].any()  # at the top it lies on the canvas's edge
    assert np.count_nonzero(mask == 0) == 32 * 44


def test_scaling():
    _, mask = placed(scale=0.5)
    assert np.count_nonzero(mask == 0) == 20 * 30
    flat, _ = placed(np.full((40, 60, 3), 90, np.uint8), scale=0.5)
    assert (flat == 90).all()


def test_what_leaves_the_canvas_is_cut():
    ramp = np.repeat(np.arange(60, dtype=np.uint8)[None, :, None], 40, 0).repeat(3, 2)
    canvas, mask = placed(ramp, scale=4.0, offset_x=64)
    assert not mask[:, 64:].any()
    assert canvas[50, 127, 0] == pytest.approx(16, abs=1)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"offset_x": 128}, "offset_x 128 and offset_y 0 leave nothing"),
        ({"offset_y": 500}, "leave nothing of the picture on the canvas of 128x96"),
        ({"scale": 0.2, "offset_x": 8, "mask_expand": 8}, "mask_expand is 8.*it is 12x8"),
    ],
)
def test_what_leaves_nothing_is_refused(fields, sentence):
    with pytest.raises(InvalidInput, match=sentence):
        placed(**fields)


def test_huge_scales_cost_no_more_than_the_canvas():
    canvas, mask = placed(np.full((2000, 2000, 3), 5, np.uint8), scale=10.0)
    assert (canvas == 5).all()
    assert not mask.any()

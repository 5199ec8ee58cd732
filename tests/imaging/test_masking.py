"""The region that a mask draws, and how it comes back into the picture, against Pillow's own."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from limner.domain.masking import Masking
from limner.imaging import masking

NAME = "0" * 64


def picture(width, height, seed=1):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def box_mask(width, height, box):
    mask = Image.new("L", (width, height))
    mask.paste(255, box)
    return np.asarray(mask)


def region(mask, size=(512, 512), padding=32, **said):
    height, width = mask.shape
    said = Masking(mask_sha256=NAME, only_masked=True, mask_padding=padding, **said)
    return masking.Region(picture(width, height), mask, said, size)


@pytest.mark.parametrize(
    ("box", "size", "padding", "found"),
    [
        ((400, 300, 500, 400), (512, 512), 32, (368, 268, 532, 432)),
        # Grown to the proportions, about its middle.
        ((400, 300, 500, 400), (768, 512), 0, (375, 300, 525, 400)),
        ((400, 300, 500, 340), (512, 512), 0, (400, 270, 500, 370)),
        # Moved to stay inside, and cut where the picture ends.
        ((0, 0, 100, 20), (512, 512), 10, (0, 0, 110, 110)),
        ((780, 100, 800, 300), (512, 512), 0, (600, 100, 800, 300)),
        ((0, 0, 800, 600), (512, 512), 32, (0, 0, 800, 600)),
    ],
)
def test_the_box_is_the_masks_with_padding_in_the_drawings_proportions(box, size, padding, found):
    assert region(box_mask(800, 600, box), size, padding).box == found


@settings(max_examples=60, deadline=None)
@given(
    box=st.tuples(*[st.integers(0, 199)] * 4),
    blur=st.tuples(st.integers(0, 12), st.integers(0, 12)),
    padding=st.integers(0, 60),
    ratio=st.sampled_from([(512, 512), (768, 512), (512, 1024), (2048, 64)]),
)
def test_it_holds_all_that_changes_and_nothing_else_does(box, blur, padding, ratio):
    (x, x_end), (y, y_end) = sorted((box[0], box[2])), sorted((box[1], box[3]))
    mask = box_mask(200, 200, (x, y, x_end + 1, y_end + 1))
    each = region(mask, ratio, padding, mask_blur=blur[0], mask_blur_y=blur[1])
    soft = Image.fromarray(mask).filter(ImageFilter.GaussianBlur(blur))
    assert each.touched[0] == soft.getbbox()
    left, top, right, bottom = each.touched[0]
    assert np.array_equal(each.touched[1], np.asarray(soft)[top:bottom, left:right])
    wide = each.box
    assert wide[0] <= max(left - padding, 0)
    assert wide[1] <= max(top - padding, 0)
    assert 200 >= wide[2] >= min(right + padding, 200)
    assert 200 >= wide[3] >= min(bottom + padding, 200)
    if min(wide[2] - wide[0], wide[3] - wide[1]) < 200 and 200 not in (
        wide[2] - wide[0], wide[3] - wide[1],
    ):  # fmt: skip
        width, height = wide[2] - wide[0], wide[3] - wide[1]
        assert abs(width - height * ratio[0] / ratio[1]) <= max(1, ratio[0] / ratio[1])


@pytest.mark.parametrize("blur", [0, 4])
def test_it_is_what_cropping_resizing_and_pasting_by_hand_give(blur):
    mask = box_mask(300, 200, (120, 80, 180, 130))
    each = region(mask, (256, 256), 20, mask_blur=blur)
    drawn = picture(256, 256, seed=2)
    source, box = Image.fromarray(each.picture), each.box
    assert box[2] - box[0] == box[3] - box[1]
    crop = source.crop(box).resize((256, 256), Image.Resampling.LANCZOS)
    part = Image.fromarray(mask).crop(box).resize((256, 256), Image.Resampling.LANCZOS)
    part = part.point([255 * (level >= 128) for level in range(256)])
    scaled = round(blur * 256 / (box[2] - box[0]))
    inner = Image.composite(
        Image.fromarray(drawn), crop, part.filter(ImageFilter.GaussianBlur(scaled))
    )
    back = Image.new("RGB", source.size)
    back.paste(inner.resize((box[2] - box[0],) * 2, Image.Resampling.LANCZOS), box[:2])
    soft = Image.fromarray(mask).filter(ImageFilter.GaussianBlur(blur))
    by_hand = np.asarray(Image.composite(back, source, soft)).astype(int)
    apart = np.abs(each.pasted(drawn) - by_hand)
    assert apart.max() <= (2 if blur else 0)  # Pillow rounds a blend otherwise
    assert np.array_equal(
        each.pasted(drawn)[np.asarray(soft) == 0], each.picture[np.asarray(soft) == 0]
    )


def test_a_region_as_large_as_the_drawing_is_not_resampled():
    each = region(box_mask(100, 100, (30, 30, 70, 70)), (40, 40), 0)
    assert np.array_equal(each.fitted()[0], each.picture[30:70, 30:70])
    drawn = picture(40, 40, seed=3)
    assert np.array_equal(each.pasted(drawn)[30:70, 30:70], drawn)


def test_filling_spreads_what_is_around_and_nothing_of_what_is_masked():
    scene = np.zeros((96, 128, 3), np.uint8)
    scene[:, :64], scene[:, 64:] = (200, 40, 30), (20, 60, 220)
    mask = box_mask(128, 96, (40, 30, 90, 70))
    hidden = scene.copy()
    hidden[mask == 255] = (0, 255, 0)
    filled = masking.filled(hidden, mask)
    assert np.array_equal(filled, masking.filled(scene, mask))
    assert np.array_equal(filled[mask == 0], scene[mask == 0])
    assert np.abs(filled[50, 42].astype(int) - (200, 40, 30)).max() < 12
    assert np.abs(filled[50, 87].astype(int) - (20, 60, 220)).max() < 12
    assert np.array_equal(masking.filled(hidden, np.full_like(mask, 255))[0, 0], (0, 0, 0))

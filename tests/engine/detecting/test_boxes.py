"""Boxes of a detector's numbers, against ones found pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from limner.engine.detecting import boxes
from limner.engine.detecting.boxes import Box, Letterbox
from limner.errors import CheckpointError


def covered(box: Box, size: int = 20) -> np.ndarray:
    """Which of size x size pixels a box whose corners are whole pixels covers."""
    left, top, right, bottom = (round(each * size) for each in box.corners)
    made = np.zeros((size, size), bool)
    made[top:bottom, left:right] = True
    return made


@st.composite
def some_boxes(draw: st.DrawFn) -> list[Box]:
    sides = st.lists(st.integers(0, 20), min_size=2, max_size=2, unique=True).map(sorted)
    made = []
    for _ in range(draw(st.integers(0, 8))):
        (left, right), (top, bottom) = draw(sides), draw(sides)
        corners = (left / 20, top / 20, right / 20, bottom / 20)
        made.append(Box(corners, draw(st.integers(0, 2)), draw(st.sampled_from([0.3, 0.5, 0.9]))))
    return made


@given(some_boxes())
def test_overlap_is_that_of_the_pixels_they_cover(found: list[Box]) -> None:
    for one in found:
        for other in found:
            a, b = covered(one), covered(other)
            assert boxes.overlap(one, other) == pytest.approx((a & b).sum() / (a | b).sum())


@given(some_boxes(), st.integers(1, 8), st.randoms())
def test_the_surest_of_those_that_overlap_stay_in_any_order(found, most, random) -> None:
    kept = boxes.chosen(found, most)
    random.shuffle(found)
    assert boxes.chosen(found, most) == kept
    assert len(kept) <= most
    assert [box.score for box in kept] == sorted((box.score for box in kept), reverse=True)
    for box in found:
        rivals = [k for k in kept if boxes.overlap(box, k) > boxes.OVERLAP_MAX or box == k]
        assert len(kept) == most or any(rival.score >= box.score for rival in rivals)
    for n, one in enumerate(kept):
        assert all(boxes.overlap(one, other) <= boxes.OVERLAP_MAX for other in kept[:n])


@pytest.mark.parametrize(("width", "height"), [(64, 64), (128, 64), (64, 100), (33, 97), (640, 8)])
def test_a_box_goes_through_the_letterbox_and_back(width: int, height: int) -> None:
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 2, width // 2 :, 0] = 255  # a red quarter, top right
    letterbox = Letterbox(width, height, (64, 96))
    given_ = letterbox.given(pixels)
    assert given_.shape == (1, 3, 64, 96)
    assert given_.dtype == np.float32
    red = given_[0, 0] - given_[0, 2] > 0.5
    rows, columns = np.flatnonzero(red.any(1)), np.flatnonzero(red.any(0))
    corners = np.array([[columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]])
    shares = letterbox.shares(corners)[0]
    fine = 1.5 / np.tile(letterbox.size, 2)  # a pixel there
    assert (abs(shares - [(width // 2) / width, 0, 1, (height // 2) / height]) <= fine).all()


def test_the_picture_lies_in_the_middle_of_grey() -> None:
    made = Letterbox(40, 20, (64, 64)).given(np.full((20, 40, 3), 255, np.uint8))[0]
    assert (made[:, 16:48] == 1).all()
    assert (made[:, :16] == np.float32(114) / np.float32(255)).all()
    assert (made[:, 48:] == made[0, 0, 0]).all()


def test_both_forms_of_output_are_read_alike() -> None:
    """(1, 4 + classes, N) and (1, N, 6); rows of masks are left aside."""
    yolo = np.zeros((1, 9, 8), np.float32)
    yolo[0, :, 2] = [30, 20, 10, 4, 0.2, 0.7, 0.1, 9, 9]
    corners, scores, kinds = boxes.read(yolo, masks=2)
    assert corners[2].tolist() == [25, 18, 35, 22]
    assert (scores[2], kinds[2]) == (pytest.approx(0.7), 1)
    ends = np.zeros((1, 8, 6), np.float32)
    ends[0, 2] = [25, 18, 35, 22, 0.7, 1]
    for ours, theirs in zip((corners, scores, kinds), boxes.read(ends), strict=True):
        np.testing.assert_array_equal(ours[2], theirs[2])


@pytest.mark.parametrize("shape", [(1, 4, 8), (2, 8, 6), (1, 8), (1, 3, 8, 8)])
def test_what_is_neither_form_is_told_by_its_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(CheckpointError, match="x".join(map(str, shape))):
        boxes.read(np.zeros(shape, np.float32))

"""Maps of pictures: by their definitions, written out pixel by pixel."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFilter

from limner.imaging.preprocessing import PREPROCESSORS, apply, lines, pose

Array = np.ndarray[Any, Any]


def noise(seed: int = 0, height: int = 24, width: int = 20) -> Array:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def drawing() -> Array:
    picture = Image.new("RGB", (64, 48), "white")
    pen = ImageDraw.Draw(picture)
    pen.rectangle((10, 8, 40, 36), outline="black", width=2)
    pen.ellipse((36, 20, 60, 44), fill=(200, 60, 20))
    return np.asarray(picture)


def plain_canny(pixels: Array, low: float, high: float) -> Array:
    """Canny as its paper says it, one pixel after another."""
    grey = np.asarray(np.round(lines.luminance(pixels.astype(np.uint8))), np.float64)
    height, width = grey.shape
    around = np.pad(grey, 1, mode="edge")
    dx, dy = np.zeros_like(grey), np.zeros_like(grey)
    for y in range(height):
        for x in range(width):
            near = around[y : y + 3, x : x + 3]
            dx[y, x] = (near[:, 2] - near[:, 0]) @ [1, 2, 1]
            dy[y, x] = (near[2] - near[0]) @ [1, 2, 1]
    strength = abs(dx) + abs(dy)
    padded, kept = np.pad(strength, 1), np.zeros_like(strength)
    for y in range(height):
        for x in range(width):
            angle = np.degrees(np.arctan2(dy[y, x], dx[y, x])) % 180
            step = {0: (0, 1), 1: (1, 1), 2: (1, 0), 3: (-1, 1)}[int((angle + 22.5) // 45) % 4]
            before = padded[y + 1 - step[0], x + 1 - step[1]]
            after = padded[y + 1 + step[0], x + 1 + step[1]]
            kept[y, x] = (
                strength[y, x] if strength[y, x] > before and strength[y, x] >= after else 0
            )
    edges = np.zeros(grey.shape, np.uint8)
    waiting = deque(zip(*np.nonzero(kept > high), strict=True))
    while waiting:
        y, x = waiting.popleft()
        if edges[y, x]:
            continue
        edges[y, x] = 255
        waiting += [
            (y + j, x + i)
            for j in (-1, 0, 1)
            for i in (-1, 0, 1)
            if 0 <= y + j < height and 0 <= x + i < width and kept[y + j, x + i] > low
        ]
    return edges


@given(seed=st.integers(0, 2**16), low=st.integers(0, 600), span=st.integers(0, 600))
def test_canny_is_as_its_paper_says(seed: int, low: int, span: int) -> None:
    smooth = Image.fromarray(noise(seed)).filter(ImageFilter.BoxBlur(1))
    pixels = np.asarray(smooth)
    found = lines.canny(pixels, low, low + span)[..., 0]
    # Where the gradient lies at 22.5 degrees to the bit, either neighbour is right.
    assert (found != plain_canny(pixels, low, low + span)).mean() <= 0.01


def test_canny_follows_the_outline_of_a_square() -> None:
    found = apply("canny", drawing(), {})[..., 0]
    assert set(np.unique(found)) == {0, 255}
    assert found[20, 5] == 0
    assert found[20, 8:12].any()
    assert found[6:10, 25].any()


def test_a_threshold_is_pillows() -> None:
    grey = np.asarray(Image.fromarray(noise()).convert("L")).astype(int)
    ours = apply("threshold", noise(), {"level": 100})[..., 0]
    sure = abs(grey - 100) > 1
    assert np.array_equal(ours[sure], np.where(grey > 100, 255, 0)[sure])


def test_dark_lines_are_found_and_light_ones_are_not() -> None:
    for name in ("lineart", "scribble"):
        dark = apply(name, drawing(), {})[..., 0]
        light = apply(name, 255 - drawing(), {})[..., 0]
        assert dark[20, 10:12].max() > 100, name
        assert light[20, 10:12].max() < 100, name
        assert dark[2, 2] == 0, name


def test_soft_edges_are_strongest_where_it_changes_most() -> None:
    found = apply("softedge", drawing(), {})[..., 0]
    assert found.max() == 255
    assert found[2, 2] == 0
    assert found[20, 8:14].max() > found[30, 45:50].max()


def test_looks_are_pillows() -> None:
    pixels = noise(3, 64, 128)
    picture = Image.fromarray(pixels)
    assert np.array_equal(apply("invert", pixels, {}), 255 - pixels)
    assert apply("tile", pixels, {}) is pixels
    small = picture.resize((32, 16), Image.Resampling.BOX)
    tile = small.resize((128, 64), Image.Resampling.BICUBIC)
    assert np.array_equal(apply("tile", pixels, {"rate": 4}), np.asarray(tile))
    squares = apply("colour", pixels, {"size": 16})
    means = pixels.reshape(4, 16, 8, 16, 3).mean((1, 3))
    assert np.abs(squares[8::16, 8::16] - means).max() <= 1
    blurred = np.asarray(picture.filter(ImageFilter.GaussianBlur(3)), int)
    inside = np.s_[16:-16, 16:-16]
    assert np.abs(apply("blur", pixels, {"sigma": 3})[inside] - blurred[inside]).max() <= 4


def test_a_shuffle_moves_colours_about_and_is_the_same_each_time() -> None:
    pixels = np.asarray(Image.fromarray(noise(5, 4, 4)).resize((300, 200)))
    one, again, other = (apply("shuffle", pixels, {"seed": seed}) for seed in (0, 0, 1))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    there = {tuple(colour) for colour in pixels.reshape(-1, 3)}
    assert {tuple(colour) for colour in one.reshape(-1, 3)} <= there


@given(
    name=st.sampled_from(sorted(PREPROCESSORS)),
    height=st.integers(16, 70),
    width=st.integers(16, 70),
    data=st.data(),
)
def test_every_map_has_the_size_of_its_picture(
    name: str, height: int, width: int, data: st.DataObject
) -> None:
    options = {
        each: data.draw(st.floats(option.low, option.high))
        for each, option in PREPROCESSORS[name].options.items()
    }
    made = apply(name, noise(height, height, width), options)
    assert made.shape == (height, width, 3)
    assert made.dtype == np.uint8


def test_poses_have_openposes_colours_at_their_points() -> None:
    assert [pose.colour(n) for n in (0, 1, 3, 4, 9, 17)] == [
        (255, 0, 0), (255, 85, 0), (255, 255, 0), (170, 255, 0), (0, 255, 255), (255, 0, 85),
    ]  # fmt: skip
    person = [(20.0 + 25 * (n % 6), 30.0 + 60 * (n // 6)) for n in range(18)]
    drawn = pose.draw([person], 200, 200)
    for number, (x, y) in enumerate(person):
        assert tuple(drawn[int(y), int(x)]) == pose.colour(number)
    arm = pose.draw([[None, (20.0, 20.0), (60.0, 90.0), *[None] * 15]], 200, 200)
    assert tuple(arm[55, 40]) == (153, 0, 0)  # the middle of the first limb
    assert not arm[55, 60].any()


def test_points_that_are_not_seen_draw_nothing() -> None:
    assert not pose.draw([[None] * 18], 64, 64).any()
    alone = pose.draw([[(32.0, 32.0), *[None] * 17]], 64, 64)
    assert 0 < (alone.any(axis=2)).sum() < 40

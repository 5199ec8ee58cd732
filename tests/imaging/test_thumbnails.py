"""Pictures made smaller: their sides, and sprites whose pixels stay what they were."""

import numpy as np
import pytest

from limner import imaging


@pytest.mark.parametrize(
    ("shape", "side", "expected"),
    [((512, 512), 128, (128, 128)), ((768, 512), 256, (256, 171)), ((64, 64), 256, (64, 64))],
)
def test_a_thumbnail_is_at_most_so_long_and_high(shape, side, expected):
    small = imaging.shrunk(np.full((*shape, 3), 77, np.uint8), side)
    assert small.shape == (*expected, 3)
    assert (small == 77).all()


def test_a_sprite_shrinks_to_its_own_pixels():
    sprite = np.random.default_rng(1).integers(0, 256, (32, 32, 3), np.uint8)
    assert np.array_equal(imaging.shrunk(sprite.repeat(16, 0).repeat(16, 1), 32), sprite)

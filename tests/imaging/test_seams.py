"""How well edges meet, and what is made larger round them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from torch.nn.functional import interpolate

from limner.domain.tiling import Axes
from limner.engine.sampling import interpolating
from limner.imaging import seams
from limner.imaging.fitting import ENLARGING, enlarge

Array = np.ndarray[Any, Any]
BOTH = Axes(True, True)


def test_the_score_is_the_step_over_the_edge_to_those_within() -> None:
    ramp = np.broadcast_to(np.arange(0, 40, 4, dtype=np.uint8)[None, :, None], (7, 10, 3))
    assert seams.scores(ramp, BOTH) == {"x": 36 / 4, "y": 1.0}
    wave = np.broadcast_to(np.array([0, 10, 20, 10], np.uint8)[:, None, None], (4, 5, 3))
    assert seams.scores(wave, Axes(y=True)) == {"y": 1.0}
    assert seams.scores(wave, Axes()) == {}


def test_what_lies_around_comes_from_the_opposite_edge() -> None:
    picture = np.arange(12, dtype=np.uint8).reshape(3, 4)
    wide, inside = seams.around(picture, Axes(x=True), 6)
    assert wide.shape == (3, 16)
    assert (wide[inside] == picture).all()
    assert (wide[:, 2:6] == picture).all()


@pytest.mark.parametrize("size", [(30, 18), (22, 40), (20, 12)])
@pytest.mark.parametrize("name", ENLARGING)
def test_pictures_are_made_larger_as_if_they_went_on(name: str, size: tuple[int, int]) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (12, 20, 3), np.uint8)
    width, height = size
    if name == "Nearest":
        alone = np.asarray(Pillow.fromarray(picture).resize(size, ENLARGING[name]))
        assert (enlarge(picture, width, height, name, BOTH) == alone).all()
        return
    tiled = Pillow.fromarray(np.tile(picture, (3, 3, 1)))
    whole = np.asarray(tiled.resize((3 * width, 3 * height), ENLARGING[name]))
    expected = whole[height : 2 * height, width : 2 * width]
    found = enlarge(picture, width, height, name, BOTH)
    assert np.abs(found.astype(int) - expected).max() <= 1
    across = enlarge(picture, width, height, name, Axes(x=True))
    assert across.shape == (height, width, 3)


@pytest.mark.parametrize("mode", interpolating.MODES)
def test_latents_are_made_larger_as_if_they_went_on(mode: str) -> None:
    latent = torch.randn(4, 4, 6, generator=torch.Generator().manual_seed(1))
    how, antialias = interpolating.MODES[mode]
    tiled = latent.repeat(1, 5, 5)[None]
    whole = interpolate(tiled, (5 * 6, 5 * 9), mode=how, antialias=antialias)[0]
    found = interpolating.covering(latent, (6, 9), mode, BOTH)
    assert torch.allclose(found, whole[:, 12:18, 18:27], atol=1e-5)

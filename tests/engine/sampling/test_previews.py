"""Previews of estimates that guidance threw far out."""

from __future__ import annotations

import numpy as np
import torch

from limner.engine.checkpoints.weights import Checkpoint
from limner.engine.sampling.previews import PreviewMap


def test_an_estimate_that_overshoots_is_shown_as_the_picture_it_points_to(
    untouched: Checkpoint,
) -> None:
    generator = torch.Generator().manual_seed(3)
    latent = 1.2 * torch.randn(4, 24, 24, generator=generator)
    previews = PreviewMap(untouched.vae, untouched.latent_scaling)
    plain = previews.draw(latent).astype(int)
    overshot = previews.draw(5 * latent).astype(int)
    assert np.abs(overshot - plain).mean() < 8  # of 255
    assert (np.isin(overshot, (0, 255)).mean()) < 0.3

"""What a 9-channel UNet reads beside the latent: a mask, and the picture without what it hides.

Such a UNet was trained to fill holes (Rombach et al. 2022, section 4.5; runwayml's checkpoint): it
is shown what stays, so that nothing needs to be put back between its evaluations. What is encoded,
and in which order noise is drawn, is as in diffusers' StableDiffusionInpaintPipeline.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from limner.engine.batching.request import Request
from limner.engine.batching.ticket import Pixels
from limner.engine.checkpoints.weights import Checkpoint
from limner.engine.sampling import latents
from limner.engine.sampling.noise import Floats


def conditions(request: Request, checkpoint: Checkpoint, noise: Floats) -> Tensor:
    """The mask, 1 where it repaints, over the masked picture's latent: float32 (1 + C, h, w).

    ``noise``: standard normal (C, h, w) for the picture's posterior. Without a mask all is hidden,
    as AUTOMATIC1111 does it: a grey picture under a full mask.
    """
    g, scale = request.generation, checkpoint.vae_scale
    size = latents.latent_size(g, scale)
    picture, mask = _shown(request)
    latent = latents.encode(
        latents.vae_of(g, checkpoint),
        latents.padded(picture, size, scale),
        noise,
        checkpoint.latent_scaling,
        hidden=latents.padded(mask, size, scale),
    )
    repainted = latents.latent_mask(mask, scale).to(latent)
    return torch.cat([repainted[None], latent])


def _shown(request: Request) -> tuple[Pixels, Pixels]:
    """The picture (H, W, 3), and the mask (H, W) that hides some of it or all."""
    g = request.generation
    if g.source is not None and g.source.mask_sha256 is not None:
        picture, mask = latents.at_size(g, latents.fitted(request))
        assert mask is not None, "a named mask is found or refused"
        return picture, mask
    blank = np.zeros((g.height, g.width, 3), np.uint8)
    return blank, np.full((g.height, g.width), 255, np.uint8)

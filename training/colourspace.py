"""The fixed map between colours and latents: a latent pixel is one colour, in four numbers.

The rows of `ENCODE` are a tetrahedral frame of whitened luma and chroma, so that each of the four
latents has about unit deviation over the painter's pictures and none is special. `autoencoder.py`
builds a KL autoencoder that computes exactly this, sixteen screen pixels to a latent pixel.
"""

from __future__ import annotations

import numpy as np
import torch

ENCODE = np.array(
    [
        [2.4405928, -1.7920437, 0.5059679],
        [-1.6711519, 2.5614843, 0.2634731],
        [-0.5059679, 1.7920437, -2.4405928],
        [-0.2634731, -2.5614843, 1.6711519],
    ]
)
"""Latents (4) per red, green, blue (3) in -1..1."""

BIAS = np.array([0.1733449, 0.4279814, -0.2792730, -0.3219644])
"""Latents of middle grey."""

DECODE = np.linalg.pinv(ENCODE)


def to_latents(sprites: np.ndarray) -> torch.Tensor:
    """Latents (n, 4, height, width), as the UNet sees them, of uint8 (n, height, width, 3)."""
    colours = torch.from_numpy(sprites).float() / 127.5 - 1
    latents = colours @ torch.from_numpy(ENCODE.T).float() + torch.from_numpy(BIAS).float()
    return latents.permute(0, 3, 1, 2)


def to_sprites(latents: torch.Tensor) -> np.ndarray:
    """The inverse: uint8 (n, height, width, 3)."""
    colours = (latents.permute(0, 2, 3, 1).double().numpy() - BIAS) @ DECODE.T
    return np.round((np.clip(colours, -1, 1) + 1) * 127.5).astype(np.uint8)

"""Previews without a VAE decode: a 4-to-3 affine map from latent pixels to colours.

A decode costs about three UNet rows; the map is one small product. It is fitted by least squares
to what this checkpoint's own VAE makes of latents: of a smooth random one at first, and of every
finished picture from then on.
"""

from __future__ import annotations

import threading

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from limner.engine.batching.ticket import Pixels
from limner.engine.sampling import latents

SPREAD = 1.3
"""Standard deviation of a vivid finished picture's latent; VAEs are scaled so that 1 is usual."""


class PreviewMap:
    """Running normal equations of [latent, 1] -> RGB, one sample per latent pixel."""

    def __init__(self, vae: torch.nn.Module, scaling: float) -> None:
        self._vae = vae
        self._scaling = scaling
        self._lock = threading.Lock()
        self._XtX: Tensor | None = None
        self._XtY: Tensor | None = None
        self._map: Tensor | None = None

    def learn(self, latent: Tensor, pixels: Pixels) -> None:
        """Add a finished picture: ``latent`` (C, h, w) and its decoded RGB (H, W, 3)."""
        colours = torch.from_numpy(pixels).permute(2, 0, 1)[None].float()
        target = F.interpolate(colours, latent.shape[1:], mode="area")[0].flatten(1).T.double()
        X = _with_one(latent)
        with self._lock:
            # Old pictures fade, so that the map follows what is being drawn now.
            fade = 0.9
            self._XtX = X.T @ X if self._XtX is None else fade * self._XtX + X.T @ X
            self._XtY = X.T @ target if self._XtY is None else fade * self._XtY + X.T @ target
            self._map = None

    def draw(self, latent: Tensor) -> Pixels:
        """RGB uint8 (h, w, 3), one pixel per latent pixel."""
        if self._XtX is None:
            self._learn_from_noise(latent.shape[0], latent.device)
        with self._lock:
            if self._map is None:
                assert self._XtX is not None
                ridge = 1e-3 * torch.eye(len(self._XtX), dtype=torch.float64)
                self._map = torch.linalg.solve(self._XtX + ridge, self._XtY)
            colours = _with_one(_calmed(latent.cpu())) @ self._map
        height, width = latent.shape[1:]
        return np.asarray(colours.round().clamp(0, 255).byte().view(height, width, 3))

    def _learn_from_noise(self, channels: int, device: torch.device) -> None:
        generator = torch.Generator().manual_seed(0)
        coarse = torch.randn(1, channels, 8, 8, generator=generator)
        smooth = F.interpolate(coarse, (32, 32), mode="bicubic")[0].to(device)
        self.learn(smooth, latents.decode(self._vae, smooth, self._scaling))


def _calmed(latent: Tensor) -> Tensor:
    """Guidance overshoots in the first steps, four to seven times (docs/log.md): not too garish."""
    return latent * min(1.0, SPREAD / max(float(latent.std()), 1e-6))


def _with_one(latent: Tensor) -> Tensor:
    """(pixels, C + 1) float64 on the CPU."""
    flat = latent.detach().flatten(1).T.double().cpu()
    return torch.cat([flat, torch.ones(len(flat), 1, dtype=torch.float64)], dim=1)

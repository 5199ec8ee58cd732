"""Guidance beyond weights: a rescale, and dynamic thresholding, of one image's guided output.

Neither is linear, so neither is in a matrix: both act on the outputs of the image's own rows, where
``G · E`` stands otherwise (docs/engine-mathematics.md). All numbers here are the host's, so that a
GPU has nothing to wait for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from limner.domain.guidance import Thresholding
from limner.domain.params import Generation
from limner.engine.sampling.transfer import to_device


@dataclass(frozen=True)
class Tempering:
    """What is done to the guided output of an evaluation whose guidance is not 1.

    ``weights`` are those of the prompts that ``AND`` joins; where there are regions, those of all
    rows but the unconditional, over the latent: (rows, n).
    """

    guidance: float
    weights: tuple[float, ...] | Tensor
    rescale: float = 0.0
    thresholding: Thresholding | None = None

    @classmethod
    def of(cls, g: Generation, weights: tuple[float, ...] | Tensor) -> Tempering:
        """That of an image."""
        return cls(g.guidance, weights, g.guidance_rescale, g.thresholding)

    def to(self, device: torch.device) -> Tempering:
        """The same on the UNet's device."""
        if isinstance(self.weights, tuple):
            return self
        return replace(self, weights=to_device(self.weights, device))

    def guided(self, E: Tensor, y: Tensor, estimating: tuple[float, float], share: float) -> Tensor:
        """The guided output (C, n) of an evaluation at a ``share`` of the way, 0 to 1.

        ``E`` (rows, C, n) are the outputs of its rows, the unconditional first; ``y`` (C, n) is
        what they all read. The picture is estimated by so much of the input and of the output.
        """
        uncond, *conds = E
        pairs = zip(self.weights, conds, strict=True)
        toward = torch.stack([weight * (cond - uncond) for weight, cond in pairs]).sum(0)
        guided: Tensor = uncond + self.guidance * toward
        if self.thresholding is not None:
            base, per = estimating[0] * y, estimating[1]
            estimate = self._estimate(self.thresholding, base + per * uncond, per * toward, share)
            guided = (estimate - base) / per
        if self.rescale:
            milder = (uncond + toward).std() / guided.std()
            guided = guided * (self.rescale * milder + (1 - self.rescale))
        return guided

    def _estimate(self, how: Thresholding, uncond: Tensor, toward: Tensor, share: float) -> Tensor:
        """The bounded estimate (C, n), of the unconditional one and the way to the prompts'."""
        mimic, guidance = how.scales(self.guidance, share)
        milder, guided = uncond + mimic * toward, uncond + guidance * toward
        means = guided.mean(1, keepdim=True)
        around = guided - means
        wanted = _spread(how, milder - milder.mean(1, keepdim=True), 1.0)
        there = _spread(how, around, how.percentile)
        if how.startpoint == "zero":
            bounded = guided * (wanted / there)
        elif how.variability == "std":
            bounded = around / there * wanted + means
        else:
            most = torch.maximum(wanted, there)
            bounded = around.clamp(-most, most) / most * wanted + means
        return how.phi * bounded + (1 - how.phi) * guided


def _spread(how: Thresholding, around: Tensor, percentile: float) -> Tensor:
    """How far the values (C, n) lie from their means: (C, 1) or, of all together, (1, 1)."""
    values = around if how.separate_channels else around.reshape(1, -1)
    if how.variability == "std":
        return values.std(1, keepdim=True)
    if percentile == 1:
        return values.abs().amax(1, keepdim=True)
    return torch.quantile(values.abs(), percentile, dim=1, keepdim=True)

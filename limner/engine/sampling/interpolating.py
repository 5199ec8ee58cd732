"""Latents made larger, in the modes that AUTOMATIC1111 names."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor
from torch.nn.functional import interpolate

from limner.domain.tiling import APART, Axes
from limner.imaging.seams import Ring

MODES: Mapping[str, tuple[str, bool]] = {
    "Latent": ("bilinear", False),
    "Latent (antialiased)": ("bilinear", True),
    "Latent (bicubic)": ("bicubic", False),
    "Latent (bicubic antialiased)": ("bicubic", True),
    "Latent (nearest)": ("nearest", False),
    "Latent (nearest-exact)": ("nearest-exact", False),
}
"""PyTorch's mode of interpolation, and whether it smooths what it makes smaller."""


def covering(latent: Tensor, size: tuple[int, int], name: str, axes: Axes = APART) -> Tensor:
    """``latent`` (C, h, w) interpolated until it covers ``size``, and cut to it in the middle.

    Where edges meet nothing may be cut: it is stretched to ``size``, round the edges.
    """
    mode, antialias = MODES[name]
    if any(axes):
        ring = Ring.of((latent.shape[1], latent.shape[2]), size, axes)
        rows, columns = ring.reads
        wide = latent[:, rows][:, :, columns]
        large = interpolate(wide[None], size=ring.large, mode=mode, antialias=antialias)[0]
        return large[:, *ring.inside].contiguous()
    height, width = latent.shape[-2:]
    scale = max(size[0] / height, size[1] / width)
    covers = max(size[0], round(height * scale)), max(size[1], round(width * scale))
    large = interpolate(latent[None], size=covers, mode=mode, antialias=antialias)[0]
    top, left = (covers[0] - size[0]) // 2, (covers[1] - size[1]) // 2
    return large[:, top : top + size[0], left : left + size[1]].contiguous()

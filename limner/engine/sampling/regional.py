"""Where in a picture each of its prompts counts: guidance's matrix with an axis over the latent.

Of regions with the weights w and the masks m (0 to 1) a place x is drawn by

    share_r(x) = w_r m_r(x) / max(1, sum w m(x))    and the request's prompt by 1 - sum share_r(x)

so that weights that overlap are shared out, and what no region covers is the prompt's. Composed are
the noise estimates, as ``AND`` composes those of whole pictures (Liu et al., 2022; Bar-Tal et al.,
2023, "MultiDiffusion", average latents alike).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import torch
from torch import Tensor

from limner.domain.guidance import coefficients
from limner.domain.params import Generation
from limner.domain.regions import Region
from limner.engine.batching.ticket import Pixels

FEATHER = 2.0
"""Latent pixels over which a box's edge fades."""

Masks = Mapping[str, Tensor]
"""How much of each place is marked, 0 to 1, float32 (height, width) of a latent, by SHA-256."""
NO_MASKS: Masks = MappingProxyType({})


def shares(regions: Sequence[Region], height: int, width: int, masks: Masks = NO_MASKS) -> Tensor:
    """How much the request's prompt and each region count: (1 + regions, height * width) float32.

    They add up to 1 at each place.
    """
    parts = [each.weight * _part(each, height, width, masks) for each in regions]
    weighed = torch.stack(parts)
    own = weighed / weighed.sum(0).clamp(min=1)
    return torch.cat([1 - own.sum(0, keepdim=True), own])


def weights(g: Generation, scale: float, branches: Sequence[float], over: Tensor) -> Tensor:
    """The coefficients (rows, n) of an image's rows at a guidance of ``scale``: of the
    unconditional one, where it counts, of the prompt's ``branches``, and of its regions.

    ``over`` (1 + regions, n) are their ``shares``.
    """
    each = conditional(branches, over)
    rows = coefficients(branches, scale, tempered=g.tempered, regions=len(g.regions))
    uncond = 1 - scale * each.sum(0, keepdim=True)
    return scale * each if len(rows) == len(each) else torch.cat([uncond, scale * each])


def conditional(branches: Sequence[float], over: Tensor) -> Tensor:
    """The weights (rows, n) of what is no unconditional row."""
    return torch.cat([torch.tensor(branches)[:, None] * over[:1], over[1:]])


def marked(pixels: Pixels, scale: int) -> Tensor:
    """How much of each latent pixel a mask (h, w), 255 where it is white, marks; ``scale`` pixels
    a side make a latent pixel."""
    of_255 = torch.from_numpy(pixels).float()[None]
    return torch.nn.functional.avg_pool2d(of_255, scale)[0] / 255


def _part(region: Region, height: int, width: int, masks: Masks) -> Tensor:
    if region.box is None:
        assert region.mask_sha256 is not None, "a region is either"
        return masks[region.mask_sha256].flatten()
    left, top, wide, high = region.box
    rows, columns = _ramp(top, top + high, height), _ramp(left, left + wide, width)
    return (rows[:, None] * columns).flatten()


def _ramp(start: float, stop: float, length: int) -> Tensor:
    """1 between two shares of ``length``, fading over ``FEATHER`` there; the picture's own edges
    do not fade."""
    place = torch.arange(length) + 0.5
    rises = (place - start * length) / FEATHER + 0.5 if start > 0 else torch.ones(length)
    falls = (stop * length - place) / FEATHER + 0.5 if stop < 1 - 1e-6 else torch.ones(length)
    return torch.minimum(rises, falls).clamp(0, 1)

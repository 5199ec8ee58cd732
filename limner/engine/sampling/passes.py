"""A picture of several passes: drawn small, made larger, and drawn again from that (hires).

To the loop a pass is a phase (docs/adr/0013-phases.md). The second is an img2img like any other:
a request of its own is made for it, from what the first one drew, with the same seeds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor
from torch.nn.functional import interpolate

from limner.domain.params import UNNAMED
from limner.engine.batching.image import Group, Image
from limner.engine.batching.request import Request
from limner.engine.batching.ticket import Pixels
from limner.engine.checkpoints.weights import Checkpoint
from limner.engine.sampling import latents
from limner.imaging.fitting import enlarge

MODES: Mapping[str, tuple[str, bool]] = {
    "Latent": ("bilinear", False),
    "Latent (antialiased)": ("bilinear", True),
    "Latent (bicubic)": ("bicubic", False),
    "Latent (bicubic antialiased)": ("bicubic", True),
    "Latent (nearest)": ("nearest", False),
    "Latent (nearest-exact)": ("nearest-exact", False),
}
"""PyTorch's mode of interpolation, and whether it smooths what it makes smaller."""


@dataclass(frozen=True)
class Pass:
    """What is known of a pass before anything is drawn.

    ``request`` is what is drawn in it, ``evaluations`` are counted within the picture, ``rows``
    the UNet rows of the first of them, ``bytes`` the most that it holds in memory. ``upscaler``
    makes what it starts from of what the pass before drew.
    """

    request: Request
    group: Group
    rows: int
    evaluations: range
    bytes: int
    upscaler: str = ""

    @property
    def steps(self) -> int:
        """User's steps that it runs."""
        return self.request.generation.steps_run


@dataclass(frozen=True, eq=False)
class Course:
    """The passes of a picture: ``number`` is the one under way, or about to begin.

    ``drawn`` (C, h, w) is the latent that the pass before it left, None for the first.
    """

    passes: tuple[Pass, ...]
    number: int = 0
    drawn: Tensor | None = None

    @property
    def request(self) -> Request:
        """What the pass draws."""
        return self.passes[self.number].request

    @property
    def steps_before(self) -> int:
        """User's steps of the passes that are over."""
        return sum(each.steps for each in self.passes[: self.number])

    @property
    def rows_max(self) -> int:
        """The most UNet rows that a pass begins with, of those so far."""
        return max(each.rows for each in self.passes[: self.number + 1])

    def next(self, image: Image, drawn: Tensor) -> Course:
        """Set ``image`` up for the next pass, and tell where that begins."""
        coming = self.passes[self.number + 1]
        image.phase, image.group, image.rows = coming.evaluations, coming.group, coming.rows
        image.cost = coming.group.cost(coming.rows)
        return replace(self, number=self.number + 1, drawn=drawn)

    def begin(self, checkpoint: Checkpoint) -> tuple[Request, Tensor | None]:
        """What the pass draws, and the latent (C, h, w) it starts from where that was no picture.

        A picture that it starts from is the one that the pass before would have been answered with,
        made larger.
        """
        coming = self.passes[self.number]
        if self.drawn is None:
            return coming.request, None
        g = coming.request.generation
        maps = {name: enlarge(each, g.width, g.height) for name, each in _maps(coming.request)}
        if coming.upscaler in MODES:
            size = latents.latent_size(g, checkpoint.vae_scale)
            start = covering(self.drawn, size, coming.upscaler)
            return replace(coming.request, pixels=maps), start
        pixels = latents.decode(checkpoint.vae, self.drawn, checkpoint.latent_scaling)
        small = latents.compose(self.passes[self.number - 1].request, pixels)
        large = enlarge(small, g.width, g.height, coming.upscaler)
        return replace(coming.request, pixels={UNNAMED: large, **maps}), None


def requests_of(request: Request) -> tuple[Request, ...]:
    """A request for each pass; the pictures that later ones start from have no content yet."""
    first, *others = request.generation.passes
    if not others:
        return (request,)
    nothing = {UNNAMED: np.broadcast_to(np.uint8(0), (first.height, first.width, 3))}
    later = (replace(request, generation=g, pixels={**request.pixels, **nothing}) for g in others)
    return replace(request, generation=first), *later


def _maps(request: Request) -> list[tuple[str, Pixels]]:
    """What its controls follow, at the size of the first pass, by SHA-256."""
    names = {control.map_sha256 for control in request.generation.controls}
    return [(name, request.pixels[name]) for name in sorted(names & request.pixels.keys())]


def covering(latent: Tensor, size: tuple[int, int], name: str) -> Tensor:
    """``latent`` (C, h, w) interpolated until it covers ``size``, and cut to it in the middle."""
    mode, antialias = MODES[name]
    height, width = latent.shape[-2:]
    scale = max(size[0] / height, size[1] / width)
    covers = max(size[0], round(height * scale)), max(size[1], round(width * scale))
    large = interpolate(latent[None], size=covers, mode=mode, antialias=antialias)[0]
    top, left = (covers[0] - size[0]) // 2, (covers[1] - size[1]) // 2
    return large[:, top : top + size[0], left : left + size[1]].contiguous()

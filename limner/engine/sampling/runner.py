"""The runner: how many different requests share one forward pass of the UNet.

A sampler is a triangular matrix. Whatever the scheduler, the input of the UNet at evaluation k,
and the finished latent, are weighted sums of what an image has seen so far: its source latent,
its noise, and the model's outputs. ``samplers.trace`` reads those weights off once; here they are
the matrix ``C``, and everything an image has seen is the matrix ``H``, one row per item. Guidance
is a weighted sum too, over the image's branches, with weights ``G``. So a step is four lines:

    y   = C[k] · H                           per image
    E   = UNet(y[image of row], t[row], context[row])
    eps = G · E                              per image
    H[k] = eps

No line asks which scheduler, step count, guidance or prompt an image has, so images that differ
in all of them run together. ``Group`` says what must be equal: model, latent size, context length.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor

from limner.engine.adapters.resident import LORAS_BYTES, Find, adapters_of, find_nothing
from limner.engine.batching.client import CacheStats
from limner.engine.batching.image import Image
from limner.engine.batching.request import Request
from limner.engine.batching.ticket import Facts, Pixels
from limner.engine.checkpoints.pruning import prune
from limner.engine.checkpoints.weights import Checkpoint
from limner.engine.controls.resident import Controls
from limner.engine.detecting.resident import Detectors
from limner.engine.sampling import samplers
from limner.engine.sampling.clock import Clock
from limner.engine.sampling.conditioning import Caches, Conditioner
from limner.engine.sampling.history import gather
from limner.engine.sampling.lanes import Lanes
from limner.engine.sampling.planning import plan
from limner.engine.sampling.previews import PreviewMap
from limner.engine.sampling.strands import Done, begin, enlarge, facts_of
from limner.engine.sampling.throughput import memory_left
from limner.engine.upscaling.resident import Upscalers


class Runner:
    """Draws with one checkpoint; implements ``client.Runner``. ``image.state`` is a ``History``.

    ``max_rows`` is the knee of throughput (``throughput.knee``) at ``native_area`` latent pixels;
    ``max_bytes`` is what images in flight may take on its device, ``find`` knows files of adapters.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        max_rows: int,
        caches: Caches | None = None,
        find: Find = find_nothing,
        loras_bytes: int = LORAS_BYTES,
    ) -> None:
        self.checkpoint = checkpoint
        self.model, self.dtype = checkpoint.info, checkpoint.unet.dtype
        self.max_rows, self.bytes = max_rows, checkpoint.bytes
        self.free_bytes, self.max_bytes = memory_left(checkpoint.unet.device)
        self.native_area = (512 // checkpoint.vae_scale) ** 2
        self._unet_clock, self._vae_clock = (Clock(checkpoint.unet.device) for _ in range(2))
        prune(checkpoint.unet)
        prune(checkpoint.vae)
        self.unet = Lanes(checkpoint.unet)
        self.conditioner = Conditioner.of(checkpoint, caches or Caches(64 << 20), find)
        self.adapters = adapters_of(checkpoint, lambda: self.unet.adapted.model, find, loras_bytes)
        self.controls = Controls(find, checkpoint, self.unet.adopt)
        self.upscalers = Upscalers(find, checkpoint.unet.device, "hires.upscaler")
        self.enlarge = partial(enlarge, checkpoint)
        self.detectors = Detectors(find)
        self.previews = PreviewMap(checkpoint.vae, checkpoint.latent_scaling)

    def begin(self) -> None:
        """Nothing is left to measure."""

    def plan(self, request: Request) -> list[Image]:
        own = (self.checkpoint, self.conditioner, self.adapters, self.controls, self.upscalers)
        room = (self.max_rows * self.native_area, self.free_bytes // 2)
        return plan(request, *own, self.detectors, *room)

    @torch.inference_mode()
    def prepare(self, image: Image) -> None:
        image.state = begin(image, self.checkpoint, self.conditioner, self.adapters, self.controls)

    @torch.inference_mode()
    def step(self, images: list[Image]) -> None:
        groups = [[i for i in images if not i.exact], *([i] for i in images if i.exact)]
        results = [
            (image, eps)
            for group in filter(None, groups)
            for image, eps in zip(group, self._evaluate(group), strict=True)
        ]
        for image, eps in results:
            image.state.add(image.k, eps)
            image.evaluation += 1
            if not image.phase_over:
                image.rows = image.state.rows(image.k)
                image.cost = image.group.cost(image.rows)

    def _evaluate(self, images: list[Image]) -> list[Tensor]:
        """Guided model outputs, one flat latent per image, from one UNet call."""
        with self._unet_clock:
            E = self.unet(gather(images, self.dtype)).flatten(2).float()
            E_of_image = E.split([image.rows for image in images])
            return [i.state.guided(i.k, e) for i, e in zip(images, E_of_image, strict=True)]

    @torch.inference_mode()
    def advance(self, image: Image) -> Pixels | None:
        if isinstance(image.state, Done):
            return image.state.course.finished
        latent, course = self._latent(image, image.state.at(image.k)), image.state.course
        if not image.finished:
            image.state = course.next(image, latent, image.state.guidance.rows_max)
            return None
        with self._vae_clock:
            drawn = course.decoded(self.checkpoint, latent)
            self.previews.learn(latent[: len(latent) // len(drawn)], drawn[0])
        return course.picture(drawn)

    @torch.inference_mode()
    def preview(self, image: Image) -> Pixels:
        return self.previews.draw(self._latent(image, image.state.denoised(image.k - 1)))

    def step_of(self, image: Image) -> int:
        return image.state.course.steps_before + int(image.state.trace.steps[image.k - 1])

    def seconds(self) -> tuple[float, float]:
        return self._unet_clock.seconds, self._vae_clock.seconds

    def caches(self) -> Mapping[str, CacheStats]:
        beside = {"adapters": self.adapters.stats, "controls": self.controls.stats}
        return self.conditioner.caches() | beside | {"matrices": samplers.cache_stats()}

    def facts(self, image: Image) -> Facts:
        return facts_of(image, self.model)

    def _latent(self, image: Image, flat: Tensor) -> Tensor:
        return flat.view(-1, image.group.height, image.group.width)

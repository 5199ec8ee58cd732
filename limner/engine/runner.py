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
in all of them run together. What must be equal is the latent size and the context length.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from limner.domain.params import Generation
from limner.domain.schedulers import evaluations, history
from limner.engine import latents, samplers
from limner.engine.conditioning import Conditioner
from limner.engine.guidance import Guidance, count_rows
from limner.engine.guidance import prepare as prepare_guidance
from limner.engine.lanes import Lanes
from limner.engine.noise import NoiseStream, initial_noise
from limner.engine.previews import PreviewMap
from limner.engine.pruning import prune
from limner.engine.request import Facts, Image, Pixels, Request
from limner.engine.samplers import SOURCES, Trace
from limner.engine.throughput import memory_for_histories
from limner.engine.weights import Checkpoint


@dataclass(eq=False)
class State:
    """One image's tensors. L is the length of a flattened latent, B the trace's columns.

    ``C`` (K+1, B) float32: rows of the trace, the last one gives the finished latent.
    ``H`` (B, L) float32: source, noise, then one row per evaluation.
    ``kept`` (K+1, L) float32 or None and ``mask`` (L,) bool: what inpainting puts back.
    """

    trace: Trace
    C: Tensor
    H: Tensor
    t: Tensor
    guidance: Guidance
    mask: Tensor | None = None
    kept: Tensor | None = None

    @property
    def first_eps(self) -> int:
        """Column of the first model output."""
        return SOURCES + self.trace.draws

    def at(self, k: int) -> Tensor:
        """The UNet's input at evaluation k, or after the last one the finished latent: (L,)."""
        seen = self.first_eps + k
        y = self.C[k, :seen] @ self.H[:seen]
        if self.mask is not None and self.kept is not None:
            y = torch.where(self.mask, y, self.kept[k])
        return y


class Runner:
    """Draws with one checkpoint; implements ``loop.Runner``.

    ``max_rows`` is the knee of throughput (``throughput.knee``) at ``native_area`` latent pixels;
    ``max_bytes`` is what histories may take on its device.
    """

    def __init__(self, checkpoint: Checkpoint, *, max_rows: int, cache_bytes: int = 64 << 20):
        self.checkpoint = checkpoint
        self.model = checkpoint.info
        self.max_rows = max_rows
        self.max_bytes = memory_for_histories(next(checkpoint.unet.parameters()).device)
        self.native_area = (512 // checkpoint.vae_scale) ** 2
        self.unet_s = 0.0
        self.vae_s = 0.0
        self.device = next(checkpoint.unet.parameters()).device
        self.dtype = next(checkpoint.unet.parameters()).dtype
        for part in (checkpoint.unet, checkpoint.vae):
            prune(part)
        self.unet = Lanes(checkpoint.unet)
        self.conditioner = Conditioner(
            checkpoint.tokenizer,
            checkpoint.text_encoder,
            cache_bytes=cache_bytes,
            model_sha256=checkpoint.info.sha256,
        )
        self.previews = PreviewMap(checkpoint.vae, checkpoint.latent_scaling)

    def plan(self, request: Request) -> list[Image]:
        g = request.generation
        rows, bucket = count_rows(g, self.conditioner)
        _, strength = _start_of(g)
        count = evaluations(g.scheduler, g.steps, strength)
        columns = history(g.scheduler, g.steps, strength)
        height, width = (side // self.checkpoint.vae_scale for side in (g.height, g.width))
        size = columns * self.checkpoint.latent_channels * height * width * 4
        return [
            Image(request, index, rows, size, (height, width, bucket), 0, count)
            for index in range(g.samples)
        ]

    @torch.inference_mode()
    def prepare(self, image: Image) -> None:
        g = image.request.generation
        mode, strength = _start_of(g)
        betas = self.checkpoint.scheduler_betas
        trace = samplers.trace(g.scheduler, g.steps, mode=mode, strength=strength, betas=betas)
        guidance = prepare_guidance(g, trace.steps, image.key[2], self.conditioner)
        shape = (self.checkpoint.latent_channels, *image.key[:2])
        H = torch.zeros(trace.columns, int(np.prod(shape)), device=self.device)
        state = State(
            trace,
            C=self._tensor(np.vstack([trace.inputs, trace.final])),
            H=H,
            t=self._tensor(trace.timesteps),
            guidance=guidance.to(self.device, self.dtype),
        )
        self._fill_sources(image, state, shape)
        image.state = state

    def _fill_sources(self, image: Image, state: State, shape: tuple[int, int, int]) -> None:
        """Source latent, start noise and step noise, in the order diffusers draws them."""
        g = image.request.generation
        stream = NoiseStream(g.noise_source, image.seed)
        H = state.H
        if g.source is not None:
            source = latents.prepare_source(g, image.request.pixels, self.checkpoint, stream)
            H[0] = source.latent.flatten()
        subseed = g.subseed_of(image.index)
        start = initial_noise(stream, shape, subseed=subseed, strength=g.subseed_strength)
        H[1] = self._tensor(start).flatten()
        if g.source is not None and source.mask is not None:
            stream.draw(shape)  # the masked image's posterior: drawn and unused with 4 channels
            state.mask = source.mask.expand(shape).flatten()
            state.kept = self._tensor(state.trace.keep) @ H[:2]
        for draw in range(state.trace.draws):
            H[SOURCES + draw] = self._tensor(stream.draw(shape)).flatten()

    @torch.inference_mode()
    def step(self, images: list[Image]) -> None:
        together = [image for image in images if not image.exact]
        alone = [[image] for image in images if image.exact]
        results = [
            (image, eps)
            for group in ([together, *alone] if together else alone)
            for image, eps in zip(group, self._evaluate(group), strict=True)
        ]
        for image, eps in results:
            image.state.H[image.state.first_eps + image.evaluation] = eps
            image.evaluation += 1

    def _evaluate(self, images: list[Image]) -> list[Tensor]:
        """Guided model outputs, one flat latent per image, from one UNet call."""
        began = time.perf_counter()
        height, width, _ = images[0].key
        y = torch.stack([image.state.at(image.evaluation) for image in images])
        y = y.view(len(images), -1, height, width)
        rows = torch.tensor([i for i, image in enumerate(images) for _ in range(image.rows)])
        t = torch.stack([image.state.t[image.evaluation] for image in images])
        contexts = [image.state.guidance.at(image.evaluation) for image in images]
        masks = [c.mask for c in contexts]
        E = self.unet(
            y[rows].to(self.dtype),
            t[rows],
            torch.cat([c.context for c in contexts]),
            _join_masks(masks, [c.context for c in contexts]),
        )
        eps = [
            c.G @ e.flatten(1).float()
            for c, e in zip(contexts, E.split([image.rows for image in images]), strict=True)
        ]
        self.unet_s += time.perf_counter() - began
        return eps

    @torch.inference_mode()
    def decode(self, image: Image) -> Pixels:
        began = time.perf_counter()
        latent = self._latent(image, image.state.at(image.evaluations))
        pixels = latents.decode(self.checkpoint.vae, latent, self.checkpoint.latent_scaling)
        self.previews.learn(latent, pixels)
        self.vae_s += time.perf_counter() - began
        return latents.compose(image.request, pixels)

    @torch.inference_mode()
    def preview(self, image: Image) -> Pixels:
        state, k = image.state, image.evaluation
        seen = state.first_eps + k
        denoised = self._tensor(state.trace.denoised[k - 1, :seen]) @ state.H[:seen]
        return self.previews.draw(self._latent(image, denoised))

    def step_of(self, image: Image) -> int:
        return int(image.state.trace.steps[image.evaluation - 1])

    def facts(self, image: Image) -> Facts:
        return Facts(
            seed=image.seed,
            evaluations=image.evaluations,
            rows=image.rows,
            dtype=str(self.dtype).removeprefix("torch."),
            batch_mode="exact" if image.exact else "shared",
        )

    def _latent(self, image: Image, flat: Tensor) -> Tensor:
        height, width, _ = image.key
        return flat.view(-1, height, width)

    def _tensor(self, values: object) -> Tensor:
        return torch.tensor(np.asarray(values), dtype=torch.float32, device=self.device)


def _start_of(g: Generation) -> tuple[samplers.Mode, float | None]:
    """Where the image starts: from noise, or from a source at a strength."""
    if g.source is None:
        return "txt2img", None
    return ("img2img" if g.source.mask_sha256 is None else "inpaint"), g.source.strength


def _join_masks(masks: list[Tensor | None], contexts: list[Tensor]) -> Tensor | None:
    """One mask for the batch; None when every row is full, so that fast kernels stay."""
    if all(mask is None for mask in masks):
        return None
    return torch.cat(
        [
            context.new_ones(context.shape[:2], dtype=torch.bool) if mask is None else mask
            for mask, context in zip(masks, contexts, strict=True)
        ]
    )

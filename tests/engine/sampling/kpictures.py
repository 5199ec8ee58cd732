"""Whole pictures by k-diffusion's loops, guided as AUTOMATIC1111 guides: on denoised estimates."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline

from limner.domain.methods import Ruled
from limner.domain.params import Generation
from limner.domain.samplers import SAMPLERS
from limner.engine.checkpoints.weights import Checkpoint
from limner.engine.sampling import samplers
from limner.engine.sampling.noise import NoiseStream
from limner.engine.sampling.schedules import sigmas_of
from tests.engine.sampling import kdiffusion

Combine = Callable[[torch.Tensor, torch.Tensor, float], torch.Tensor]
"""The guided estimate from the unconditional and the prompt's, (1, 4, h, w), and a guidance."""


def plainly(uncond: torch.Tensor, cond: torch.Tensor, guidance: float) -> torch.Tensor:
    return uncond + guidance * (cond - uncond)


class KPictures:
    """Draws with a checkpoint of its own copy, in float32 or float64; the loops are in float64."""

    def __init__(self, checkpoint: Checkpoint, dtype: torch.dtype = torch.float32) -> None:
        self.dtype = dtype
        self.scaling = checkpoint.latent_scaling
        self.scale = checkpoint.vae_scale
        self.pipe = StableDiffusionPipeline(
            vae=copy.deepcopy(checkpoint.vae).to(dtype),
            text_encoder=checkpoint.text_encoder,
            tokenizer=checkpoint.tokenizer,
            unet=copy.deepcopy(checkpoint.unet).to(dtype),
            scheduler=DDIMScheduler(),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )

    @torch.inference_mode()
    def draw(self, g: Generation, combine: Combine = plainly) -> np.ndarray[Any, Any]:
        """The picture (h, w, 3) in 255ths, rounded; of one prompt, from noise."""
        evaluations = iter(range(g.evaluations))
        external = kdiffusion.package()["external"]
        alphas = kdiffusion.alphas_cumprod()
        inner = external.DiscreteEpsDDPMDenoiser(self._unet(g), alphas, quantize=False)

        def model(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
            uncond, cond = inner(x, sigma).chunk(2)
            return combine(uncond, cond, g.guidance_over(g.evaluations)[next(evaluations)])

        return self._decoded(self._loop(g, model))

    @torch.inference_mode()
    def draw_by_matrix(self, g: Generation) -> np.ndarray[Any, Any]:
        """The same picture by the engine's matrix in place of the loop, in float64 as well.

        Where the two are equal, the engine's own picture differs by its float32 alone.
        """
        trace, unet = samplers.trace(g.method, g.steps), self._unet(g)
        stream, shape = NoiseStream(g.noise_source, g.seed), self._shape(g)
        H = torch.zeros(trace.columns, math.prod(shape), dtype=torch.float64)
        for row in (1, *(trace.noise_column(draw) for draw in range(trace.draws))):
            H[row] = torch.from_numpy(stream.draw(shape)).double().flatten()
        inputs, timesteps = torch.from_numpy(trace.inputs), torch.from_numpy(trace.timesteps)
        for k in range(trace.evaluations):
            uncond, cond = unet((inputs[k] @ H).view(shape), timesteps[k]).chunk(2)
            H[trace.eps_column(k)] = plainly(uncond, cond, g.guidance).flatten()
        return self._decoded((torch.from_numpy(trace.final) @ H).view(shape))

    def _unet(self, g: Generation) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
        """Of a latent and a timestep: the outputs (2, 4, h, w) without and with the prompt."""
        contexts = self._contexts(g)

        def output(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
            doubled, times = torch.cat([x, x]).to(self.dtype), t.to(self.dtype).expand(2)
            return self.pipe.unet(doubled, times, encoder_hidden_states=contexts).sample.double()

        return output

    def _decoded(self, latent: torch.Tensor) -> np.ndarray[Any, Any]:
        scaled = latent.to(self.dtype) / self.scaling
        pixels = self.pipe.vae.decode(scaled).sample[0].permute(1, 2, 0)
        return ((pixels / 2 + 0.5).clamp(0, 1) * 255).round().double().numpy()

    def _contexts(self, g: Generation) -> torch.Tensor:
        cond, uncond = self.pipe.encode_prompt(
            g.prompt, "cpu", 1, do_classifier_free_guidance=True, negative_prompt=g.negative_prompt
        )
        return torch.cat([uncond, cond]).to(self.dtype)

    def _loop(self, g: Generation, model: Callable[..., torch.Tensor]) -> torch.Tensor:
        method = g.method
        assert isinstance(method, Ruled)
        alphas = kdiffusion.alphas_cumprod().numpy()
        trained = np.sqrt((1 - alphas) / alphas)
        skips = SAMPLERS[method.sampler].skips
        sigmas = torch.from_numpy(sigmas_of(method.schedule, g.steps, trained, skips=skips))
        stream, shape = NoiseStream(g.noise_source, g.seed), self._shape(g)
        draws = (torch.from_numpy(stream.draw(shape)).double() for _ in iter(int, 1))
        return kdiffusion.run(method.sampler, model, next(draws) * sigmas[0], sigmas, draws)

    def _shape(self, g: Generation) -> tuple[int, int, int, int]:
        return 1, 4, g.height // self.scale, g.width // self.scale

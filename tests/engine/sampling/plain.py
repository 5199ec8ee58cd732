"""Plain loops of diffusers' schedulers with a stand-in for the UNet, and the engine's beside."""

from __future__ import annotations

import copy
import importlib
import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from limner.domain.schedulers import BETAS, SPECS, SchedulerName
from limner.engine.sampling.matrices import Trace
from limner.engine.sampling.noise import NoiseStream

SHAPE = (1, 4, 8, 8)
SEED = 2601738487
STRENGTHS = (0.3, 0.5, 0.75, 1.0)
TOLERANCE = 1e-5
OURS = ("LMS", "PNDM")  # which begin inside a schedule otherwise than diffusers (ADR 0007)


def model(x: torch.Tensor, t: float) -> torch.Tensor:
    """A stand-in for the UNet: nonlinear, mixes neighbours, depends on the timestep."""
    around = torch.roll(x, 1, -1) - torch.roll(x, 1, -2)
    return torch.tanh(0.9 * x + 0.3 * around + 0.5 * np.sin(t / 150)) + 0.2 * torch.sin(2 * x)


@lru_cache
def fresh(name: SchedulerName, betas: str) -> Any:
    package = importlib.import_module("diffusers.schedulers")
    return getattr(package, SPECS[name].class_name)(**json.loads(betas), **SPECS[name].arguments)


def build(name: SchedulerName, betas: Mapping[str, Any] = BETAS) -> Any:
    """A scheduler of one's own, as the wire contract writes it down."""
    return copy.deepcopy(fresh(name, json.dumps(dict(betas))))


def step(scheduler: Any, eps: torch.Tensor, t: torch.Tensor, x: torch.Tensor, g: Any) -> Any:
    """One step, with a generator where the scheduler takes one (as the pipelines find out)."""
    takes = "generator" in type(scheduler).step.__code__.co_varnames
    extra = {"generator": g} if takes else {}
    return scheduler.step(eps, t, x, **extra)


def plain_loop(name: SchedulerName, steps: int, betas: Mapping[str, Any] = BETAS) -> torch.Tensor:
    """StableDiffusionPipeline's loop."""
    g = torch.Generator().manual_seed(SEED)
    scheduler = build(name, betas)
    scheduler.set_timesteps(steps)
    x = torch.randn(SHAPE, generator=g) * scheduler.init_noise_sigma
    for t in scheduler.timesteps:
        eps = model(scheduler.scale_model_input(x, t), float(t))
        x = step(scheduler, eps, t, x, g).prev_sample
    return x


def plain_source_loop(
    name: SchedulerName,
    steps: int,
    strength: float,
    mask: torch.Tensor | None = None,
    betas: Mapping[str, Any] = BETAS,
) -> torch.Tensor:
    """The loops of StableDiffusionImg2ImgPipeline and, with a mask, of the InpaintPipeline."""
    g = torch.Generator().manual_seed(SEED)
    scheduler = build(name, betas)
    scheduler.set_timesteps(steps)
    skipped = max(steps - min(int(steps * strength), steps), 0)
    timesteps = scheduler.timesteps[skipped * scheduler.order :]
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(skipped * scheduler.order)
    z0, n0 = source(), torch.randn(SHAPE, generator=g)
    if mask is not None and strength == 1.0:
        x = n0 * scheduler.init_noise_sigma
    else:
        x = scheduler.add_noise(z0, n0, timesteps[:1])
    for i, t in enumerate(timesteps):
        eps = model(scheduler.scale_model_input(x, t), float(t))
        x = step(scheduler, eps, t, x, g).prev_sample
        if mask is not None:
            kept = z0
            if i < len(timesteps) - 1:
                kept = scheduler.add_noise(z0, n0, torch.tensor([timesteps[i + 1]]))
            x = (1 - mask) * kept + mask * x
    return x


def own_source_loop(
    name: SchedulerName, steps: int, strength: float, mask: torch.Tensor | None = None
) -> torch.Tensor:
    """LMS and PNDM from their papers, from a source on; diffusers' own begin there wrongly."""
    n0 = torch.randn(SHAPE, generator=torch.Generator().manual_seed(SEED))
    loop = lms_from if name == "LMS" else pndm_from
    return loop(steps, steps - int(steps * strength), source().double(), n0.double(), mask)


def kept_where(mask: torch.Tensor | None, x: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
    return x if mask is None else (1 - mask) * kept + mask * x


def lms_from(steps: int, start: int, z0: Any, n0: Any, mask: Any) -> torch.Tensor:
    """Adams-Bashforth over sigma, of as many outputs as there are, four at most."""
    scheduler = build("LMS")
    scheduler.set_timesteps(steps)
    sigmas, times = scheduler.sigmas.double().numpy(), scheduler.timesteps.tolist()
    x, outputs = z0 + sigmas[start] * n0, []
    for i in range(start, steps):
        outputs.append(model(x / np.sqrt(sigmas[i] ** 2 + 1), times[i]))
        nodes = sigmas[i - min(len(outputs), 4) + 1 : i + 1][::-1]
        for j, output in enumerate(reversed(outputs[-4:])):
            others = np.delete(nodes, j)
            basis = np.polynomial.Polynomial([1.0])
            for other in others:
                basis *= np.polynomial.Polynomial([-other, 1.0]) / (nodes[j] - other)
            whole = basis.integ()
            x = x + (whole(sigmas[i + 1]) - whole(sigmas[i])) * output
        x = kept_where(mask, x, z0 + sigmas[i + 1] * n0)
    return x


def pndm_from(
    steps: int, start: int, z0: Any, n0: Any, mask: Any, *, v: bool = False
) -> torch.Tensor:
    """Liu et al. 2022 without Runge-Kutta: a step and its correction, then Adams-Bashforth.

    With ``v`` it is v's that are extrapolated, as diffusers does.
    """
    signal = build("PNDM").alphas_cumprod.double().numpy()
    stride = 1000 // steps
    times = [1 + stride * n for n in reversed(range(steps - start))]

    def level(t: int) -> float:
        return float(signal[max(t, 0)])

    def noised(t: int) -> torch.Tensor:
        return np.sqrt(level(t)) * z0 + np.sqrt(1 - level(t)) * n0

    def moved(x: torch.Tensor, t: int, e: torch.Tensor) -> torch.Tensor:
        a, b = level(t), level(t - stride)
        e = np.sqrt(a) * e + np.sqrt(1 - a) * x if v else e
        clean = (x - np.sqrt(1 - a) * e) / np.sqrt(a)
        return np.sqrt(b) * clean + np.sqrt(1 - b) * e

    x = noised(times[0])
    outputs = [model(x, times[0])]
    after = moved(x, times[0], outputs[0])
    if len(times) > 1:
        after = kept_where(mask, after, noised(times[1]))
        both = (outputs[0] + model(after, times[1])) / 2
        after = moved(x, times[0], both)
    x = kept_where(mask, after, noised(times[1]) if len(times) > 1 else z0)
    weights = {2: (3, -1), 3: (23, -16, 5), 4: (55, -59, 37, -9)}
    for t, following in zip(times[1:], [*times[2:], None], strict=True):
        outputs = [*outputs, model(x, t)][-4:]
        w = np.array(weights[len(outputs)])
        mean = sum(a * e for a, e in zip(w / w.sum(), reversed(outputs), strict=True))
        kept = z0 if following is None else noised(following)
        x = kept_where(mask, moved(x, t, mean), kept)
    return x


def expected_from(
    name: SchedulerName, steps: int, strength: float, mask: torch.Tensor | None = None
) -> torch.Tensor:
    """What img2img and, with a mask, inpainting should draw."""
    ours = name in OURS and strength < 1
    return (own_source_loop if ours else plain_source_loop)(name, steps, strength, mask)


def source() -> torch.Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(7)) * 0.8


def square_mask() -> torch.Tensor:
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., 2:6, 1:5] = 1
    return mask


def drawn_by(matrix: Trace, mask: torch.Tensor | None = None) -> torch.Tensor:
    """The engine's loop in float32: nothing but products with the matrix's rows."""
    stream = NoiseStream("torch-cpu", SEED)
    seen = [source(), torch.from_numpy(stream.draw(SHAPE))]
    seen += [torch.from_numpy(stream.draw(SHAPE)) for _ in range(matrix.draws)]
    C = torch.from_numpy(np.vstack([matrix.inputs, matrix.final])).float()
    keep = torch.from_numpy(matrix.keep).float()

    def at(k: int) -> torch.Tensor:
        H = torch.stack(seen)
        y = torch.tensordot(C[k, : len(seen)], H, 1)
        if mask is None:
            return y
        return mask * y + (1 - mask) * torch.tensordot(keep[k], H[: keep.shape[1]], 1)

    for k in range(matrix.evaluations):
        seen.append(model(at(k), matrix.timesteps[k]))
    return at(matrix.evaluations)


def assert_close(ours: torch.Tensor, theirs: torch.Tensor, tolerance: float = TOLERANCE) -> None:
    worst = float((ours - theirs).abs().max() / theirs.abs().max())
    assert worst < tolerance, f"differs by {worst:.2e} of the largest value"

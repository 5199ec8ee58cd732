"""Samplers as matrices (docs/engine-mathematics.md).

Every sampler here is linear in the latent, the model's outputs and the noise. So one dry run on
one-hot vectors gives each UNet input, and the final latent, as a row of coefficients: of
diffusers' own loop for the vendor's schedulers, of ``rules`` over ``schedules`` for AUTOMATIC1111's
(ADR 0017). Coefficients are float64 wherever diffusers does not round to float32 itself.
"""

from __future__ import annotations

import importlib
import json
import logging
import math
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from types import ModuleType
from typing import Any, Literal

import numpy as np
import torch

from limner.domain.methods import Diffusers, Method, Ruled, Vendors
from limner.domain.samplers import SAMPLERS, SPACED_BY_DIFFUSERS
from limner.domain.schedulers import BETAS, SPECS, SchedulerName
from limner.engine.batching.client import CacheStats
from limner.engine.sampling.caches import ByteCache
from limner.engine.sampling.matrices import SOURCES, Matrix, Trace, draws_used
from limner.engine.sampling.timesteps import is_spaced, scheduled, told
from limner.engine.sampling.walking import walk
from limner.errors import InvalidInput

Mode = Literal["txt2img", "img2img", "inpaint"]

LEAST_SIGNAL = 1e-12  # of the variance: where a schedule ends in pure noise, sigma stays finite
_CACHE_BYTES = 64 * 2**20


def trace(
    method: SchedulerName | Method,
    steps: int,
    *,
    strength: float | None = None,
    mode: Mode = "txt2img",
    betas: Mapping[str, Any] = BETAS,
) -> Trace:
    """The matrix of ``method`` at ``steps`` steps, from the cache where it is known.

    A name is one of the vendor's schedulers. ``strength`` (0..1) says how much of the schedule
    img2img and inpainting run; txt2img takes none. ``betas`` are the constructor arguments that
    the checkpoint decides: its schedule of noise and what its UNet predicts. The first call for a
    combination takes milliseconds to tenths of a second (never call it on the engine thread); safe
    from any thread. Raises InvalidInput when no step would run.
    """
    method = Vendors(method) if isinstance(method, str) else method
    start = _start(method, steps, strength, mode)
    arguments = json.dumps(dict(betas), sort_keys=True)
    if isinstance(method, Ruled):
        key: tuple[Any, ...] = (method, steps, start, arguments)
        make: Callable[..., Trace] = _by_rule
    else:
        class_name, own, eta = _in_diffusers(method)
        arguments = json.dumps({**betas, **own}, sort_keys=True)
        from_noise = mode == "txt2img" or (mode == "inpaint" and strength == 1.0)
        key, make = (class_name, arguments, steps, start, from_noise, eta), _run
    return _cache.get(key, lambda: make(*key), lambda made: made.nbytes)


def _in_diffusers(method: Method) -> tuple[str, Mapping[str, Any], float | None]:
    """The class there, its arguments beside the checkpoint's, and what its steps are told."""
    if isinstance(method, Diffusers):
        of, schedule = SAMPLERS[method.sampler], method.schedule
        spaced = {SPACED_BY_DIFFUSERS[schedule]: True} if schedule else {}
        return of.diffusers, {**of.arguments, **spaced}, method.eta
    spec = SPECS[method.scheduler]
    return spec.class_name, spec.arguments, None


def _by_rule(method: Ruled, steps: int, start: int | None, arguments: str) -> Trace:
    prediction = json.loads(arguments).get("prediction_type", "epsilon")
    levels = _trained(arguments)
    return walk(method, steps, start or 0, levels, from_noise=start is None, prediction=prediction)


@lru_cache(maxsize=32)
def _trained(arguments: str) -> Matrix:
    """The levels of noise, sigma, of the training timesteps by a checkpoint's ``betas``: (N,).

    Worked out in float64; at zero terminal SNR the last is 4096, as diffusers' Euler has it.
    """
    alphas = np.cumprod(1 - _betas(arguments)).clip(min=2.0**-24)
    return np.sqrt((1 - alphas) / alphas)


def _betas(arguments: str) -> Matrix:
    """The training noise of each timestep: (N,). diffusers rounds its own to float32, which the
    levels keep; k-diffusion's users count in float64, and so it is done for the usual schedule."""
    given = json.loads(arguments)
    plain = not given.get("trained_betas") and not given.get("rescale_betas_zero_snr")
    if plain and given.get("beta_schedule") == "scaled_linear":
        first, last = math.sqrt(given["beta_start"]), math.sqrt(given["beta_end"])
        betas: Matrix = np.linspace(first, last, given["num_train_timesteps"]) ** 2
        return betas
    _, made = _pristine("DDIMScheduler", arguments)
    return made.betas.double().numpy()


def cache_stats() -> CacheStats:
    """How the matrices' cache does."""
    return _cache.stats


def warm(
    names: Iterable[SchedulerName],
    steps: Iterable[int] = (20, 25),
    *,
    betas: Mapping[str, Any] = BETAS,
) -> None:
    """Trace txt2img of these samplers ahead of the first request, with the checkpoint's betas."""
    counts = tuple(steps)
    for name in names:
        for count in counts:
            trace(name, count, betas=betas)


def _start(method: Method, steps: int, strength: float | None, mode: Mode) -> int | None:
    """The user's step (from 0) at which the loop enters the schedule; None for txt2img."""
    if (mode == "txt2img") != (strength is None):
        raise ValueError("txt2img takes no strength; img2img and inpaint need one.")
    if strength is None:
        return None
    if not 0.0 <= strength <= 1.0:
        raise InvalidInput("strength", f"strength is {strength}; it must be from 0 to 1.")
    ran = method.steps_run(steps, strength)
    if ran == 0:
        raise InvalidInput(
            "strength",
            f"strength {strength} of {steps} steps leaves no step to run; "
            f"use a strength of at least {least_strength(steps)} or more steps.",
        )
    return steps - ran


def least_strength(steps: int) -> float:
    """The least strength, in thousandths, of which at least one of ``steps`` steps runs."""
    return next(n for n in range(1, 1001) if int(steps * (n / 1000)) >= 1) / 1000


_cache: ByteCache[Trace] = ByteCache(_CACHE_BYTES)
_tracing = threading.Lock()  # the stand-in for randn_tensor below is a global of diffusers'


@lru_cache(maxsize=32)
def _pristine(class_name: str, arguments: str) -> tuple[ModuleType, Any]:
    """The scheduler's module and a fresh object; some constructors take half a second."""
    package = importlib.import_module("diffusers.schedulers")
    made = getattr(package, class_name)(**json.loads(arguments))
    module = importlib.import_module(type(made).__module__)
    # DPM Single tells us at every trace that it corrects its own default.
    logging.getLogger(module.__name__).setLevel(logging.ERROR)
    return module, made


@contextmanager
def _noise_caught(module: ModuleType, noise: Iterator[torch.Tensor]) -> Iterator[None]:
    """While open, the schedulers of ``module`` draw their step noise from ``noise``."""
    drawn = getattr(module, "randn_tensor", None)
    if drawn is None:  # a deterministic scheduler's module does not import it
        yield
        return
    module.randn_tensor = lambda *_, **__: next(noise)
    try:
        yield
    finally:
        module.randn_tensor = drawn


def _run(
    class_name: str,
    arguments: str,
    steps: int,
    start: int | None,
    pure_noise: bool,
    eta: float | None,
) -> Trace:
    """Diffusers' denoising loop on one-hot vectors.

    The same calls in the same order as in its StableDiffusionPipeline, Img2ImgPipeline
    (``get_timesteps``, ``prepare_latents``) and InpaintPipeline (``kept`` is what the blend
    after each step puts where the mask is 0).
    """
    module, made = _pristine(class_name, arguments)
    scheduler, timesteps = scheduled(class_name, made, steps, start)
    count = len(timesteps)
    z0, n0, *others = _basis(SOURCES + 2 * count)
    noise, eps = others[:count], others[count:]
    if pure_noise:
        x = n0 * scheduler.init_noise_sigma
    else:
        x = scheduler.add_noise(z0, n0, timesteps[:1])
    kept, inputs, keep = x, [], []
    with _tracing, _noise_caught(module, iter(noise)):
        for k, t in enumerate(timesteps):
            inputs.append(scheduler.scale_model_input(x, t))
            keep.append(scheduler.scale_model_input(kept, t))
            x = scheduler.step(eps[k], t, x, return_dict=False, **told(class_name, k, eta))[0]
            following = timesteps[k + 1 : k + 2]
            kept = scheduler.add_noise(z0, n0, following) if len(following) else z0
    rows = _rows([*inputs, x])
    levels = _levels(made.alphas_cumprod, timesteps)
    if is_spaced(made):
        levels = _shares(scheduler.sigmas[start or 0 :][:count].double().numpy()[:, None])
    denoised = _denoised(made.config.prediction_type, rows[:-1], _rows(eps), *levels)
    return _trimmed(rows, denoised, _rows([*keep, kept]), timesteps, steps - (start or 0))


def _basis(size: int) -> torch.Tensor:
    """``size`` one-hot vectors, each dressed as a batch of one latent of one pixel."""
    return torch.eye(size, dtype=torch.float64).reshape(size, 1, size, 1, 1)


def _rows(latents: Sequence[torch.Tensor]) -> Matrix:
    return torch.stack([latent.double().flatten() for latent in latents]).numpy()


def _levels(alphas_cumprod: torch.Tensor, timesteps: torch.Tensor) -> tuple[Matrix, Matrix]:
    """How much signal and noise the UNet expects in its input at each timestep, two (K, 1).

    The squares sum to 1; between training timesteps sigma is interpolated, as the schedulers do.
    """
    alphas = alphas_cumprod.double().numpy().clip(min=LEAST_SIGNAL)
    sigmas = np.sqrt((1 - alphas) / alphas)
    return _shares(np.interp(timesteps.double().numpy(), np.arange(len(sigmas)), sigmas)[:, None])


def _shares(sigma: Matrix) -> tuple[Matrix, Matrix]:
    """Signal and noise where there is so much noise for one part of signal."""
    signal = 1 / np.sqrt(1 + sigma**2)
    return signal, sigma * signal


def _denoised(prediction: str, y: Matrix, output: Matrix, signal: Matrix, spread: Matrix) -> Matrix:
    """The finished latent by the inputs ``y`` and what the UNet said of them, rows (K, B).

    Salimans and Ho 2022: v = signal * noise - spread * picture, where y holds both.
    """
    if prediction == "v_prediction":
        return signal * y - spread * output
    return (y - spread * output) / signal


def _trimmed(
    rows: Matrix, denoised: Matrix, keep: Matrix, timesteps: torch.Tensor, ran: int
) -> Trace:
    """A Trace without the columns of noise that no row uses."""
    count = len(timesteps)
    draws = draws_used(rows, count)
    columns = np.r_[: SOURCES + draws, SOURCES + count : rows.shape[1]]
    twice = np.arange(ran) < count - ran  # the steps that take a second evaluation
    return Trace(
        inputs=rows[:-1, columns],
        final=rows[-1, columns],
        denoised=denoised[:, columns],
        timesteps=timesteps.double().numpy().copy(),
        steps=np.repeat(np.arange(1, ran + 1), 1 + twice),
        keep=keep[:, :SOURCES].copy(),
        draws=draws,
    )

"""AUTOMATIC1111's samplers as matrices, against k-diffusion's own loops in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from limner.domain.methods import Ruled
from limner.domain.sampler_names import SCHEDULE_NAMES, SamplerName, ScheduleName
from limner.domain.samplers import RULED_NAMES, SAMPLERS
from limner.domain.schedulers import BETAS
from limner.engine.sampling.matrices import Trace
from limner.engine.sampling.samplers import trace
from limner.engine.sampling.schedules import sigmas_of
from tests.engine.sampling import kdiffusion, plain

V: dict[str, Any] = {**BETAS, "prediction_type": "v_prediction"}
ZERO: dict[str, Any] = {**V, "rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
STARTS = (None, 0.3, 0.75)
PAIRS = [(sampler, SAMPLERS[sampler].automatic) for sampler in RULED_NAMES]
PAIRS += [("DPM++ 3M SDE", schedule) for schedule in SCHEDULE_NAMES]
NOISY = [name for name in RULED_NAMES if "eta" in SAMPLERS[name].options]
CHURNED = [name for name in RULED_NAMES if "s_churn" in SAMPLERS[name].options]


def method_of(sampler: SamplerName, schedule: ScheduleName, **options: float) -> Ruled:
    return Ruled(sampler, schedule, **{"eta": SAMPLERS[sampler].eta} | options)


def levels(method: Ruled, steps: int, strength: float | None, *, zero_snr: bool = False) -> Any:
    """What AUTOMATIC1111 gives the loop: from a source one step more than it says."""
    alphas = kdiffusion.alphas_cumprod(zero_snr=zero_snr).numpy()
    trained = np.sqrt((1 - alphas) / alphas)
    skips = SAMPLERS[method.sampler].skips
    start = 0 if strength is None else steps - int(min(strength, 0.999) * steps) - 1
    return sigmas_of(method.schedule, steps, trained, skips=skips)[start:]


def matrix_of(method: Ruled, steps: int, strength: float | None, **more: Any) -> Trace:
    mode = "txt2img" if strength is None else "inpaint"
    return trace(method, steps, strength=strength, mode=mode, **more)


def check(
    method: Ruled,
    steps: int,
    strength: float | None = None,
    mask: torch.Tensor | None = None,
    **options: float,
) -> None:
    sigmas = levels(method, steps, strength)
    source = strength is not None
    theirs = kdiffusion.loop(method.sampler, sigmas, from_source=source, mask=mask, **options)
    plain.assert_close(plain.drawn_by(matrix_of(method, steps, strength), mask), theirs)


@pytest.mark.parametrize(("sampler", "schedule"), PAIRS)
def test_draws_what_k_diffusion_draws(sampler: SamplerName, schedule: ScheduleName) -> None:
    method = method_of(sampler, schedule)
    for strength in STARTS:
        check(method, 8, strength)
    check(method, 8, 0.75, plain.square_mask())


@pytest.mark.slow
@pytest.mark.parametrize("steps", [8, 20, 25, 50])
@pytest.mark.parametrize("schedule", SCHEDULE_NAMES)
@pytest.mark.parametrize("sampler", RULED_NAMES)
def test_any_with_any_at_length(sampler: SamplerName, schedule: ScheduleName, steps: int) -> None:
    method = method_of(sampler, schedule)
    for strength in (*STARTS, 1.0):
        check(method, steps, strength)
    check(method, steps, 0.3, plain.square_mask())


@pytest.mark.parametrize("sampler", NOISY)
def test_eta_and_its_noise_are_k_diffusions(sampler: SamplerName) -> None:
    for eta, s_noise in ((0.0, 1.0), (0.4, 1.1), (1.0, 0.5)):
        check(method_of(sampler, "Karras", eta=eta, s_noise=s_noise), 6, eta=eta, s_noise=s_noise)


@pytest.mark.parametrize("sampler", CHURNED)
def test_churn_is_k_diffusions(sampler: SamplerName) -> None:
    for options in (
        {"s_churn": 2.0},
        {"s_churn": 90.0, "s_noise": 1.1},
        {"s_churn": 3.0, "s_tmin": 0.2, "s_tmax": 5.0},
    ):
        check(method_of(sampler, "Karras", **options), 6, **options)


@pytest.mark.parametrize("sampler", RULED_NAMES)
def test_v_and_zero_snr_are_k_diffusions(sampler: SamplerName) -> None:
    method = method_of(sampler, SAMPLERS[sampler].automatic)
    for betas, zero in ((V, False), (ZERO, True)):
        sigmas = levels(method, 7, None, zero_snr=zero)
        theirs = kdiffusion.loop(sampler, sigmas, v=True, zero_snr=zero)
        # At sigma 4096, where it begins then, float32 leaves the latent three digits.
        tolerance = 4e-4 if zero else plain.TOLERANCE
        plain.assert_close(plain.drawn_by(trace(method, 7, betas=betas)), theirs, tolerance)


@pytest.mark.parametrize("sampler", RULED_NAMES)
def test_the_price_counts_what_is_run(sampler: SamplerName) -> None:
    for schedule in ("Karras", "DDIM"):
        method = method_of(sampler, schedule)
        for steps in (1, 2, 3, 30):
            for strength in (None, 0.0, 0.29, 0.5, 1.0):
                matrix = matrix_of(method, steps, strength)
                assert matrix.evaluations == method.evaluations(steps, strength)
                assert matrix.draws == method.draws(steps, strength)
                assert matrix.steps[0] == 1
                assert matrix.steps[-1] == method.steps_run(steps, strength)
                assert matrix.keep.shape[1] == 2 + matrix.draws * method.keeps_noise


@pytest.mark.parametrize("sampler", RULED_NAMES)
def test_no_row_looks_ahead(sampler: SamplerName) -> None:
    matrix = matrix_of(method_of(sampler, "Karras"), 9, 0.5)
    for k in range(matrix.evaluations):
        assert not matrix.inputs[k, matrix.eps_column(k) :].any()
        assert not matrix.denoised[k, matrix.eps_column(k) + 1 :].any()


@pytest.mark.parametrize("sampler", RULED_NAMES)
def test_given_the_true_noise_the_source_comes_back(sampler: SamplerName) -> None:
    """A UNet that names the noise in its input exactly: nothing of it is left at the end."""
    matrix = matrix_of(method_of(sampler, "Karras"), 12, 0.6)
    H = np.zeros((matrix.columns, matrix.columns))
    known = 2 + matrix.draws
    H[:known, :known] = np.eye(known)
    for k, t in enumerate(matrix.timesteps):
        y = matrix.inputs[k] @ H
        signal, _ = _shares(t)
        y[0] -= signal
        H[matrix.eps_column(k)] = y / _shares(t)[1]
    assert matrix.final @ H == pytest.approx(np.eye(matrix.columns)[0], abs=1e-7)


def _shares(t: float) -> tuple[float, float]:
    """Signal and noise at a timestep."""
    alphas = kdiffusion.alphas_cumprod().numpy()
    sigma = np.exp(np.interp(t, np.arange(1000), np.log(np.sqrt((1 - alphas) / alphas))))
    return 1 / np.sqrt(1 + sigma**2), sigma / np.sqrt(1 + sigma**2)

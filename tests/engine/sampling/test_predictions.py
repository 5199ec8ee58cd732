"""v-prediction and zero terminal SNR, as matrices, against plain diffusers loops."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import schedulers

from limner.domain.schedulers import (
    BETAS,
    SCHEDULER_NAMES,
    SPECS,
    SchedulerName,
    check_zero_snr,
    evaluations,
)
from limner.engine.sampling.samplers import trace
from limner.errors import InvalidInput
from tests.engine.sampling import plain

V: dict[str, Any] = {**BETAS, "prediction_type": "v_prediction"}
ZERO: dict[str, Any] = {**V, "rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
TRAINED: dict[str, Any] = {**V, "trained_betas": np.linspace(1e-4, 0.02, 1000).tolist()}
FULL = tuple(name for name in SCHEDULER_NAMES if SPECS[name].zero_snr)
CASES = [
    *((name, V) for name in SCHEDULER_NAMES),
    *((name, ZERO) for name in FULL),
    ("UniPC", TRAINED),
    ("DDIM", TRAINED),
]
# At sigma 4096, where the k-samplers begin, float32 leaves diffusers three digits.
TOLERANCES = {False: plain.TOLERANCE, True: 4e-4}

STARTED = [
    (*case, strength)
    for case in CASES
    for strength in (0.3, 1.0)
    if strength == 1 or case[0] not in plain.OURS
]


def label(value: Any) -> str:
    return str(len(value)) if isinstance(value, dict) else str(value)


each = pytest.mark.parametrize(("name", "betas"), CASES, ids=label)


def close(ours: torch.Tensor, theirs: torch.Tensor, betas: dict[str, Any]) -> None:
    plain.assert_close(ours, theirs, TOLERANCES["rescale_betas_zero_snr" in betas])


@pytest.mark.parametrize("steps", [1, 13])
@each
def test_draws_what_a_plain_loop_draws(name: SchedulerName, betas: Any, steps: int) -> None:
    ours = plain.drawn_by(trace(name, steps, betas=betas))
    close(ours, plain.plain_loop(name, steps, betas), betas)


@pytest.mark.parametrize(("name", "betas", "strength"), STARTED, ids=label)
def test_starts_inside_the_schedule(name: SchedulerName, betas: Any, strength: float) -> None:
    mask = plain.square_mask()
    ours = plain.drawn_by(trace(name, 10, strength=strength, mode="img2img", betas=betas))
    close(ours, plain.plain_source_loop(name, 10, strength, None, betas), betas)
    ours = plain.drawn_by(trace(name, 10, strength=strength, mode="inpaint", betas=betas), mask)
    close(ours, plain.plain_source_loop(name, 10, strength, mask, betas), betas)


@pytest.mark.slow
@pytest.mark.parametrize("steps", [20, 37, 50, 100])
@each
def test_draws_at_length(name: SchedulerName, betas: Any, steps: int) -> None:
    test_draws_what_a_plain_loop_draws(name, betas, steps)
    mask = plain.square_mask()
    for strength in plain.STRENGTHS if name not in plain.OURS else (1.0,):
        ours = plain.drawn_by(trace(name, steps, strength=strength, mode="img2img", betas=betas))
        close(ours, plain.plain_source_loop(name, steps, strength, None, betas), betas)
        matrix = trace(name, steps, strength=strength, mode="inpaint", betas=betas)
        ours = plain.drawn_by(matrix, mask)
        close(ours, plain.plain_source_loop(name, steps, strength, mask, betas), betas)


@pytest.mark.parametrize("strength", [0.4, 0.75])
def test_pndm_begins_inside_the_schedule_with_v(strength: float) -> None:
    ours = plain.drawn_by(trace("PNDM", 10, strength=strength, mode="img2img", betas=V))
    n0 = torch.randn(plain.SHAPE, generator=torch.Generator().manual_seed(plain.SEED)).double()
    start = 10 - int(10 * strength)
    theirs = plain.pndm_from(10, start, plain.source().double(), n0, None, v=True)
    plain.assert_close(ours, theirs)


@pytest.mark.parametrize("strength", [0.4, 0.75])
@pytest.mark.parametrize("name", ["LMS", "DDIM"])
def test_v_is_the_same_picture_as_the_epsilon_that_it_means(
    name: SchedulerName, strength: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = plain.drawn_by(trace(name, 10, strength=strength, mode="img2img", betas=V))
    alphas = plain.build("DDIM").alphas_cumprod.double().numpy()
    sigmas = np.sqrt((1 - alphas) / alphas)
    model = plain.model

    def epsilon(y: torch.Tensor, t: float) -> torch.Tensor:
        sigma = np.interp(t, np.arange(1000), sigmas)
        return (model(y, t) + sigma * y) / np.sqrt(1 + sigma**2)

    monkeypatch.setattr(plain, "model", epsilon)
    plain.assert_close(ours, plain.expected_from(name, 10, strength))


@each
def test_the_estimate_of_a_perfect_model_is_the_source(name: SchedulerName, betas: Any) -> None:
    """v = a n0 - b z0 of the input a z0 + b n0 leaves z0 alone."""
    matrix = trace(name, 20, strength=0.5, mode="img2img", betas=betas)
    signal, spread = matrix.inputs[0, :2]
    estimate = matrix.denoised[0, :2] + matrix.denoised[0, matrix.eps_column(0)] * np.array(
        [-spread, signal]
    )
    rounded = 0.02 if "Karras" in name else 1e-5  # there diffusers rounds the timestep
    assert estimate == pytest.approx([1.0, 0.0], abs=rounded)


@pytest.mark.parametrize("name", FULL)
def test_the_first_estimate_from_pure_noise_is_finite_and_the_outputs(name: SchedulerName) -> None:
    """Where nothing is left of the picture, v is the picture, turned."""
    matrix = trace(name, 20, betas=ZERO)
    assert np.isfinite(matrix.denoised).all()
    assert matrix.timesteps[0] == 999
    assert matrix.denoised[0, matrix.eps_column(0)] == pytest.approx(-1, abs=1e-6)
    assert matrix.denoised[0, 1] == pytest.approx(0, abs=3e-4)


def test_those_classes_draw_with_zero_snr_that_know_it() -> None:
    for name, spec in SPECS.items():
        arguments = inspect.signature(getattr(schedulers, spec.class_name)).parameters
        assert spec.zero_snr == ("rescale_betas_zero_snr" in arguments), name
        if spec.zero_snr:
            check_zero_snr(name)
            continue
        with pytest.raises(InvalidInput, match="allowed are DDIM, DPM Multi, Euler a, Euler, DDPM"):
            check_zero_snr(name)


@pytest.mark.parametrize("steps", [61, 103, 121, 122])
@pytest.mark.parametrize("name", FULL)
def test_no_step_comes_after_the_last(name: SchedulerName, steps: int) -> None:
    """diffusers' own loop takes one more there, at timestep -1."""
    theirs = plain.build(name, ZERO)
    theirs.set_timesteps(steps)
    assert theirs.timesteps[-1] == -1
    matrix = trace(name, steps, betas=ZERO)
    assert matrix.evaluations == evaluations(name, steps) == steps
    assert matrix.timesteps.tolist() == theirs.timesteps[:-1].tolist()


def test_a_step_that_was_one_too_many_leaves_the_schedules_end_as_it_was() -> None:
    """Euler takes its timesteps one by one as well."""
    theirs = plain.build("Euler", ZERO)
    theirs.set_timesteps(61)
    theirs.set_timesteps(timesteps=theirs.timesteps[:-1].tolist())
    x = torch.randn(plain.SHAPE, generator=torch.Generator().manual_seed(plain.SEED))
    x = x * theirs.init_noise_sigma
    for t in theirs.timesteps:
        v = plain.model(theirs.scale_model_input(x, t), float(t))
        x = theirs.step(v, t, x).prev_sample
    close(plain.drawn_by(trace("Euler", 61, betas=ZERO)), x, ZERO)


@pytest.mark.parametrize("name", FULL)
def test_other_trailing_steps_are_as_many(name: SchedulerName) -> None:
    scheduler = plain.build(name, ZERO)
    for steps in set(range(1, 151)) - {61, 103, 121, 122}:
        scheduler.set_timesteps(steps)
        assert len(scheduler.timesteps) == evaluations(name, steps), steps

"""The traced matrices against plain diffusers loops in float32."""

from __future__ import annotations

import importlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from limner.domain.schedulers import BETAS, SCHEDULER_NAMES, evaluations
from limner.engine.sampling import samplers
from limner.engine.sampling.caches import ByteCache
from limner.engine.sampling.noise import NoiseStream
from limner.engine.sampling.samplers import trace
from limner.errors import InvalidInput
from tests.engine.sampling.plain import (
    OURS,
    SEED,
    SHAPE,
    STRENGTHS,
    assert_close,
    build,
    drawn_by,
    expected_from,
    model,
    plain_loop,
    source,
    square_mask,
    step,
)

every_scheduler = pytest.mark.parametrize("name", SCHEDULER_NAMES)


@every_scheduler
def test_draws_what_a_plain_loop_draws(name):
    assert_close(drawn_by(trace(name, 20)), plain_loop(name, 20))


@pytest.mark.parametrize("name", ["UniPC", "DPM Single", "DPM2 a Karras", "PNDM"])
def test_draws_what_a_plain_loop_draws_at_an_odd_number_of_steps(name):
    assert_close(drawn_by(trace(name, 37)), plain_loop(name, 37))


@pytest.mark.parametrize("steps", [1, 2, 3])
@every_scheduler
def test_draws_what_a_plain_loop_draws_in_very_few_steps(name, steps):
    # In two steps sigma falls from 14.6 to 0.03: the plain loop itself loses two digits.
    assert_close(drawn_by(trace(name, steps)), plain_loop(name, steps), tolerance=5e-5)


@pytest.mark.parametrize("strength", STRENGTHS)
@every_scheduler
def test_starts_inside_the_schedule_as_img2img_does(name, strength):
    ours = drawn_by(trace(name, 20, strength=strength, mode="img2img"))
    assert_close(ours, expected_from(name, 20, strength))


@pytest.mark.parametrize("strength", [0.5, 1.0])
@every_scheduler
def test_keeps_the_masked_region_as_inpainting_does(name, strength):
    mask = square_mask()
    ours = drawn_by(trace(name, 20, strength=strength, mode="inpaint"), mask)
    theirs = expected_from(name, 20, strength, mask)
    assert_close(ours, theirs)
    outside = (mask == 0).expand(SHAPE)
    assert torch.equal(ours[outside], source()[outside])


@pytest.mark.parametrize("strength", [n / 10 for n in range(1, 11)])
@pytest.mark.parametrize("steps", [15, 20])
@pytest.mark.parametrize("name", OURS)
def test_given_the_true_noise_the_source_comes_back(name, steps, strength):
    """Where the output is always n0, the equation's solution is a straight line to the source."""
    matrix, ddim = (trace(n, steps, strength=strength, mode="img2img") for n in (name, "DDIM"))
    left = matrix.final[1:].sum()
    # Without ``set_alpha_to_one`` DDIM and PNDM end at the first timestep's noise, as SD 1.5 does.
    exact = (1.0, 0.0) if name == "LMS" else (ddim.final[0], ddim.final[1:].sum())
    assert (matrix.final[0], left) == pytest.approx(exact, abs=2e-5)
    assert exact[0] == pytest.approx(1.0, abs=5e-4)


@pytest.mark.slow
@pytest.mark.parametrize("steps", [25, 37, 50, 100])
@every_scheduler
def test_draws_what_a_plain_loop_draws_at_length(name, steps):
    assert_close(drawn_by(trace(name, steps)), plain_loop(name, steps))


@pytest.mark.slow
@pytest.mark.parametrize("strength", STRENGTHS)
@pytest.mark.parametrize("steps", [25, 50, 100])
@every_scheduler
def test_starts_inside_the_schedule_at_length(name, steps, strength):
    ours = drawn_by(trace(name, steps, strength=strength, mode="img2img"))
    assert_close(ours, expected_from(name, steps, strength))
    mask = square_mask()
    ours = drawn_by(trace(name, steps, strength=strength, mode="inpaint"), mask)
    assert_close(ours, expected_from(name, steps, strength, mask))


@every_scheduler
def test_no_row_looks_ahead(name):
    matrix = trace(name, 20)
    for k in range(matrix.evaluations):
        assert not matrix.inputs[k, matrix.eps_column(k) :].any()
        assert not matrix.denoised[k, matrix.eps_column(k) + 1 :].any()


@every_scheduler
def test_shapes(name):
    matrix = trace(name, 20, strength=0.5, mode="inpaint")
    count, columns = matrix.evaluations, 2 + matrix.draws + matrix.evaluations
    assert matrix.columns == columns
    assert matrix.inputs.shape == matrix.denoised.shape == (count, columns)
    assert matrix.keep.shape == (count + 1, 2)
    assert tuple(matrix.keep[-1]) == (1.0, 0.0)
    assert matrix.noise_column(0) == 2
    assert matrix.eps_column(count - 1) == columns - 1
    assert np.isfinite(matrix.inputs).all()
    assert np.isfinite(matrix.final).all()


@pytest.mark.parametrize("name", ["DDIM", "DDPM", "Euler", "Euler a", "LMS"])
def test_the_denoised_estimate_is_the_schedulers_own(name):
    matrix = trace(name, 20)
    g = torch.Generator().manual_seed(SEED)
    scheduler = build(name)
    scheduler.set_timesteps(20)
    x = torch.randn(SHAPE, generator=g) * scheduler.init_noise_sigma
    stream = NoiseStream("torch-cpu", SEED)
    seen = [source(), torch.from_numpy(stream.draw(SHAPE))]
    seen += [torch.from_numpy(stream.draw(SHAPE)) for _ in range(matrix.draws)]
    for k, t in enumerate(scheduler.timesteps):
        seen.append(model(scheduler.scale_model_input(x, t), float(t)))
        result = step(scheduler, seen[-1], t, x, g)
        row = torch.from_numpy(matrix.denoised[k, : len(seen)]).float()
        assert_close(torch.tensordot(row, torch.stack(seen), 1), result.pred_original_sample)
        x = result.prev_sample


@every_scheduler
def test_the_estimate_of_a_perfect_model_is_the_source(name):
    """An output that is exactly the noise in the input leaves z0 alone as the estimate."""
    matrix = trace(name, 20, strength=0.5, mode="img2img")
    estimate = matrix.denoised[0, :2].copy()
    estimate[1] += matrix.denoised[0, matrix.eps_column(0)]
    rounded = 0.02 if "Karras" in name else 1e-5  # there diffusers rounds the timestep
    assert estimate == pytest.approx([1.0, 0.0], abs=rounded)


@pytest.mark.parametrize("steps", [1, 2, 3, 20, 37])
@every_scheduler
def test_the_price_counts_the_evaluations_that_are_run(name, steps):
    assert trace(name, steps).evaluations == evaluations(name, steps)


@given(
    name=st.sampled_from(SCHEDULER_NAMES),
    steps=st.integers(1, 60),
    strength=st.floats(0.0, 1.0),
    mode=st.sampled_from(["img2img", "inpaint"]),
)
@settings(deadline=None, max_examples=60)
def test_the_price_counts_the_evaluations_of_img2img(name, steps, strength, mode):
    count = evaluations(name, steps, strength)
    if count == 0:
        with pytest.raises(InvalidInput):
            trace(name, steps, strength=strength, mode=mode)
    else:
        matrix = trace(name, steps, strength=strength, mode=mode)
        assert matrix.evaluations == count
        assert matrix.steps[-1] == int(steps * strength)


@pytest.mark.slow
@every_scheduler
def test_the_price_counts_the_evaluations_of_every_step_count(name):
    scheduler = build(name)
    for steps in range(1, 151):
        scheduler.set_timesteps(steps)
        assert len(scheduler.timesteps) == evaluations(name, steps)
        for strength in (0.1, 1 / 3, 0.29, 0.5, 0.999):
            ran = int(steps * strength)
            count = len(scheduler.timesteps[(steps - ran) * scheduler.order :]) if ran else 0
            if name == "PNDM" and ran == 1 < steps:
                count = 1  # there is no second timestep to evaluate twice
            assert count == evaluations(name, steps, strength), (steps, strength)


@pytest.mark.parametrize(
    ("name", "steps", "expected"),
    [
        ("DDIM", 4, [1, 2, 3, 4]),
        ("Heun", 4, [1, 1, 2, 2, 3, 3, 4]),
        ("DPM2 a Karras", 3, [1, 1, 2, 2, 3]),
        ("PNDM", 4, [1, 1, 2, 3, 4]),
        ("PNDM", 1, [1]),
        ("Heun", 1, [1]),
    ],
)
def test_each_evaluation_belongs_to_a_users_step(name, steps, expected):
    assert trace(name, steps).steps.tolist() == expected


def test_steps_count_those_that_really_run():
    matrix = trace("Heun", 20, strength=0.5, mode="img2img")
    assert matrix.steps[0] == 1
    assert matrix.steps[-1] == 10
    assert matrix.evaluations == 19


@given(steps=st.integers(1, 150))
def test_a_strength_too_low_names_one_that_would_do(steps):
    least = samplers.least_strength(steps)
    assert int(steps * least) >= 1
    too_low = least - 0.001
    if too_low <= 0:
        return
    assert int(steps * too_low) == 0
    with pytest.raises(InvalidInput, match=f"at least {least}") as caught:
        trace("UniPC", steps, strength=too_low, mode="img2img")
    assert caught.value.field == "strength"


@pytest.mark.parametrize("strength", [-0.1, 1.5, float("nan")])
def test_a_strength_outside_its_range_is_refused(strength):
    with pytest.raises(InvalidInput, match="from 0 to 1"):
        trace("DDIM", 20, strength=strength, mode="img2img")


def test_other_betas_give_another_matrix():
    linear = {**BETAS, "beta_schedule": "linear"}
    ours, theirs = trace("DDIM", 20), trace("DDIM", 20, betas=linear)
    assert not np.allclose(ours.final, theirs.final)
    assert trace("DDIM", 20, betas=linear) is theirs


def test_the_trace_leaves_diffusers_noise_alone(monkeypatch):
    module = importlib.import_module("diffusers.schedulers.scheduling_euler_ancestral_discrete")
    before = module.randn_tensor
    monkeypatch.setattr(samplers, "_cache", ByteCache(1 << 20))
    trace("Euler a", 7)
    assert module.randn_tensor is before


def test_a_warmed_sampler_is_not_traced_again(monkeypatch):
    samplers.warm(["DDIM", "Euler"], [6])
    monkeypatch.setattr(samplers, "_run", None)
    assert trace("DDIM", 6).evaluations == 6
    assert trace("Euler", 6) is trace("Euler", 6)


def test_threads_do_not_mix_their_traces(monkeypatch):
    names = ("Euler a", "DDPM", "DPM2 a Karras") * 4
    alone = {name: trace(name, 11) for name in names}
    monkeypatch.setattr(samplers, "_cache", ByteCache(1 << 20))
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda name: trace(name, 11), names))
    for name, matrix in zip(names, together, strict=True):
        assert np.array_equal(matrix.inputs, alone[name].inputs)
        assert np.array_equal(matrix.final, alone[name].final)
        assert matrix is trace(name, 11), "traced once, whoever asked first"

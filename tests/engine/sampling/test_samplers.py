"""The traced matrices against plain diffusers loops in float32.

Refresh the snapshots after a diffusers upgrade whose differences are understood and wanted:

    python -m tests.engine.sampling.test_samplers
"""

from __future__ import annotations

import copy
import importlib
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from limner.domain.schedulers import BETAS, SCHEDULER_NAMES, SPECS, SchedulerName, evaluations
from limner.engine.sampling import samplers
from limner.engine.sampling.caches import ByteCache
from limner.engine.sampling.noise import NoiseStream
from limner.engine.sampling.samplers import Trace, trace
from limner.errors import InvalidInput

SNAPSHOTS = Path(__file__).parent / "snapshots" / "samplers.json"
SHAPE = (1, 4, 8, 8)
SEED = 2601738487
STRENGTHS = (0.3, 0.5, 0.75, 1.0)
TOLERANCE = 1e-5

every_scheduler = pytest.mark.parametrize("name", SCHEDULER_NAMES)


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
    ours = name in ("LMS", "PNDM") and strength < 1
    return (own_source_loop if ours else plain_source_loop)(name, steps, strength, mask)


@pytest.mark.parametrize("strength", [n / 10 for n in range(1, 11)])
@pytest.mark.parametrize("steps", [15, 20])
@pytest.mark.parametrize("name", ["LMS", "PNDM"])
def test_given_the_true_noise_the_source_comes_back(name, steps, strength):
    """Where the output is always n0, the equation's solution is a straight line to the source."""
    matrix, ddim = (trace(n, steps, strength=strength, mode="img2img") for n in (name, "DDIM"))
    left = matrix.final[1:].sum()
    # Without ``set_alpha_to_one`` DDIM and PNDM end at the first timestep's noise, as SD 1.5 does.
    exact = (1.0, 0.0) if name == "LMS" else (ddim.final[0], ddim.final[1:].sum())
    assert (matrix.final[0], left) == pytest.approx(exact, abs=2e-5)
    assert exact[0] == pytest.approx(1.0, abs=5e-4)


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
        return mask * y + (1 - mask) * torch.tensordot(keep[k], H[:2], 1)

    for k in range(matrix.evaluations):
        seen.append(model(at(k), matrix.timesteps[k]))
    return at(matrix.evaluations)


def assert_close(ours: torch.Tensor, theirs: torch.Tensor, tolerance: float = TOLERANCE) -> None:
    worst = float((ours - theirs).abs().max() / theirs.abs().max())
    assert worst < tolerance, f"differs by {worst:.2e} of the largest value"


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


def fingerprint(matrix: Trace) -> dict[str, Any]:
    """Each row as its product with one fixed vector: small to keep, and any change shows."""
    probe = np.cos(np.arange(matrix.columns) * 1.7) + 0.1
    return {
        "draws": matrix.draws,
        "timesteps": [float(f"{t:.8g}") for t in matrix.timesteps],
        "inputs": [float(f"{value:.8g}") for value in matrix.inputs @ probe],
        "final": float(f"{matrix.final @ probe:.8g}"),
        "keep": [float(f"{value:.8g}") for value in matrix.keep @ np.array([1.0, 0.7])],
    }


def snapshot(name: SchedulerName) -> dict[str, Any]:
    return {
        "20 steps": fingerprint(trace(name, 20)),
        "10 steps, inpaint 0.5": fingerprint(trace(name, 10, strength=0.5, mode="inpaint")),
    }


@every_scheduler
def test_the_matrices_are_those_of_the_tested_diffusers(name):
    import diffusers

    kept = json.loads(SNAPSHOTS.read_text())
    advice = (
        f"{name}: diffusers {diffusers.__version__} samples otherwise than {kept['diffusers']} "
        "did. Pictures of known seeds will change. If that is understood and wanted, run: "
        "python -m tests.engine.sampling.test_samplers"
    )
    for case, ours in snapshot(name).items():
        for part, value in ours.items():
            theirs = kept["schedulers"][name][case][part]
            assert value == pytest.approx(theirs, rel=2e-5, abs=2e-5), f"{advice} ({case}, {part})"


def refresh() -> None:
    import diffusers

    kept = {name: snapshot(name) for name in SCHEDULER_NAMES}
    text = json.dumps({"diffusers": diffusers.__version__, "schedulers": kept})
    SNAPSHOTS.parent.mkdir(exist_ok=True)
    SNAPSHOTS.write_text(text.replace('"DD', '\n"DD').replace("]}}, ", "]}},\n") + "\n")


if __name__ == "__main__":
    refresh()

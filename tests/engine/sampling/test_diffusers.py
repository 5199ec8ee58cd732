"""The samplers by name that diffusers computes, against the loops of its pipelines."""

from __future__ import annotations

from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from diffusers import LCMScheduler, TCDScheduler

from limner.domain.methods import Diffusers, Vendors
from limner.domain.params import Generation, Source
from limner.domain.sampler_names import SAMPLER_NAMES, SamplerName
from limner.domain.samplers import SAMPLERS, SPACED_BY_DIFFUSERS
from limner.domain.schedulers import BETAS, SPECS
from limner.engine.sampling.samplers import trace
from limner.errors import InvalidInput
from tests.engine.sampling import plain

CLASSES: dict[str, Any] = {
    "LCM": (LCMScheduler, {}),
    "TCD": (TCDScheduler, {}),
    "UniPC": (diffusers.UniPCMultistepScheduler, {}),
    "DEIS": (diffusers.DEISMultistepScheduler, {}),
    "DDPM": (diffusers.DDPMScheduler, SPECS["DDPM"].arguments),
    "PNDM": (diffusers.PNDMScheduler, SPECS["PNDM"].arguments),
}
OF_DIFFUSERS = [name for name in SAMPLER_NAMES if SAMPLERS[name].diffusers]
SPACINGS = [(name, None) for name in ("UniPC", "DEIS", "DDPM", "PNDM")]
SPACINGS += [(name, schedule) for name in ("UniPC", "DEIS") for schedule in SPACED_BY_DIFFUSERS]
STARTS = (None, 0.3, 0.75, 1.0)
ZERO = {
    **BETAS,
    "prediction_type": "v_prediction",
    "rescale_betas_zero_snr": True,
    "timestep_spacing": "trailing",
}


def loop(
    name: Any,
    steps: int,
    strength: float | None,
    eta: float = 0.0,
    schedule: Any = None,
    betas: Any = BETAS,
) -> torch.Tensor:
    """StableDiffusionPipeline's and, with a strength, Img2ImgPipeline's."""
    g = torch.Generator().manual_seed(plain.SEED)
    made, own = CLASSES[name]
    spaced = {SPACED_BY_DIFFUSERS[schedule]: True} if schedule else {}
    scheduler = made(**{**betas, **own, **spaced})
    scheduler.set_timesteps(steps)
    timesteps = scheduler.timesteps
    if schedule:  # or it begins at the second of two levels that round to one timestep, and breaks
        scheduler.set_begin_index(0)
    n0 = torch.randn(plain.SHAPE, generator=g)
    x = n0 * scheduler.init_noise_sigma
    if strength is not None:
        start = steps - int(steps * strength)
        timesteps = timesteps[start:]
        if hasattr(scheduler, "set_begin_index"):
            scheduler.set_begin_index(start)
        x = scheduler.add_noise(plain.source(), n0, timesteps[:1])
    extra = {"eta": eta} if name == "TCD" else {}
    takes = "generator" in type(scheduler).step.__code__.co_varnames
    extra |= {"generator": g} if takes else {}
    for t in timesteps:
        eps = plain.model(scheduler.scale_model_input(x, t), float(t))
        x = scheduler.step(eps, t, x, **extra).prev_sample
    return x


@pytest.mark.parametrize("steps", [1, 2, 4, 8, 50])
@pytest.mark.parametrize(("name", "eta"), [("LCM", 0.0), ("TCD", 0.3), ("TCD", 0.0), ("TCD", 1.0)])
def test_distilled_ones_draw_what_diffusers_draws(name: Any, eta: float, steps: int) -> None:
    method = Diffusers(name, eta)
    for strength in (None, 0.5, 0.75) if steps > 1 else (None,):
        mode = "txt2img" if strength is None else "img2img"
        matrix = trace(method, steps, strength=strength, mode=mode)
        assert matrix.evaluations == method.evaluations(steps, strength)
        assert matrix.draws <= method.draws(steps, strength)
        # Each step divides by the signal, little at first: 50 of them round off a digit more.
        tolerance = 5e-5 if steps == 50 else plain.TOLERANCE
        plain.assert_close(plain.drawn_by(matrix), loop(name, steps, strength, eta), tolerance)


def check(name: SamplerName, schedule: Any, steps: int) -> None:
    method = Diffusers(name, schedule=schedule)
    for strength in STARTS:
        mode = "txt2img" if strength is None else "img2img"
        matrix = trace(method, steps, strength=strength, mode=mode)
        assert matrix.evaluations == method.evaluations(steps, strength)
        assert matrix.draws <= method.draws(steps, strength)
        if name == "PNDM" and strength not in (None, 1.0):
            theirs = plain.own_source_loop("PNDM", steps, strength)  # ADR 0007
        else:
            theirs = loop(name, steps, strength, schedule=schedule)
        plain.assert_close(plain.drawn_by(matrix), theirs)


@pytest.mark.parametrize(("name", "schedule"), SPACINGS)
def test_others_draw_what_diffusers_draws(name: Any, schedule: Any) -> None:
    check(name, schedule, 8)


@pytest.mark.parametrize("schedule", SPACED_BY_DIFFUSERS)
def test_levels_that_round_to_one_timestep_are_passed_one_by_one(schedule: Any) -> None:
    matrix = trace(Diffusers("DEIS", schedule=schedule), 150)
    assert len(set(matrix.timesteps.tolist())) < 150 == matrix.evaluations
    assert np.isfinite(matrix.final).all()


@pytest.mark.slow
@pytest.mark.parametrize("steps", [20, 25, 50])
@pytest.mark.parametrize(("name", "schedule"), SPACINGS)
def test_others_draw_so_at_length(name: Any, schedule: Any, steps: int) -> None:
    check(name, schedule, steps)


@pytest.mark.parametrize("name", ["UniPC", "DDPM", "PNDM"])
def test_without_a_schedule_they_are_the_vendors(name: Any) -> None:
    own, vendors = (trace(method, 12) for method in (Diffusers(name), Vendors(name)))
    np.testing.assert_array_equal(own.final, vendors.final)
    source = Source(sha256="0" * 64, strength=0.4)
    named = Generation(prompt="a", seed=1, sampler=name, steps=13, source=source)
    theirs = Generation(prompt="a", seed=1, scheduler=name, steps=13, source=source)
    assert (named.steps_run, named.evaluations) == (theirs.steps_run, theirs.evaluations)
    assert named.method.names == theirs.method.names


@pytest.mark.parametrize("schedule", [None, *SPACED_BY_DIFFUSERS])
def test_they_begin_at_zero_terminal_snr(schedule: Any) -> None:
    matrix = trace(Diffusers("UniPC", schedule=schedule), 8, betas=ZERO)
    theirs = loop("UniPC", 8, None, schedule=schedule, betas=ZERO)
    plain.assert_close(plain.drawn_by(matrix), theirs, 4e-4)


@pytest.mark.parametrize("name", OF_DIFFUSERS)
def test_who_cannot_begin_there_names_those_who_can(name: Any) -> None:
    if SAMPLERS[name].zero_snr:
        Diffusers(name).check_zero_snr()
        return
    with pytest.raises(InvalidInput, match=f"sampler is '{name}'.*allowed are Euler a.*UniPC"):
        Diffusers(name).check_zero_snr()


@pytest.mark.parametrize("schedule", SPACED_BY_DIFFUSERS)
def test_the_estimate_goes_by_the_schedules_noise(schedule: Any) -> None:
    """Not by that of the timestep, which diffusers rounds: of a true eps it is the picture."""
    matrix = trace(Diffusers("DEIS", schedule=schedule), 8, strength=1.0, mode="img2img")
    [start] = np.flatnonzero(matrix.inputs[0][:1])
    signal, noise = matrix.inputs[0][:2]
    assert matrix.denoised[0][start] == pytest.approx(1)
    assert matrix.estimating(0) == pytest.approx((1 / signal, -noise / signal))


def test_they_are_named_without_a_schedule() -> None:
    drawn = Generation(prompt="a", seed=1, sampler="tcd", schedule="automatic", steps=4, guidance=1)
    assert drawn.method == Diffusers("TCD", 0.3)
    assert (drawn.schedule, drawn.evaluations) == (None, 4)
    assert "schedule" not in drawn.model_dump()
    assert Generation(prompt="a", seed=1, sampler="PLMS").sampler == "PNDM"


def test_they_are_named_with_a_schedule_that_they_take() -> None:
    drawn = Generation(prompt="a", seed=1, sampler="unipc karras", steps=60)
    assert (drawn.sampler, drawn.schedule) == ("UniPC", "Karras")
    assert drawn.method.names == ("UniPC", "Karras")
    again = Generation.model_validate(drawn.model_dump(mode="json"))
    assert again == drawn


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"sampler": "LCM Karras"}, "timesteps of its own: leave it out$"),
        ({"sampler": "DDPM", "schedule": "Karras"}, "timesteps of its own: leave it out$"),
        ({"sampler": "DEIS", "schedule": "Simple"}, "or take one of Karras, Exponential, Beta"),
        ({"sampler": "LCM", "steps": 51}, "in at most 50"),
        ({"sampler": "LCM", "eta": 0.5}, "LCM has none"),
        ({"sampler": "DDPM", "eta": 0.5}, "DDPM has none"),
    ],
)
def test_what_they_have_not_is_refused(fields: Any, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        Generation(prompt="a", seed=1, **fields)

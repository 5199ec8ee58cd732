"""LCM and TCD as matrices, against the loops of diffusers' pipelines."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers import LCMScheduler, TCDScheduler

from limner.domain.methods import Distilled
from limner.domain.params import Generation
from limner.domain.schedulers import BETAS
from limner.engine.sampling.samplers import trace
from limner.errors import InvalidInput
from tests.engine.sampling import plain

CLASSES = {"LCM": LCMScheduler, "TCD": TCDScheduler}


def loop(name: Any, steps: int, strength: float | None, eta: float) -> torch.Tensor:
    """StableDiffusionPipeline's and, with a strength, Img2ImgPipeline's."""
    g = torch.Generator().manual_seed(plain.SEED)
    scheduler = CLASSES[name](**BETAS)
    scheduler.set_timesteps(steps)
    timesteps = scheduler.timesteps
    n0 = torch.randn(plain.SHAPE, generator=g)
    x = n0 * scheduler.init_noise_sigma
    if strength is not None:
        start = steps - int(steps * strength)
        timesteps = timesteps[start:]
        scheduler.set_begin_index(start)
        x = scheduler.add_noise(plain.source(), n0, timesteps[:1])
    extra = {"eta": eta} if name == "TCD" else {}
    for t in timesteps:
        eps = plain.model(scheduler.scale_model_input(x, t), float(t))
        x = scheduler.step(eps, t, x, generator=g, **extra).prev_sample
    return x


@pytest.mark.parametrize("steps", [1, 2, 4, 8, 50])
@pytest.mark.parametrize(("name", "eta"), [("LCM", 0.0), ("TCD", 0.3), ("TCD", 0.0), ("TCD", 1.0)])
def test_draws_what_diffusers_draws(name: Any, eta: float, steps: int) -> None:
    method = Distilled(name, eta)
    for strength in (None, 0.5, 0.75) if steps > 1 else (None,):
        mode = "txt2img" if strength is None else "img2img"
        matrix = trace(method, steps, strength=strength, mode=mode)
        assert matrix.evaluations == method.evaluations(steps, strength)
        assert matrix.draws <= method.draws(steps, strength)
        # Each step divides by the signal, little at first: 50 of them round off a digit more.
        tolerance = 5e-5 if steps == 50 else plain.TOLERANCE
        plain.assert_close(plain.drawn_by(matrix), loop(name, steps, strength, eta), tolerance)


def test_they_are_named_without_a_schedule() -> None:
    drawn = Generation(prompt="a", seed=1, sampler="tcd", schedule="automatic", steps=4, guidance=1)
    assert drawn.method == Distilled("TCD", 0.3)
    assert (drawn.schedule, drawn.evaluations) == (None, 4)
    assert "schedule" not in drawn.model_dump()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"sampler": "LCM Karras"}, "timesteps of its own"),
        ({"sampler": "LCM", "steps": 51}, "in at most 50"),
        ({"sampler": "LCM", "eta": 0.5}, "LCM has none"),
    ],
)
def test_what_they_have_not_is_refused(fields: Any, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        Generation(prompt="a", seed=1, **fields)

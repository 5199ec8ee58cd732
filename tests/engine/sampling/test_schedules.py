"""Levels of noise against literal tables, worked out apart from the published formulas."""

from __future__ import annotations

import numpy as np
import pytest

from limner.domain.methods import levels
from limner.domain.sampler_names import SCHEDULE_NAMES, ScheduleName
from limner.engine.sampling.schedules import sigmas_of, time_of
from tests.engine.sampling import kdiffusion

EIGHT: dict[ScheduleName, list[float]] = {
    "Uniform": [14.6146, 6.678, 3.52206, 2.06064, 1.27683, 0.79126, 0.439666, 0.0291672],
    "Karras": [14.6146, 7.90294, 4.02774, 1.91036, 0.828868, 0.32112, 0.107198, 0.0291672],
    "Exponential": [14.6146, 6.01297, 2.47394, 1.01787, 0.418785, 0.172303, 0.0708914, 0.0291672],
    "SGM Uniform": [14.6146, 7.30198, 4.08608, 2.49597, 1.61558, 1.07116, 0.69515, 0.399701],
    "Simple": [14.6146, 7.29735, 4.08173, 2.49253, 1.61289, 1.06895, 0.693205, 0.397746],
    "DDIM": [7.37184, 4.1167, 2.51092, 1.62369, 1.07603, 0.698398, 0.402218, 0.0413144],
    "Beta": [14.6146, 13.577, 11.4518, 8.7596, 5.88421, 3.19205, 1.06681, 0.0291672],
    "Align Your Steps": [14.615, 5.1881, 2.83884, 1.73066, 1.07078, 0.607827, 0.229864, 0.029],
}
EIGHT["Normal"] = EIGHT["Uniform"]
EIGHT["Polyexponential"] = EIGHT["Exponential"]
ALIGNED = [14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029]


def trained() -> np.ndarray:
    alphas = kdiffusion.alphas_cumprod().numpy()
    return np.sqrt((1 - alphas) / alphas)


@pytest.mark.parametrize("name", SCHEDULE_NAMES)
def test_eight_steps_are_those_of_the_table(name: ScheduleName) -> None:
    assert sigmas_of(name, 8, trained()) == pytest.approx([*EIGHT[name], 0.0], rel=1e-5)


def test_the_published_steps_are_aligned() -> None:
    assert sigmas_of("Align Your Steps", 11, trained()) == pytest.approx([*ALIGNED, 0.0])


@pytest.mark.parametrize("steps", [1, 20, 25, 50])
def test_k_diffusions_own_schedules(steps: int) -> None:
    sampling, ours = kdiffusion.package()["sampling"], trained()
    ends = ours[0], ours[-1]
    theirs = {
        "Uniform": kdiffusion.denoiser().get_sigmas(steps),
        "Karras": sampling.get_sigmas_karras(steps, *ends),
        "Exponential": sampling.get_sigmas_exponential(steps, *ends),
        "Polyexponential": sampling.get_sigmas_polyexponential(steps, *ends),
    }
    for name, sigmas in theirs.items():
        assert sigmas_of(name, steps, ours) == pytest.approx(sigmas.numpy(), rel=2e-6), name


def test_a_level_before_the_last_can_be_left_out() -> None:
    whole, left = (sigmas_of("Karras", n, trained(), skips=n == 8) for n in (9, 8))
    assert left == pytest.approx([*whole[:8], 0.0])


@pytest.mark.parametrize("steps", [1, 2, 30, 37, 143, 150])
@pytest.mark.parametrize("name", SCHEDULE_NAMES)
def test_there_are_as_many_levels_as_are_priced(name: ScheduleName, steps: int) -> None:
    sigmas = sigmas_of(name, steps, trained())
    assert len(sigmas) == levels(name, steps) + 1
    assert (np.diff(sigmas) < 0).all()


@pytest.mark.parametrize("sigma", [0.02, 0.0291672, 0.5, 3.3, 14.6, 20.0])
def test_a_level_has_k_diffusions_timestep(sigma: float) -> None:
    import torch

    theirs = kdiffusion.denoiser().sigma_to_t(torch.tensor([sigma], dtype=torch.float64))
    assert time_of(sigma, trained()) == pytest.approx(float(theirs), abs=1e-6)

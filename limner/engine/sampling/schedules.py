"""Schedules: which levels of noise a picture passes, from the most to none.

A level is *sigma*, the noise for one part of signal. Each schedule is a function of the step count
and of the *sigmas* of the training timesteps, (N,) ascending. Sources: Karras et al. 2022
("karras"), Lee et al. 2024 ("beta"), Sabour et al. 2024 ("align your steps"); the others are as
k-diffusion (Crowson, MIT) and AUTOMATIC1111 compute them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv

from limner.domain.sampler_names import ScheduleName
from limner.domain.samplers import TRAIN_STEPS

Matrix = npt.NDArray[np.float64]
Schedule = Callable[[int, Matrix], Matrix]

_RHO = 7.0
_BETA = 0.6  # of both ends, as AUTOMATIC1111 sets it
_ALIGNED = (14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029)


def sigmas_of(name: ScheduleName, steps: int, trained: Matrix, *, skips: bool = False) -> Matrix:
    """The levels of a schedule, descending, with a 0 at their end.

    ``trained`` (N,) are those of the training timesteps. ``skips``: one step more is spaced, and
    its last level but 0 is left out.
    """
    spaced = SCHEDULES[name](steps + skips, trained)
    return np.append(spaced[:-1] if skips else spaced, 0.0)


def time_of(sigma: float, trained: Matrix) -> float:
    """The timestep, 0..N-1, at which the UNet knows this much noise: linear in log sigma."""
    times = np.arange(len(trained))
    return float(np.interp(np.log(sigma), np.log(trained), times))


def _at(times: Matrix, trained: Matrix) -> Matrix:
    """``time_of`` the other way round."""
    return np.exp(np.interp(times, np.arange(len(trained)), np.log(trained)))


def _uniform(steps: int, trained: Matrix) -> Matrix:
    return _at(np.linspace(len(trained) - 1, 0, steps), trained)


def _sgm_uniform(steps: int, trained: Matrix) -> Matrix:
    return _at(np.linspace(len(trained) - 1, 0, steps + 1)[:-1], trained)


def _karras(steps: int, trained: Matrix) -> Matrix:
    most, least = trained[-1] ** (1 / _RHO), trained[0] ** (1 / _RHO)
    return np.linspace(most, least, steps) ** _RHO


def _exponential(steps: int, trained: Matrix) -> Matrix:
    return np.exp(np.linspace(np.log(trained[-1]), np.log(trained[0]), steps))


def _aligned(steps: int, _: Matrix) -> Matrix:
    """Fixed levels for SD 1.5, whatever the model's, between them linear in log sigma."""
    places = np.linspace(0, 1, len(_ALIGNED))
    return np.exp(np.interp(np.linspace(0, 1, steps), places, np.log(_ALIGNED)))


def _simple(steps: int, trained: Matrix) -> Matrix:
    stride = len(trained) / steps
    return trained[[-1 - int(n * stride) for n in range(steps)]]


def _ddim(steps: int, trained: Matrix) -> Matrix:
    """As many as ``domain.methods.levels`` says."""
    times = np.arange(1, TRAIN_STEPS, TRAIN_STEPS // steps)
    return trained[times * len(trained) // TRAIN_STEPS][::-1]


def _beta(steps: int, trained: Matrix) -> Matrix:
    shares: Matrix = betaincinv(_BETA, _BETA, 1 - np.linspace(0, 1, steps))
    levels: Matrix = trained[0] + shares * (trained[-1] - trained[0])
    return levels


SCHEDULES: Mapping[ScheduleName, Schedule] = {
    "Uniform": _uniform,
    "Karras": _karras,
    "Exponential": _exponential,
    "Polyexponential": _exponential,  # with the exponent 1, which AUTOMATIC1111 gives it
    "SGM Uniform": _sgm_uniform,
    "Align Your Steps": _aligned,
    "Simple": _simple,
    "Normal": _uniform,
    "DDIM": _ddim,
    "Beta": _beta,
}

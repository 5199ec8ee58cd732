"""Update rules: how a sampler goes from one level of noise to the next.

A rule is linear in the latent, the denoised estimates and the noise; all of them are rows of
coefficients here (docs/engine-mathematics.md). *sigma* is the noise for one part of signal, so a
latent at sigma is the picture plus sigma times noise. Sources: Karras et al. 2022 (Euler, Heun,
churn), Lu et al. 2022a and b (DPM-Solver-2, DPM-Solver++), Song et al. 2021 (DDIM), Liu et al.
2022 (linear multistep); the ancestral and stochastic ones as in k-diffusion (Crowson, MIT).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from math import exp, expm1, log, sqrt

import numpy as np
import numpy.typing as npt

from limner.domain.methods import Ruled
from limner.domain.sampler_names import SamplerName

Row = npt.NDArray[np.float64]

_CHURN_MOST = sqrt(2) - 1
_LMS_ORDER = 4


@dataclass(frozen=True, eq=False)
class Seen:
    """A latent at a level of noise, and the denoised estimate there."""

    sigma: float
    x: Row
    estimate: Row

    @property
    def slope(self) -> Row:
        """How the latent changes with sigma: the noise in it."""
        return (self.x - self.estimate) / self.sigma

    def toward(self, there: float) -> Row:
        """The latent at another level, on the straight line through the estimate."""
        return self.estimate + there / self.sigma * (self.x - self.estimate)


@dataclass(frozen=True, eq=False)
class Step:
    """From ``x`` at the level ``here`` to the level ``there``, one of ``count`` steps.

    ``ask(x, sigma)`` evaluates the UNet: the denoised estimate. ``draw()`` is fresh noise.
    ``before``: what was seen where each earlier step began, the last first.
    """

    x: Row
    here: float
    there: float
    count: int
    options: Ruled
    ask: Callable[[Row, float], Row]
    draw: Callable[[], Row]
    before: list[Seen]

    def look(self, x: Row, sigma: float) -> Seen:
        return Seen(sigma, x, self.ask(x, sigma))

    def begin(self) -> Seen:
        """Evaluate where the step begins; later steps find it in ``before``."""
        seen = self.look(self.x, self.here)
        self.before.insert(0, seen)
        return seen

    def churned(self) -> Seen:
        """The same after a little more noise, where ``s_churn`` asks for it."""
        o = self.options
        noise = o.s_noise * self.draw()
        more = min(o.s_churn / self.count, _CHURN_MOST) * (o.s_tmin <= self.here <= o.s_tmax)
        sigma = self.here * (1 + more)
        return self.look(self.x + sqrt(sigma**2 - self.here**2) * noise, sigma)

    def noise(self, spread: float) -> Row | float:
        """Fresh noise of that spread, where the step does not end without any."""
        return self.options.s_noise * spread * self.draw() if self.there > 0 else 0.0


Rule = Callable[[Step], Row]


def _ancestral(here: float, there: float, eta: float) -> tuple[float, float]:
    """The level to go down to, and the fresh noise that makes it ``there``."""
    up = min(there, eta * sqrt(there**2 * (here**2 - there**2) / here**2))
    return sqrt(there**2 - up**2), up


def _euler(step: Step) -> Row:
    return step.churned().toward(step.there)


def _heun(step: Step) -> Row:
    seen = step.churned()
    ahead = seen.toward(step.there)
    if step.there == 0:
        return ahead
    slope = (seen.slope + step.look(ahead, step.there).slope) / 2
    return seen.x + (step.there - seen.sigma) * slope


def _dpm2(step: Step) -> Row:
    seen = step.churned()
    return _through_the_middle(step, seen, step.there)


def _through_the_middle(step: Step, seen: Seen, there: float) -> Row:
    """DPM-Solver-2: the slope half way, in log sigma, for the whole way."""
    if there == 0:
        return seen.toward(0)
    middle = sqrt(seen.sigma * there)
    return seen.x + (there - seen.sigma) * step.look(seen.toward(middle), middle).slope


def _euler_ancestral(step: Step) -> Row:
    down, up = _ancestral(step.here, step.there, step.options.eta)
    return step.begin().toward(down) + step.noise(up)


def _dpm2_ancestral(step: Step) -> Row:
    down, up = _ancestral(step.here, step.there, step.options.eta)
    return _through_the_middle(step, step.begin(), down) + step.noise(up)


def _2s_ancestral(step: Step) -> Row:
    """DPM-Solver++(2S): the estimate half way, in log sigma, for the whole way."""
    seen = step.begin()
    if step.there == 0:
        return seen.toward(0)
    down, up = _ancestral(step.here, step.there, step.options.eta)
    middle = sqrt(step.here * down)
    ahead = step.look(seen.toward(middle), middle)
    return Seen(seen.sigma, seen.x, ahead.estimate).toward(down) + step.noise(up)


def _sde(step: Step) -> Row:
    """The same with noise on both halves."""
    seen = step.begin()
    if step.there == 0:
        return seen.toward(0)
    middle = sqrt(step.here * step.there)
    down, up = _ancestral(step.here, middle, step.options.eta)
    ahead = step.look(seen.toward(down) + step.noise(up), middle)
    down, up = _ancestral(step.here, step.there, step.options.eta)
    return Seen(seen.sigma, seen.x, ahead.estimate).toward(down) + step.noise(up)


def _2m(step: Step) -> Row:
    """DPM-Solver++(2M): the estimate is extrapolated from the one before."""
    seen, *before = [step.begin(), *step.before[1:]]
    if not before or step.there == 0:
        return seen.toward(step.there)
    ratio = log(before[0].sigma / step.here) / log(step.here / step.there)
    ahead = seen.estimate + (seen.estimate - before[0].estimate) / (2 * ratio)
    return Seen(seen.sigma, seen.x, ahead).toward(step.there)


def _2m_sde(step: Step, *, heun: bool = False) -> Row:
    seen, *before = [step.begin(), *step.before[1:]]
    if step.there == 0:
        return seen.estimate
    h = log(step.here / step.there)
    whole = h * (1 + step.options.eta)
    x = exp(-whole) * seen.x - expm1(-whole) * seen.estimate
    if before:
        change = (seen.estimate - before[0].estimate) * h / log(before[0].sigma / step.here)
        x = x + (1 + expm1(-whole) / whole if heun else -expm1(-whole) / 2) * change
    return x + step.noise(_fresh(step, h))


def _3m_sde(step: Step) -> Row:
    seen, *before = [step.begin(), *step.before[1:3]]
    if step.there == 0:
        return seen.estimate
    h = log(step.here / step.there)
    whole = h * (1 + step.options.eta)
    x = exp(-whole) * seen.x - expm1(-whole) * seen.estimate
    second = expm1(-whole) / whole + 1
    if before:
        last = log(before[0].sigma / step.here) / h
        first = (seen.estimate - before[0].estimate) / last
        if len(before) > 1:
            earlier = log(before[1].sigma / before[0].sigma) / h
            bend = first - (before[0].estimate - before[1].estimate) / earlier
            first = first + bend * last / (last + earlier)
            x = x - (second / whole - 0.5) * bend / (last + earlier)
        x = x + second * first
    return x + step.noise(_fresh(step, h))


def _fresh(step: Step, h: float) -> float:
    """The spread of the noise that a stochastic step of length ``h`` in log sigma takes in."""
    return step.there * sqrt(-expm1(-2 * step.options.eta * h))


def _lms(step: Step) -> Row:
    """Linear multistep: the polynomial through the last four slopes, integrated.

    It is a cubic at most, which two points of Gauss and Legendre integrate exactly.
    """
    step.begin()
    seen = step.before[:_LMS_ORDER]
    middle, half = (step.here + step.there) / 2, (step.there - step.here) / 2
    points = np.array([middle - half / sqrt(3), middle + half / sqrt(3)])
    x = step.x
    for each in seen:
        others = np.array([other.sigma for other in seen if other is not each])
        basis = ((points[:, None] - others) / (each.sigma - others)).prod(axis=1)
        x = x + half * basis.sum() * each.slope
    return x


RULES: Mapping[SamplerName, Rule] = {
    "Euler a": _euler_ancestral,
    "Euler": _euler,
    "LMS": _lms,
    "Heun": _heun,
    "DPM2": _dpm2,
    "DPM2 a": _dpm2_ancestral,
    "DPM++ 2S a": _2s_ancestral,
    "DPM++ 2M": _2m,
    "DPM++ SDE": _sde,
    "DPM++ 2M SDE": _2m_sde,
    "DPM++ 2M SDE Heun": partial(_2m_sde, heun=True),
    "DPM++ 3M SDE": _3m_sde,
    "DDIM": _euler_ancestral,  # Song et al. 2021, equation 16, in these variables; eta 0 is Euler's
}

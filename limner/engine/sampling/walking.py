"""A rule and a schedule as a matrix: the walk down the levels of noise, on rows of coefficients."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from math import sqrt

import numpy as np

from limner.domain.methods import Ruled
from limner.domain.samplers import SAMPLERS
from limner.engine.sampling.matrices import SOURCES, Matrix, Trace, draws_used
from limner.engine.sampling.rules import RULES, Row, Seen, Step
from limner.engine.sampling.schedules import sigmas_of, time_of

Estimate = Callable[[Row, float], Row]


@dataclass(eq=False)
class _Walk:
    """One way from noise to picture; ``asked`` and ``inputs`` are of each evaluation in turn.

    ``asked`` holds the level of noise, ``inputs`` the latent scaled for the UNet, ``steps`` the
    index of the interval.
    """

    estimate: Estimate
    noise: Iterator[Row]
    asked: list[float] = field(default_factory=list)
    inputs: list[Row] = field(default_factory=list)
    estimates: list[Row] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)

    def run(self, method: Ruled, sigmas: Matrix, x: Row) -> Row:
        """The finished latent from ``x`` at ``sigmas[0]``."""
        before: list[Seen] = []
        count = len(sigmas) - 1
        for i, (here, there) in enumerate(pairwise(sigmas.tolist())):

            def ask(x: Row, sigma: float, i: int = i) -> Row:
                self.steps.append(i)
                return self._ask(x, sigma)

            step = Step(x, here, there, count, method, ask, self.noise.__next__, before)
            x = RULES[method.sampler](step)
        return x

    def _ask(self, x: Row, sigma: float) -> Row:
        self.asked.append(sigma)
        self.inputs.append(x / sqrt(1 + sigma**2))
        self.estimates.append(self.estimate(x, sigma))
        return self.estimates[-1]


def walk(
    method: Ruled, steps: int, start: int, trained: Matrix, *, from_noise: bool, prediction: str
) -> Trace:
    """The matrix of ``method`` from the level ``start`` of its schedule on.

    ``trained`` (N,) are the training timesteps' levels of noise. ``from_noise``: nothing of the
    source is in the start. ``prediction``: what the UNet's output is.
    """
    skips = SAMPLERS[method.sampler].skips
    sigmas = sigmas_of(method.schedule, steps, trained, skips=skips)[start:]
    count = len(sigmas) - 1
    most = 2 * count  # of draws, and of evaluations
    z0, n0, *others = np.eye(SOURCES + 2 * most)
    noise, outputs = others[:most], iter(others[most:])
    x = sigmas[0] * n0 + (0 if from_noise else z0)

    drawn = _Walk(lambda x, sigma: _denoised(prediction, x, next(outputs), sigma), iter(noise))
    final = drawn.run(method, sigmas, x)
    # AUTOMATIC1111 puts the source in place of the estimate where a mask keeps it.
    kept = _Walk(lambda *_: z0, iter(noise))
    kept.run(method, sigmas, x)

    ran = steps - start
    rows = np.vstack([*drawn.inputs, final])
    used = draws_used(rows, most)
    evaluations = len(drawn.asked)
    columns = np.r_[: SOURCES + used, SOURCES + most : SOURCES + most + evaluations]
    return Trace(
        inputs=rows[:-1, columns],
        final=rows[-1, columns],
        denoised=np.vstack(drawn.estimates)[:, columns],
        timesteps=np.array([time_of(sigma, trained) for sigma in drawn.asked]),
        steps=np.minimum(np.array(drawn.steps) + 1, ran),
        keep=np.vstack([*kept.inputs, z0])[:, : SOURCES + used].copy(),
        draws=used,
    )


def _denoised(prediction: str, x: Row, output: Row, sigma: float) -> Row:
    """The picture in a latent ``x`` = picture + sigma noise, by what the UNet said of it."""
    scale = 1 / sqrt(1 + sigma**2)
    if prediction == "v_prediction":
        return scale**2 * x - sigma * scale * output
    return x - sigma * output

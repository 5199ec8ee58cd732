"""A sampler as a matrix: what every way of making one gives."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]

SOURCES = 2


@dataclass(frozen=True, eq=False)
class Trace:
    """One sampler at one step count from one start, as coefficients. Shared: never to be
    written to.

    Columns of every row: [z0, n0, noise draws 1..M, eps 1..K], where z0 is the source's latent
    (scaled), n0 the start noise, and eps k the model's guided output of evaluation k (M = draws,
    K = evaluations, B = 2 + M + K). What the output predicts, noise or v, is in the weights.

    ``inputs`` (K, B): the UNet's input at each evaluation, scaling included; row k has no
    weight on eps k or later. ``final`` (B,): the finished latent. ``denoised`` (K, B): the
    estimate of the finished latent after evaluation k, for previews. ``timesteps`` (K,): what
    the UNet is told, 0..999, fractional for some; to be passed as float32. ``steps`` (K,): the
    user's step, from 1, to which an evaluation belongs. ``keep`` (K + 1, 2) or (K + 1, 2 + M):
    what the region a mask keeps holds at each UNet input and at the end, as coefficients of the
    first columns.
    """

    inputs: Matrix
    final: Matrix
    denoised: Matrix
    timesteps: Matrix
    steps: npt.NDArray[np.int64]
    keep: Matrix
    draws: int

    @property
    def evaluations(self) -> int:
        """K: how often the UNet is evaluated, for each branch of the guidance."""
        return len(self.timesteps)

    @property
    def columns(self) -> int:
        """B: how many tensors of a latent's size the image's history holds at most."""
        return len(self.final)

    def noise_column(self, draw: int) -> int:
        """Column of step-noise draw 0..M-1."""
        return SOURCES + draw

    def eps_column(self, evaluation: int) -> int:
        """Column of the model's output at evaluation 0..K-1."""
        return SOURCES + self.draws + evaluation

    def estimating(self, evaluation: int) -> tuple[float, float]:
        """How much of an evaluation's input and output is in its estimate of the latent."""
        inputs, denoised = self.inputs[evaluation], self.denoised[evaluation]
        most = np.abs(inputs).argmax()
        return denoised[most] / inputs[most], denoised[self.eps_column(evaluation)]

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        arrays = (getattr(self, field.name) for field in fields(self))
        return sum(array.nbytes for array in arrays if isinstance(array, np.ndarray))


def draws_used(rows: Matrix, most: int) -> int:
    """How many of the ``most`` columns of noise are needed: up to the last with any weight."""
    noise = np.abs(rows[:, SOURCES : SOURCES + most]).max(axis=0, initial=0.0)
    return int(np.flatnonzero(noise).max(initial=-1)) + 1

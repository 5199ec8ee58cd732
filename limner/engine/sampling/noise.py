"""An image's own stream of normal noise, the same on every device.

Philox 4x32-10 (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3",
SC 2011) is a keyed bijection of 128-bit counters. Element ``e`` of draw ``d`` encrypts the
counter (d, 0, e, 0) under the full 64-bit seed, and Box-Muller's sine branch turns the first two
of the four words into one normal. CUDA's generator, as PyTorch uses it for tensors of a latent's
size, has the same layout, so seeds that people know from a GPU give the picture they know.

The other source, ``torch-cpu``, is torch's Mersenne Twister, which keeps only the seed's low
32 bits; it exists to match diffusers on a CPU picture for picture.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from limner.domain.params import SEED_MAX, NoiseSource

Words = npt.NDArray[np.uint32]
Floats = npt.NDArray[np.float32]

_ROUNDS = 10
_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)  # the golden ratio and sqrt(3) - 1, as 32-bit fractions
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_NOT_QUITE_ONE = 1.0 - 1e-12  # keeps the angle of parallel vectors away from 0 / 0


def philox(counter: Sequence[Words], key: int) -> tuple[Words, Words, Words, Words]:
    """Philox 4x32-10 of many counters under one key.

    ``counter``: four uint32 arrays that broadcast together, the least significant word first.
    ``key``: 0..2**64 - 1; its low half is the first key word. Returns the four output words.
    """
    c0, c1, c2, c3 = (np.asarray(word, np.uint64) for word in counter)
    k0, k1 = key & 0xFFFFFFFF, key >> 32
    for _ in range(_ROUNDS):
        p0, p1 = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0, c2 = (p1 >> _HALF) ^ c1 ^ np.uint64(k0), (p0 >> _HALF) ^ c3 ^ np.uint64(k1)
        c1, c3 = p1 & _LOW, p0 & _LOW
        k0, k1 = (k0 + _KEY_STEPS[0]) & 0xFFFFFFFF, (k1 + _KEY_STEPS[1]) & 0xFFFFFFFF
    first, second, third, fourth = np.broadcast_arrays(c0, c1, c2, c3)
    return (
        first.astype(np.uint32),
        second.astype(np.uint32),
        third.astype(np.uint32),
        fourth.astype(np.uint32),
    )


def normals(seed: int, draw: int, count: int) -> Floats:
    """The first ``count`` standard normals of draw ``draw`` of ``seed``, float32 (count,).

    Worked out in float64 and rounded. ``seed``: 0..2**64 - 1; ``draw`` and ``count``: below
    2**32. Each word becomes the middle of its interval, so that no logarithm of 0 occurs.
    """
    elements = np.arange(count, dtype=np.uint32)
    zero = np.zeros(1, np.uint32)
    first, second, _, _ = philox((zero + np.uint32(draw), zero, elements, zero), seed)
    radius = np.sqrt(-2.0 * np.log((first + 0.5) / 2.0**32))
    angle = 2.0 * math.pi * ((second + 0.5) / 2.0**32)
    return (radius * np.sin(angle)).astype(np.float32)


class NoiseStream:
    """Successive draws of standard normal noise for one image; not shared between threads."""

    def __init__(self, source: NoiseSource, seed: int) -> None:
        """``seed``: 0..2**64 - 1, else ValueError."""
        if not 0 <= seed <= SEED_MAX:
            raise ValueError(f"A seed is a number from 0 to {SEED_MAX}, not {seed}.")
        self.source = source
        self.seed = seed
        self.draws = 0
        self._generator = (
            torch.Generator("cpu").manual_seed(seed) if source == "torch-cpu" else None
        )

    def moved(self, delta: int) -> NoiseStream:
        """The stream of the seed so much further on, from its beginning; for 0 this one goes on.

        AUTOMATIC1111's "eta noise seed delta": what a sampler draws on its way comes from there.
        """
        return NoiseStream(self.source, (self.seed + delta) % (SEED_MAX + 1)) if delta else self

    def draw(self, shape: Sequence[int]) -> Floats:
        """The next draw, float32 of ``shape``, filled in C order."""
        number = self.draws
        self.draws += 1
        if self._generator is not None:
            return torch.randn(tuple(shape), generator=self._generator).numpy()
        return normals(self.seed, number, math.prod(shape)).reshape(shape)


def initial_noise(
    stream: NoiseStream, shape: Sequence[int], *, subseed: int = 0, strength: float = 0.0
) -> Floats:
    """An image's start noise: the stream's next draw, turned towards ``subseed``'s first one.

    ``shape``: (channels, height, width). ``strength``: 0 leaves the noise alone, 1 gives the
    subseed's; between, each column is turned along the great circle. Later draws come from
    ``stream`` alone, so an ancestral sampler's steps do not move with the subseed.
    """
    noise = stream.draw(shape)
    if strength == 0.0:
        return noise
    return slerp(noise, NoiseStream(stream.source, subseed).draw(shape), strength)


def slerp(start: Floats, end: Floats, amount: float) -> Floats:
    """Spherical interpolation (Shoemake, SIGGRAPH 1985) along axis 1, for each (0, 2) apart.

    The axis is AUTOMATIC1111's choice for variations of (channels, height, width) noise: with
    it, a variation strength known from there gives the same noise here. Nearly parallel inputs
    are interpolated on the chord.
    """
    a, b = start.astype(np.float64), end.astype(np.float64)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    cosine = (a * b).sum(axis=1) / np.maximum(lengths, np.finfo(np.float64).tiny)
    if cosine.mean() > 0.9995:
        return (a + amount * (b - a)).astype(np.float32)
    angle = np.arccos(np.clip(cosine, -_NOT_QUITE_ONE, _NOT_QUITE_ONE))[:, None]
    mixed = np.sin((1.0 - amount) * angle) * a + np.sin(amount * angle) * b
    return (mixed / np.sin(angle)).astype(np.float32)

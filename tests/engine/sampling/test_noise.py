"""Philox against published vectors, CUDA's sequence and statistics; torch's source against it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from diffusers.utils.torch_utils import randn_tensor
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from limner.domain.params import SEED_MAX
from limner.engine.sampling.noise import NoiseStream, initial_noise, normals, philox, slerp

SHAPE = (4, 64, 64)
seeds = st.integers(0, SEED_MAX)


def words(*values: int) -> list[np.ndarray]:
    return [np.array([value], np.uint32) for value in values]


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        (
            (0, 0, 0, 0),
            (0, 0),
            (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8),
        ),
        (
            (0xFFFFFFFF,) * 4,
            (0xFFFFFFFF,) * 2,
            (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
        ),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox_gives_the_published_vectors(counter, key, expected):
    """philox4x32-10's known answers, as published with Random123."""
    output = philox(words(*counter), key[0] | key[1] << 32)
    assert tuple(int(word[0]) for word in output) == expected


def test_seed_0_begins_like_cudas_generator():
    assert normals(0, 0, 4) == pytest.approx([-0.92466, -0.42534, -2.64385, 0.14518], abs=5e-6)


def scalar_normal(seed: int, draw: int, element: int) -> float:
    """The same definition once more, one number at a time, on Python's integers."""
    c, k = [draw, 0, element, 0], [seed % 2**32, seed >> 32]
    for _ in range(10):
        high0, low0 = divmod(0xD2511F53 * c[0], 2**32)
        high1, low1 = divmod(0xCD9E8D57 * c[2], 2**32)
        c = [high1 ^ c[1] ^ k[0], low1, high0 ^ c[3] ^ k[1], low0]
        k = [(k[0] + 0x9E3779B9) % 2**32, (k[1] + 0xBB67AE85) % 2**32]
    u, v = (c[0] + 0.5) / 2**32, (c[1] + 0.5) / 2**32
    return float(np.sqrt(-2 * np.log(u)) * np.sin(2 * np.pi * v))


@given(seed=seeds, draw=st.integers(0, 2**32 - 1), element=st.integers(0, 999))
def test_each_element_is_its_own_counter(seed, draw, element):
    drawn = normals(seed, draw, 1000)[element]
    assert drawn == pytest.approx(scalar_normal(seed, draw, element), rel=1e-6)


def test_the_noise_is_standard_normal():
    many = np.concatenate([normals(seed, 0, 16384) for seed in range(16)]).astype(np.float64)
    assert abs(many.mean()) < 4 / np.sqrt(len(many))
    assert abs(many.var() - 1) < 4 * np.sqrt(2 / len(many))
    assert abs(stats.skew(many)) < 0.02
    assert abs(stats.kurtosis(many)) < 0.04
    assert stats.kstest(many, "norm").pvalue > 1e-3


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((5, 0), (6, 0)),  # neighbouring seeds: the images of one request
        ((5, 0), (5 + 2**32, 0)),  # seeds that torch's CPU generator confuses
        ((5, 0), (5, 1)),  # an ancestral sampler's next draw
        ((5, 1), (6, 0)),
    ],
)
def test_streams_are_independent(one, other):
    a, b = normals(*one, 65536), normals(*other, 65536)
    correlation = np.corrcoef(a, b)[0, 1]
    assert abs(correlation) < 4 / np.sqrt(len(a))
    assert abs(np.corrcoef(a[1:], b[:-1])[0, 1]) < 4 / np.sqrt(len(a))


def test_the_contracts_example_seed_does_not_collide():
    example, folded = 2601738487234, 2601738487234 % 2**32
    torch_streams = [NoiseStream("torch-cpu", seed).draw(SHAPE) for seed in (example, folded)]
    assert np.array_equal(*torch_streams)
    ours = [NoiseStream("philox", seed).draw(SHAPE) for seed in (example, folded)]
    assert np.isclose(*ours).mean() < 0.01


@given(seed=seeds)
def test_successive_draws_follow_the_counter(seed):
    stream = NoiseStream("philox", seed)
    first, second = stream.draw((4, 3, 5)), stream.draw((4, 3, 5))
    assert first.dtype == np.float32
    assert np.array_equal(first.ravel(), normals(seed, 0, 60))
    assert np.array_equal(second.ravel(), normals(seed, 1, 60))
    assert stream.draws == 2


@pytest.mark.parametrize("seed", [0, 42, 2601738487234, SEED_MAX])
def test_torch_cpu_is_diffusers_noise_draw_by_draw(seed):
    generator = torch.Generator("cpu").manual_seed(seed)
    stream = NoiseStream("torch-cpu", seed)
    for _ in range(3):
        theirs = randn_tensor((1, *SHAPE), generator=generator, dtype=torch.float32)[0]
        assert np.array_equal(stream.draw(SHAPE), theirs.numpy())


@pytest.mark.parametrize("seed", [-1, SEED_MAX + 1])
def test_a_seed_outside_64_bits_is_refused(seed):
    with pytest.raises(ValueError, match="from 0 to 18446744073709551615"):
        NoiseStream("philox", seed)


@pytest.mark.parametrize("source", ["philox", "torch-cpu"])
def test_a_variation_turns_from_one_noise_to_the_other(source):
    def start(strength: float) -> np.ndarray:
        return initial_noise(NoiseStream(source, 1), SHAPE, subseed=2, strength=strength)

    one, two = NoiseStream(source, 1).draw(SHAPE), NoiseStream(source, 2).draw(SHAPE)
    assert np.array_equal(start(0.0), one)
    assert np.allclose(start(1.0), two, atol=1e-6)
    half = start(0.5)
    assert abs(half.std() - 1) < 0.02  # a straight average would have 0.71
    assert np.corrcoef(half.ravel(), one.ravel())[0, 1] == pytest.approx(0.707, abs=0.03)
    assert np.corrcoef(half.ravel(), two.ravel())[0, 1] == pytest.approx(0.707, abs=0.03)


def test_later_draws_do_not_move_with_the_subseed():
    plain, varied = NoiseStream("philox", 1), NoiseStream("philox", 1)
    initial_noise(plain, SHAPE)
    initial_noise(varied, SHAPE, subseed=9, strength=0.3)
    assert np.array_equal(plain.draw(SHAPE), varied.draw(SHAPE))


def test_slerp_walks_the_great_circle_of_each_column():
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(2, 3, 5, 2)).astype(np.float32)
    mixed = slerp(a, b, 0.25)
    for channel in range(3):
        for x in range(2):
            p, q = a[channel, :, x].astype(float), b[channel, :, x].astype(float)
            angle = np.arccos(p @ q / np.linalg.norm(p) / np.linalg.norm(q))
            expected = (np.sin(0.75 * angle) * p + np.sin(0.25 * angle) * q) / np.sin(angle)
            assert mixed[channel, :, x] == pytest.approx(expected, abs=1e-5)


@given(amount=st.floats(0, 1), sign=st.sampled_from([1.0, -1.0]))
def test_slerp_of_parallel_noise_is_finite(amount, sign):
    a = normals(4, 0, 60).reshape(4, 5, 3)
    mixed = slerp(a, (sign * a).astype(np.float32), amount)
    assert np.isfinite(mixed).all()
    if sign > 0:
        assert np.allclose(mixed, a, atol=1e-6)


@pytest.mark.parametrize("delta", [31337, -1, -7])
def test_a_moved_stream_is_that_of_the_seed_further_on(delta):
    begun = NoiseStream("philox", 5)
    begun.draw(SHAPE)
    moved = begun.moved(delta)
    afresh = NoiseStream("philox", (5 + delta) % 2**64)
    np.testing.assert_array_equal(moved.draw(SHAPE), afresh.draw(SHAPE))
    assert begun.moved(0) is begun

"""The choice of number type follows the timings, and only large gains win."""

from __future__ import annotations

import math

import pytest
import torch

from limner.engine.checkpoints import probe
from limner.errors import SettingsError


@pytest.mark.parametrize(
    ("float32", "float16", "bfloat16", "chosen"),
    [
        (1.0, 27.0, 27.0, "float32"),
        (1.0, 30.0, 0.45, "float32"),  # twice as fast is not enough to give up agreement
        (1.0, 30.0, 0.2, "bfloat16"),
        (1.0, 0.1, 0.1, "float16"),
        (1.0, 0.2, 0.1, "bfloat16"),
        (1.0, math.inf, math.inf, "float32"),
        (1.0, math.inf, 0.1, "bfloat16"),
    ],
)
def test_the_type_follows_the_timings(
    float32: float, float16: float, bfloat16: float, chosen: str
) -> None:
    seconds = {"float32": float32, "float16": float16, "bfloat16": bfloat16}
    assert probe.fastest(seconds) == chosen


def test_the_probe_times_every_type_and_restores_the_threads() -> None:
    threads = torch.get_num_threads()
    found = probe.probe()
    assert set(found.seconds) == set(probe.DTYPES)
    assert all(value > 0 for value in found.seconds.values())
    assert found.dtype == probe.fastest(found.seconds)
    assert torch.get_num_threads() == threads


def test_a_wish_is_granted_without_timing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "probe", None)
    assert probe.choose_dtype("bfloat16", "cpu") == "bfloat16"


def test_a_gpu_draws_in_float16_without_a_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "probe", None)
    assert probe.choose_dtype("auto", "cuda") == "float16"
    assert probe.choose_dtype("bfloat16", "cuda") == "bfloat16"


def test_cuda_without_cuda_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert probe.choose_device("auto") == "cpu"
    with pytest.raises(SettingsError, match="finds no CUDA device"):
        probe.choose_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert probe.choose_device("auto") == "cuda"
    assert probe.choose_device("cpu") == "cpu"

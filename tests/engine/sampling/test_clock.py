"""Seconds of a device, on a GPU that is made up."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from limner.engine.sampling import clock
from limner.engine.sampling.clock import Clock


class Gpu:
    """A stream that works off what it was given when it is told to; an event passes in its turn."""

    def __init__(self) -> None:
        self.given_ms = self.done_ms = 0.0

    def event(self, *, enable_timing: bool) -> Any:
        assert enable_timing
        gpu = self

        class Event:
            at = float("inf")

            def record(self) -> None:
                self.at = gpu.given_ms

            def query(self) -> bool:
                return self.at <= gpu.done_ms

            def elapsed_time(self, behind: Event) -> float:
                assert self.query()
                assert behind.query(), "it would have waited"
                return behind.at - self.at

        return Event()


def test_a_gpus_seconds_are_counted_once_they_have_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = Gpu()
    monkeypatch.setattr(torch.cuda, "Event", gpu.event)
    unet = Clock(torch.device("cuda"))
    for _ in range(2):
        with unet:
            gpu.given_ms += 250
        gpu.given_ms += 1000  # something else
    assert unet.seconds == 0
    gpu.done_ms = 300
    assert unet.seconds == 0.25
    gpu.done_ms = gpu.given_ms
    assert unet.seconds == unet.seconds == 0.5


def test_a_cpus_seconds_are_the_wall_clocks(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([1.0, 3.5, 10.0, 10.5])
    monkeypatch.setattr(clock.time, "perf_counter", lambda: next(times))
    unet = Clock(torch.device("cpu"))
    with unet:
        pass
    assert unet.seconds == 2.5
    with unet:
        pass
    assert unet.seconds == 3.0


def test_what_fails_in_the_middle_is_counted_and_does_no_harm(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gpu = Gpu()
    monkeypatch.setattr(torch.cuda, "Event", gpu.event)
    unet = Clock(torch.device("cuda"))

    def fail() -> None:
        with unet:
            gpu.given_ms += 100
            raise RuntimeError("a planted fault")

    with pytest.raises(RuntimeError):
        fail()
    gpu.done_ms = gpu.given_ms
    assert unet.seconds == 0.1

"""The knee of throughput, on machines that are made up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from limner.engine.checkpoints.weights import Checkpoint
from limner.engine.sampling import throughput


def machine(overhead_s: float, row_s: float) -> Callable[[int], float]:
    """Rows per second where a step costs ``overhead_s`` and each row ``row_s``."""
    return lambda rows: rows / (overhead_s + row_s * rows)


@pytest.mark.parametrize(
    ("overhead_s", "row_s", "rows"),
    [
        (0.0, 0.05, 2),  # batching gains nothing
        (0.02, 0.02, 32),  # 64 rows would gain 1.5 per cent
        (0.5, 0.001, 64),
        (0.0, 6.0, 2),  # the full model on a CPU
    ],
)
def test_knee(overhead_s: float, row_s: float, rows: int) -> None:
    assert throughput.knee(machine(overhead_s, row_s)) == rows


def test_a_dip_before_the_gain_does_not_end_the_search() -> None:
    rates = {2: 103.0, 4: 73.0, 8: 93.0, 16: 126.0, 32: 147.0, 64: 150.0}
    assert throughput.knee(rates.__getitem__) == 32


def test_a_step_never_lasts_much_longer_than_the_limit() -> None:
    rate = machine(0.6, 0.1)
    assert throughput.knee(rate) / rate(throughput.knee(rate)) <= 2 * throughput.LONGEST_STEP_S


def test_memory_ends_the_search() -> None:
    def rate(rows: int) -> float:
        if rows > 8:
            raise torch.OutOfMemoryError
        return rows / (1e-3 + 1e-6 * rows)

    assert throughput.knee(rate) == 8


def test_the_knee_is_measured_once_per_model_and_machine(
    squire: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    monkeypatch.setattr(throughput, "measure", lambda _: calls.append(1) or 12)
    cache = tmp_path / "throughput.json"
    like = replace(squire, info=replace(squire.info, sha256="a" * 64))
    assert [throughput.remembered(each, cache) for each in (squire, squire, like)] == [12] * 3
    assert len(calls) == 1, "of one shape of UNet once"
    other = replace(squire, info=replace(squire.info, processor="another"))
    assert throughput.remembered(other, cache) == 12
    assert len(calls) == 2
    cache.write_text("broken")
    assert throughput.remembered(squire, cache) == 12
    assert len(calls) == 3


def test_free_memory_is_a_share_of_the_machine() -> None:
    free, share = throughput.memory_left(torch.device("cpu"))
    with open("/proc/meminfo") as file:
        total = int(file.readline().split()[1]) * 1024
    assert 0 < share == free // 4 <= total // 4

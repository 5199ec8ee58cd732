"""Memory of weights: it is a tensor's alone, and goes with it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from limner.engine.checkpoints import storage

MIB = 1 << 20


def held() -> int:
    """Bytes of this process that lie in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.parametrize("shape", [(), (0, 3), (3, 5), (1024, 300), (7, 1024, 33)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_a_tensor_is_what_it_is_asked_to_be(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    made = storage.empty(torch.Size(shape), dtype, "cpu")
    assert (made.shape, made.dtype, made.is_contiguous()) == (shape, dtype, True)
    numbers = torch.randn(shape).to(dtype)
    assert torch.equal(made.copy_(numbers), numbers)


def test_two_share_nothing() -> None:
    first, second = (storage.empty(torch.Size([MIB]), torch.float32, "cpu") for _ in range(2))
    first.fill_(1)
    second.fill_(2)
    assert first.unique().tolist() == [1]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the C library decides")
def test_memory_goes_back_though_what_came_later_stays() -> None:
    lesson = torch.ones(7 * MIB)  # teaches glibc to put what is smaller on its heap
    del lesson
    before, kept = held(), []
    models = []
    for _ in range(32):
        models.append(storage.empty(torch.Size([MIB]), torch.float32, "cpu").fill_(1))
        kept.append(torch.ones(8192))  # lies above, so that a heap could not shrink
    assert held() - before > 120 * MIB
    models.clear()
    assert held() - before < 40 * MIB
    assert len(kept) == 32

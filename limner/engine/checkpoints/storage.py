"""Where weights lie in memory."""

from __future__ import annotations

import math
import mmap
import sys

import torch

OWN_BYTES = 1 << 20
"""From this size on a tensor on the CPU has a mapping of its own."""


def empty(shape: torch.Size, dtype: torch.dtype, device: str) -> torch.Tensor:
    """A contiguous tensor of any content on ``cpu`` or ``cuda``, whose memory goes when it goes.

    The C library keeps most of what a model had for its next allocations, and apart for each
    thread: after some switches between models of 4 GB a process held 13. What is mapped for one
    tensor alone goes back at once; huge pages cost the kernel half of the time of small ones.
    """
    size = math.prod(shape) * dtype.itemsize
    if device != "cpu" or size < OWN_BYTES or sys.platform != "linux":
        return torch.empty(shape, dtype=dtype, device=device)
    room = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    room.madvise(mmap.MADV_HUGEPAGE)
    return torch.frombuffer(room, dtype=dtype).view(shape)

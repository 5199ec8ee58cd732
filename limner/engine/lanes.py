"""One UNet call of many rows, on a CPU as several narrow ones side by side.

Threads that share every operator wait for each other at every operator; threads that own rows
meet once a step. A small model gains a third from it (docs/log.md), a large one nothing. A GPU
runs its rows in one piece.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor

ROWS_PER_LANE_MIN = 3


class Lanes:
    """Calls ``unet``; give it to one thread at a time. ``lanes``: None means one a core."""

    def __init__(self, unet: Any, lanes: int | None = None) -> None:
        self._unet = unet
        on_cpu = next(unet.parameters()).device.type == "cpu"
        self._lanes = lanes or (torch.get_num_threads() if on_cpu else 1)
        self._pool = _single_threaded_pool(self._lanes)

    def __call__(self, y: Tensor, t: Tensor, context: Tensor, mask: Tensor | None) -> Tensor:
        """The UNet's output (rows, C, h, w) for inputs ``y`` (rows, C, h, w) at timesteps ``t``
        (rows,), with ``context`` (rows, tokens, width) and its ``mask`` (rows, tokens) or None."""
        lanes = self._lanes
        if lanes == 1 or len(y) < lanes * ROWS_PER_LANE_MIN:
            return self._forward(y, t, context, mask)
        masks = [None] * lanes if mask is None else mask.tensor_split(lanes)
        parts = (y.tensor_split(lanes), t.tensor_split(lanes), context.tensor_split(lanes), masks)
        return torch.cat(list(self._pool.map(self._forward, *parts)))

    @torch.inference_mode()
    def _forward(self, y: Tensor, t: Tensor, context: Tensor, mask: Tensor | None) -> Tensor:
        # Quicker for many rows, no slower for few; and one layout for all keeps a picture drawn
        # in company closest to itself drawn alone.
        y = y.contiguous(memory_format=torch.channels_last)
        made: Tensor = self._unet(
            y, t, encoder_hidden_states=context, encoder_attention_mask=mask
        ).sample
        return made


def _single_threaded_pool(threads: int) -> ThreadPoolExecutor:
    """``threads`` running threads on which torch uses one core each."""
    before = torch.get_num_threads()
    pool = ThreadPoolExecutor(
        threads, "limner-lane", initializer=torch.set_num_threads, initargs=(1,)
    )
    together = threading.Barrier(threads)
    list(pool.map(lambda _: together.wait(), range(threads)))
    # Setting it on a thread also sets what threads born later begin with.
    torch.set_num_threads(before)
    return pool

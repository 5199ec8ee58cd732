"""One UNet call of many rows; for a small model on a CPU, several narrow calls side by side.

Threads that share every operator wait for each other at every operator; threads that own rows
meet once a step. A small model gains a third from it (docs/log.md), a large one nothing. A GPU
runs its rows in one piece, or in as many as its memory allows.

In lanes a row is computed alike, to the bit, whatever rows run beside it: each lane is one core,
its products are row by row (``rowwise``), and it never has a single row, for which convolutions
take another way. A lone pair of rows has two cores, each of which gets one row of every operator,
and comes out the same.
"""

from __future__ import annotations

import logging
import math
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from limner.engine.adapters.rows import Adapted
from limner.engine.adapters.targets import UNET
from limner.engine.controls.nets import Rows
from limner.engine.controls.rows import additions
from limner.engine.sampling.batch import Batch
from limner.engine.sampling.rowwise import make_rowwise

log = logging.getLogger(__name__)

SMALL = 100_000_000
"""Parameters of the largest model that runs in lanes."""
ROWS_PER_LANE_MIN = 2


class Lanes:
    """Calls ``unet``; give it to one thread at a time. A lane for each of torch's threads.

    A small model on a CPU is made row-wise (``rowwise.make_rowwise``).
    """

    def __init__(self, unet: Any) -> None:
        self._unet = unet
        self._room = math.inf  # rows times latent pixels at once: all, until memory ran out
        self._in_lanes = unet.device.type == "cpu" and unet.num_parameters() <= SMALL
        if not self._in_lanes:
            return
        make_rowwise(unet)
        cores = torch.get_num_threads()
        self._lanes, self._lane_pool = cores, _pool(cores, cores=1)
        self._pair_pool = _pool(1, cores=min(cores, 2))

    @cached_property
    def adapted(self) -> Adapted:
        """The UNet for rows of adapters, with the same weights; made when it is first asked for."""
        made = Adapted(UNET, self._unet, kept=2 + self._lanes if self._in_lanes else 4)
        if self._in_lanes:
            make_rowwise(made.model)
        return made

    def adopt(self, model: nn.Module) -> int:
        """Have another model compute as the UNet does; the fewest rows with which it may run."""
        if not self._in_lanes:
            return 1
        make_rowwise(model)
        return ROWS_PER_LANE_MIN

    def __call__(self, batch: Batch) -> Tensor:
        """The UNet's output for the batch: (rows, C, h, w)."""
        if not self._in_lanes:
            return self._in_pieces(batch)
        if len(batch) <= ROWS_PER_LANE_MIN:
            return self._pair_pool.submit(self._lane, batch).result()
        lanes = min(self._lanes, -(-len(batch) // ROWS_PER_LANE_MIN))
        return torch.cat(list(self._lane_pool.map(self._lane, batch.split(lanes))))

    def _in_pieces(self, batch: Batch) -> Tensor:
        """In one piece; where memory ran out, in pieces half as large, from then on.

        Raises ``torch.OutOfMemoryError`` when a single row finds no room.
        """
        area = batch.y[0, 0].numel()
        pieces = max(1, min(len(batch), math.ceil(len(batch) * area / self._room)))
        rows = math.ceil(len(batch) / pieces)
        try:
            return torch.cat([self._forward(piece) for piece in batch.split(pieces)])
        except torch.OutOfMemoryError:
            if rows == 1:
                raise
        # Outside the handler, whose traceback would keep what the failed pass had made.
        self._room = rows // 2 * area
        log.warning(
            "memory ran out at %d rows; from now on at most %d run at once", rows, rows // 2
        )
        return self._in_pieces(batch)

    def _lane(self, batch: Batch) -> Tensor:
        return self._forward(batch.padded(ROWS_PER_LANE_MIN))[: len(batch)]

    @torch.inference_mode()
    def _forward(self, batch: Batch) -> Tensor:
        # Quicker for many rows, no slower for few; and rows are computed alike in one layout only.
        y = batch.y.contiguous(memory_format=torch.channels_last)
        if batch.adapters is None or not any(batch.adapters):
            return self._made(self._unet, y, batch)
        with self.adapted.using(batch.adapters) as unet:
            return self._made(unet, y, batch)

    @staticmethod
    def _made(unet: Any, y: Tensor, batch: Batch) -> Tensor:
        reads = {"encoder_hidden_states": batch.context, "encoder_attention_mask": batch.mask}
        if batch.controls is not None and any(batch.controls):
            rows = Rows(y, batch.t, batch.context, batch.mask)
            reads |= additions(batch.controls, rows)
        made: Tensor = unet(y, batch.t, **reads).sample
        return made


def _pool(threads: int, cores: int) -> ThreadPoolExecutor:
    """``threads`` running threads on each of which torch uses so many cores."""
    before = torch.get_num_threads()
    together = threading.Barrier(threads)

    def begin() -> None:
        torch.set_num_threads(cores)
        # A thread takes over the process's number when it first asks; so ask before it changes.
        torch.get_num_threads()

    pool = ThreadPoolExecutor(threads, "limner-lane", initializer=begin)
    list(pool.map(lambda _: together.wait(), range(threads)))
    # Setting it on a thread also sets what threads born later begin with.
    torch.set_num_threads(before)
    return pool

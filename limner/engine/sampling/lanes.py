"""One UNet call of many rows; for a small model on a CPU, several narrow calls side by side.

Threads that share every operator wait for each other at every operator; threads that own rows
meet once a step. A small model gains a third from it (docs/log.md), a large one nothing, and runs
so many rows at once that what lies between its layers stays small. A GPU runs its rows in one
piece, or in as many as its memory allows.

In lanes a row is computed alike, to the bit, whatever rows run beside it: each lane is one core,
its products are row by row (``rowwise``), and it never has a single row, for which convolutions
take another way. A lone pair of rows has two cores, each of which gets one row of every operator,
and comes out the same, unless its innermost layers have so few pixels that two cores would share
the products of one row.
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
from limner.engine.tiling.seamless import for_rows, make_seamless, tiled

log = logging.getLogger(__name__)

SMALL = 100_000_000
"""Parameters of the largest model that runs in lanes."""
ROWS_PER_LANE_MIN = 2
PIXELS_MIN = 4
"""Pixels of the innermost level from which on two cores share no product of a row."""
AT_ONCE = 256 * 256
"""Rows times latent pixels that a large model on a CPU runs at once: one row of 2048x2048.

A constant: how rows are split moves their low bits, which a machine's memory is not to decide. At
that size a row of Stable Diffusion 1.5 takes 2.5 GiB beside the weights (docs/log.md).
"""


class Lanes:
    """Calls ``unet``; give it to one thread at a time. A lane for each of torch's threads.

    A small model on a CPU is made row-wise (``rowwise.make_rowwise``).
    """

    def __init__(self, unet: Any) -> None:
        self._unet = unet
        # Rows times latent pixels at once; on a GPU all, until memory ran out.
        self._room = AT_ONCE if unet.device.type == "cpu" else math.inf
        self._in_lanes = unet.device.type == "cpu" and unet.num_parameters() <= SMALL
        if not self._in_lanes:
            return
        make_rowwise(unet)
        cores = torch.get_num_threads()
        self._lanes, self._lane_pool = cores, _pool(cores, cores=1)
        self._pair_pool = _pool(1, cores=min(cores, 2))
        self._area_min = PIXELS_MIN * 4 ** (len(unet.config.block_out_channels) - 1)

    @cached_property
    def adapted(self) -> Adapted:
        """The UNet for rows of adapters, with the same weights; made when it is first asked for."""
        return self._adapted()

    def _adapted(self) -> Adapted:
        made = Adapted(UNET, self._unet, kept=2 + self._lanes if self._in_lanes else 4)
        if self._in_lanes:
            make_rowwise(made.model)
        return made

    @cached_property
    def seamless_adapted(self) -> Adapted:
        """The same where the edges of some row meet."""
        made = self._adapted()
        make_seamless(made.model)
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
            small = batch.y[0, 0].numel() < self._area_min
            return (
                (self._lane_pool if small else self._pair_pool).submit(self._lane, batch).result()
            )
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
        tiling = batch.tiling or ()
        with tiled(tiling):
            if batch.adapters is None or not any(batch.adapters):
                return self._made(for_rows(self._unet, tiling), y, batch)
            adapted = self.seamless_adapted if any(map(any, tiling)) else self.adapted
            with adapted.using(batch.adapters) as unet:
                return self._made(unet, y, batch)

    @staticmethod
    def _made(unet: Any, y: Tensor, batch: Batch) -> Tensor:
        reads = {"encoder_hidden_states": batch.context, "encoder_attention_mask": batch.mask}
        if batch.controls is not None and any(batch.controls):
            rows = Rows(y, batch.t, batch.context, batch.mask, batch.tiling or ())
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

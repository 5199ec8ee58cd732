"""Checkpoints kept in the host's memory beside a GPU's, so that to bring one back is a copy.

The host's numbers are made first and copied to the GPU from there: when a model has to leave the
GPU nothing is moved, which would hold up who draws. Drawing changes no weights, so they stay true.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import Any

import torch

from limner.engine.checkpoints import probe, storage
from limner.engine.checkpoints.weights import Checkpoint


def moved(checkpoint: Checkpoint, device: str) -> Checkpoint:
    """The same on ``device``, with numbers of its own."""
    parts = {n: _twin(getattr(checkpoint, n), device) for n in ("unet", "vae", "text_encoder")}
    threads = torch.get_num_threads() if device == "cpu" else None
    there: dict[str, Any] = {
        "device": device,
        "processor": probe.processor(device),
        "threads": threads,
    }
    return replace(checkpoint, **parts, info=replace(checkpoint.info, **there))


def _twin(model: torch.nn.Module, device: str) -> Any:
    twins: dict[int, Any] = {}
    for tensor in (*model.parameters(), *model.buffers()):
        twin = storage.empty(tensor.shape, tensor.dtype, device).copy_(tensor.detach())
        is_parameter = isinstance(tensor, torch.nn.Parameter)
        twins[id(tensor)] = torch.nn.Parameter(twin, False) if is_parameter else twin
    return copy.deepcopy(model, twins)


class Hosted:
    """At most ``budget`` bytes of checkpoints; those go that were not wanted for longest.

    ``move`` gives a checkpoint on a device with numbers of its own. For one thread at a time.
    """

    def __init__(self, budget: int, move: Callable[[Checkpoint, str], Checkpoint] = moved) -> None:
        self.budget, self._move = budget, move
        self._kept: OrderedDict[Hashable, Checkpoint] = OrderedDict()

    @property
    def bytes(self) -> int:
        """What is kept."""
        return sum(checkpoint.bytes for checkpoint in self._kept.values())

    def bring(
        self, name: Hashable, size: int, load: Callable[[str], Checkpoint], device: str
    ) -> Checkpoint:
        """The checkpoint of a name on ``device``; loaded where it is not kept.

        ``load`` is given a device. What would alone take more than ``budget`` is loaded onto
        ``device`` itself; ``size`` is in bytes.
        """
        if name not in self._kept:
            if size > self.budget:
                return load(device)
            self._make_room(size)
            self._kept[name] = load("cpu")
        self._kept.move_to_end(name)
        return self._move(self._kept[name], device)

    def _make_room(self, size: int) -> None:
        while self._kept and self.bytes + size > self.budget:
            self._kept.popitem(last=False)

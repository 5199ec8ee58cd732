"""A model in whose forward pass each row has adapters of its own, or none.

It is a twin of the model that is loaded: other objects, the same weights. Hooks on its layers add
what the adapters of each row say to what the layer made of it; rows without any are not touched,
and are equal to the bit to those of the model itself, which knows nothing of this. So whoever
uses no adapter pays nothing.

Rows whose forms are of one size are computed together, each as products of its own
(``sampling.rowwise`` says why), so a row is the same in any company.
"""

from __future__ import annotations

import copy
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import unfold

from limner.engine.adapters.forms import Dense, Form, LowRank
from limner.engine.adapters.reading import Adapter
from limner.engine.adapters.targets import layers
from limner.engine.checkpoints.pruning import idle, restore

ROWS_MIN = 2
"""A product of one row may be cut among the cores, and come out otherwise than beside others."""


@dataclass(frozen=True)
class Use:
    """An adapter at a strength."""

    adapter: Adapter
    strength: float


Uses = tuple[Use, ...]
"""What one row uses; the differences add up."""


@dataclass(frozen=True, eq=False)
class Together:
    """Rows of one layer that are computed at once, by forms of one size."""

    rows: slice | Tensor
    form: Form

    def add(self, layer: nn.Module, x: Tensor, y: Tensor) -> None:
        """Add to the output ``y`` of the layer what the rows' forms say of its input ``x``."""
        read = columns(layer, x[self.rows])
        alone = len(read) < ROWS_MIN
        made = self.form.delta(torch.cat([read] * ROWS_MIN) if alone else read)[: len(read)]
        if isinstance(self.rows, slice):
            y[self.rows] += _as_output(made, y[self.rows])
        else:
            y.index_add_(0, self.rows, _as_output(made, y[: len(read)]))


class Adapted:
    """The twin of one part of a model; for any number of threads at once.

    What ``kept`` sets of rows need is kept: stacking the forms of a set takes as long as a step.
    """

    def __init__(self, part: str, model: nn.Module, *, kept: int = 4) -> None:
        self.part = part
        whole = [model, *idle(model)]
        shared = {id(t): t for m in whole for t in (*m.parameters(), *m.buffers())}
        self.model: Any = restore(copy.deepcopy(model, shared))
        self._kept = kept
        self._made: OrderedDict[Any, Mapping[str, list[Together]]] = OrderedDict()
        self._lock = threading.Lock()
        self._now = threading.local()
        modules = dict(self.model.named_modules())
        for target in layers(part, self.model):
            modules[target.path].register_forward_hook(partial(self._add, target.path))

    @contextmanager
    def using(self, rows: Sequence[Uses]) -> Iterator[Any]:
        """The model, for a pass on this thread over rows that use these."""
        self._now.layers = self._together(rows)
        try:
            yield self.model
        finally:
            self._now.layers = {}

    def _add(self, path: str, layer: nn.Module, inputs: tuple[Tensor, ...], y: Tensor) -> None:
        for together in getattr(self._now, "layers", {}).get(path, ()):
            together.add(layer, inputs[0], y)

    def _together(self, rows: Sequence[Uses]) -> Mapping[str, list[Together]]:
        key = tuple(tuple((use.adapter.sha256, use.strength) for use in uses) for uses in rows)
        with self._lock:
            if key in self._made:
                self._made.move_to_end(key)
                return self._made[key]
        made = together(rows, self.part)
        with self._lock:
            self._made[key] = made
            while len(self._made) > self._kept:
                self._made.popitem(last=False)
        return made


def together(rows: Sequence[Uses], part: str) -> dict[str, list[Together]]:
    """For each layer that some row's adapters change: the rows that are computed at once."""
    of_uses: dict[Uses, dict[str, list[Form]]] = {}
    groups: dict[str, dict[Any, list[tuple[int, Form]]]] = {}
    for row, uses in enumerate(rows):
        if uses not in of_uses:
            of_uses[uses] = _joined(uses, part)
        for path, forms in of_uses[uses].items():
            for form in forms:
                # What is as large as the weights themselves is shared, never copied for each row.
                key = (*form.kind, id(form)) if isinstance(form, Dense) else form.kind
                groups.setdefault(path, {}).setdefault(key, []).append((row, form))
    return {
        path: [Together(*_rows_and_form(members)) for members in of_kind.values()]
        for path, of_kind in groups.items()
    }


def _joined(uses: Uses, part: str) -> dict[str, list[Form]]:
    """The forms of what one row uses, strengths in them; those of low rank joined to one."""
    found: dict[str, list[Form]] = {}
    for use in uses:
        if use.strength == 0:
            continue
        for path, form in use.adapter.forms.get(part, {}).items():
            forms = found.setdefault(path, [])
            scaled = form.scaled(use.strength)
            if forms and isinstance(forms[0], LowRank) and isinstance(scaled, LowRank):
                forms[0] = forms[0].joined(scaled)
            else:
                forms.insert(0 if isinstance(scaled, LowRank) else len(forms), scaled)
    return found


def _rows_and_form(members: list[tuple[int, Form]]) -> tuple[slice | Tensor, Form]:
    numbers, forms = [row for row, _ in members], [form for _, form in members]
    first, device = forms[0], forms[0].tensors()[0].device
    if any(form is not first for form in forms):
        first = first.stacked(forms[1:])
    start, stop = numbers[0], numbers[-1] + 1
    if stop - start == len(numbers):
        return slice(start, stop), first
    return torch.tensor(numbers, device=device), first


def columns(layer: nn.Module, x: Tensor) -> Tensor:
    """What each place of a layer's output is a sum of: (rows, places, columns)."""
    if not isinstance(layer, nn.Conv2d):
        return x.reshape(len(x), -1, x.shape[-1])
    if layer.weight[0, 0].numel() == 1 and layer.stride == (1, 1):
        return x.permute(0, 2, 3, 1).reshape(len(x), -1, x.shape[1])
    size: Any = (layer.kernel_size, layer.dilation, layer.padding, layer.stride)
    # In order: of a transposed matrix a product may be cut among the cores within a row.
    return unfold(x, *size).transpose(1, 2).contiguous()


def _as_output(made: Tensor, like: Tensor) -> Tensor:
    """(rows, places, out) in the shape of the layer's output."""
    if like.ndim != 4:
        return made.view(like.shape)
    rows, out, height, width = like.shape
    return made.view(rows, height, width, out).permute(0, 3, 1, 2)

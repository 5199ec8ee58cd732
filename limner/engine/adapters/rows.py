"""A model in whose forward pass each row has adapters of its own, or none.

It is a twin of the model that is loaded: other objects, the same weights. Hooks on its layers add
what the adapters of each row say to what the layer made of it; rows without any are not touched,
and are equal to the bit to those of the model itself, which knows nothing of this. So whoever
uses no adapter pays nothing.

Rows whose forms are of one size are computed together, each as products of its own
(``sampling.rowwise`` says why), so a row is the same in any company.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad

from limner.engine.adapters.forms import Form, LowRank
from limner.engine.adapters.reading import Adapter
from limner.engine.adapters.scaled import Biased, Norm, Scaled
from limner.engine.adapters.targets import layers
from limner.engine.checkpoints.pruning import restore, twin

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

    def add(self, layer: nn.Module, x: Tensor, own: Tensor, y: Tensor) -> None:
        """Add to ``y`` what the rows' forms say of the layer's input ``x`` and ``own`` output."""
        read, said = x[self.rows], own[self.rows]
        rows = len(read)
        if rows < ROWS_MIN:
            read, said = torch.cat([read] * ROWS_MIN), torch.cat([said] * ROWS_MIN)
        made = added(self.form, layer, read, said)[:rows]
        if isinstance(self.rows, slice):
            y[self.rows] += made
        else:
            y.index_add_(0, self.rows, made)


class Adapted:
    """The twin of one part of a model; for any number of threads at once.

    What ``kept`` sets of rows need is kept: stacking the forms of a set takes as long as a step.
    """

    def __init__(self, part: str, model: nn.Module, *, kept: int = 4) -> None:
        self.part = part
        self.model: Any = restore(twin(model))
        self._kept = kept
        self._made: OrderedDict[Any, Mapping[str, list[Together]]] = OrderedDict()
        self._lock = threading.Lock()
        self._now = threading.local()
        modules = dict(self.model.named_modules())
        for target in layers(part, self.model):
            modules[target.path].register_forward_hook(partial(self._add, target.path))
        self._kernels = {path for path, module in modules.items() if is_kernel(module)}

    @contextmanager
    def using(self, rows: Sequence[Uses]) -> Iterator[Any]:
        """The model, for a pass on this thread over rows that use these."""
        self._now.layers = self._together(rows)
        try:
            yield self.model
        finally:
            self._now.layers = {}

    def _add(self, path: str, layer: nn.Module, inputs: tuple[Tensor, ...], y: Tensor) -> None:
        those = getattr(self._now, "layers", {}).get(path, ())
        # What several forms add is to be made of what the layer itself computed.
        own = y.clone() if any(isinstance(each.form, Scaled) for each in those) else y
        for together in those:
            together.add(layer, inputs[0], own, y)

    def _together(self, rows: Sequence[Uses]) -> Mapping[str, list[Together]]:
        key = tuple(tuple((use.adapter.sha256, use.strength) for use in uses) for uses in rows)
        with self._lock:
            if key in self._made:
                self._made.move_to_end(key)
                return self._made[key]
        made = together(rows, self.part, self._kernels)
        with self._lock:
            self._made[key] = made
            while len(self._made) > self._kept:
                self._made.popitem(last=False)
        return made


def together(
    rows: Sequence[Uses], part: str, kernels: Collection[str] = ()
) -> dict[str, list[Together]]:
    """For each layer that some row's adapters change: the rows that are computed at once.

    Rows of ``kernels``, and of what is as large as the weights themselves, only where they use the
    same: such forms are not copied for each row.
    """
    of_uses: dict[Uses, dict[str, list[Form]]] = {}
    groups: dict[str, dict[Any, list[tuple[int, Form]]]] = {}
    for row, uses in enumerate(rows):
        if uses not in of_uses:
            of_uses[uses] = _joined(uses, part)
        for path, forms in of_uses[uses].items():
            for form in forms:
                shared = form.shared or path in kernels
                key = (*form.kind, id(form)) if shared else form.kind
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
    if numbers == list(range(start, stop)):  # a row with two such forms is in it twice
        return slice(start, stop), first
    return torch.tensor(numbers, device=device), first


def added(form: Form, layer: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """What a form adds to a layer's output ``y`` of ``x``, in its shape."""
    if isinstance(form, Scaled | Biased):
        return form.added(layer, x, y, added)
    if isinstance(form, Norm):
        return form.added(layer, x, y)
    return _as_output(form.rest(first_product(layer, form, x)), y)


def first_product(layer: nn.Module, form: Form, x: Tensor) -> Tensor:
    """What a form's first matrices make of a layer's input: (rows, places, M).

    Those of a kernel are one for all rows.
    """
    if not isinstance(layer, nn.Conv2d):
        return form.read(x.reshape(len(x), -1, x.shape[-1]))
    if not is_kernel(layer):
        return form.read(x.permute(0, 2, 3, 1).reshape(len(x), -1, x.shape[1]))
    weight = form.first.view(-1, *layer.weight.shape[1:])
    down, across = (int(each) for each in layer.padding)
    # A seamless model's layers have no border of their own, and what convolves without rounds
    # otherwise: so none has. Rows are computed alike in one layout only, and picked ones may come
    # in another.
    bordered = pad(x, (across, across, down, down)).contiguous(memory_format=torch.channels_last)
    made = conv2d(bordered, weight, None, layer.stride, 0, layer.dilation)
    return made.permute(0, 2, 3, 1).flatten(1, 2)


def is_kernel(layer: nn.Module) -> bool:
    """Whether it is more than a matrix for each pixel."""
    return isinstance(layer, nn.Conv2d) and (
        layer.weight[0, 0].numel() > 1 or layer.stride != (1, 1)
    )


def _as_output(made: Tensor, like: Tensor) -> Tensor:
    """(rows, places, out) in the shape of the layer's output."""
    if like.ndim != 4:
        return made.view(like.shape)
    rows, out, height, width = like.shape
    return made.view(rows, height, width, out).permute(0, 3, 1, 2)

"""What an adapter adds that is made of what the layer itself computes, or of no input at all.

DoRA (Liu et al. 2024) as LyCORIS has it: ``c (W + D) x + b``, where ``c`` brings each output
channel of ``W + D`` (or each input channel) to a length of its own; at a strength s, c is
``s (c - 1) + 1`` and D is whole. IA3 (Liu et al. 2022) is the same without D.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn.functional import group_norm, layer_norm

from limner.engine.adapters.forms import Form

Adds = Callable[[Form, nn.Module, Tensor, Tensor], Tensor]
"""What a form adds to a layer, by its input and its own output: in the shape of the output."""


@dataclass(frozen=True, eq=False)
class Scaled(Form):
    """``change``, and ``c`` (n, channels) of the outputs, or ``on_input`` of the inputs."""

    change: Form | None
    c: Tensor
    on_input: bool = False

    def tensors(self) -> tuple[Tensor, ...]:
        return (*(self.change.tensors() if self.change else ()), self.c)

    @property
    def kind(self) -> tuple[object, ...]:
        return type(self), self.on_input, self.change and self.change.kind, self.c.shape[1:]

    @property
    def shared(self) -> bool:
        return self.change is not None and self.change.shared

    def scaled(self, strength: float) -> Scaled:
        return replace(self, c=strength * (self.c - 1) + 1)

    def added(self, layer: nn.Module, x: Tensor, y: Tensor, add: Adds) -> Tensor:
        """See ``Adds``; ``add`` adds ``change``."""
        if self.on_input:
            c = _channels(self.c, x, isinstance(layer, nn.Conv2d))
            again: Tensor = layer.forward((x * (c - 1)).contiguous(memory_format=_layout(x)))
            own = _without_bias(layer, again)
            return own if self.change is None else own + add(self.change, layer, x * c, y)
        c = _channels(self.c, y, isinstance(layer, nn.Conv2d))
        own = _without_bias(layer, y) * (c - 1)
        return own if self.change is None else own + add(self.change, layer, x, y) * c

    def _with(self, tensors: list[Tensor]) -> Scaled:
        change = self.change and self.change._with(tensors[:-1])
        return replace(self, change=change, c=tensors[-1])


@dataclass(frozen=True, eq=False)
class Biased(Form):
    """``change``, and a difference ``bias`` (n, out) of the layer's bias."""

    change: Form | None
    bias: Tensor

    def tensors(self) -> tuple[Tensor, ...]:
        return (*(self.change.tensors() if self.change else ()), self.bias)

    @property
    def kind(self) -> tuple[object, ...]:
        return type(self), self.change and self.change.kind, self.bias.shape[1:]

    @property
    def shared(self) -> bool:
        return self.change is not None and self.change.shared

    def scaled(self, strength: float) -> Biased:
        return Biased(self.change and self.change.scaled(strength), self.bias * strength)

    def added(self, layer: nn.Module, x: Tensor, y: Tensor, add: Adds) -> Tensor:
        """See ``Adds``; ``add`` adds ``change``."""
        own = _channels(self.bias, y, isinstance(layer, nn.Conv2d)).expand(y.shape)
        return own if self.change is None else own + add(self.change, layer, x, y)

    def _with(self, tensors: list[Tensor]) -> Biased:
        return Biased(self.change and self.change._with(tensors[:-1]), tensors[-1])


@dataclass(frozen=True, eq=False)
class Norm(Form):
    """Differences of a norm's ``weight`` and ``bias``, both (n, width)."""

    weight_: Tensor
    bias: Tensor

    def scaled(self, strength: float) -> Norm:
        return Norm(self.weight_ * strength, self.bias * strength)

    def added(self, layer: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        """See ``Adds``."""
        if isinstance(layer, nn.GroupNorm):
            normed, first = group_norm(x, layer.num_groups, eps=layer.eps), True
        else:
            assert isinstance(layer, nn.LayerNorm)
            normed, first = layer_norm(x, layer.normalized_shape, eps=layer.eps), False
        weight, bias = (_channels(each, y, first) for each in (self.weight_, self.bias))
        return normed * weight + bias


def lengths(weight: Tensor, *, of_inputs: bool) -> Tensor:
    """Of a weight (out, in, ...), the length of what belongs to each output, or to each input."""
    rows = weight.transpose(0, 1) if of_inputs else weight
    found: Tensor = torch.linalg.vector_norm(rows.reshape(len(rows), -1), dim=1)
    return found


def _channels(values: Tensor, like: Tensor, first: bool) -> Tensor:
    """(n, channels) to be multiplied with ``like``, whose channels are ``first`` or last."""
    ones = [1] * (like.ndim - 2)
    shape = (len(values), -1, *ones) if first else (len(values), *ones, values.shape[1])
    return values.view(shape)


def _without_bias(layer: nn.Module, y: Tensor) -> Tensor:
    bias = layer.bias
    if not isinstance(bias, Tensor):
        return y
    return y - _channels(bias[None], y, isinstance(layer, nn.Conv2d))


def _layout(x: Tensor) -> torch.memory_format:
    # Rows are computed alike in one layout only, and picked ones may come in another.
    return torch.channels_last if x.ndim == 4 else torch.contiguous_format

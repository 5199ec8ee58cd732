"""A model whose convolutions read, beyond an edge, what lies at the opposite one: row by row.

It is a twin of the model that is loaded: other objects, the same weights. Before each convolution
of the twin its input is laid out with a border of its own, which is empty, or for a row that tiles
holds what lies at the opposite edge; the convolution itself then adds none. A row without tiling
comes out equal to the bit to one of the model itself, which knows nothing of this: so a pass
without any row that tiles costs nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from diffusers.models.downsampling import Downsample2D
from torch import Tensor, nn
from torch.nn.functional import pad

from limner.domain.tiling import APART, Axes
from limner.engine.checkpoints.pruning import twin

Model = TypeVar("Model", bound=nn.Module)
Run = tuple[slice, Axes]
"""Rows that follow each other and tile alike."""

_NOW = threading.local()
_TWINS: WeakKeyDictionary[nn.Module, nn.Module] = WeakKeyDictionary()
_MAKING = threading.Lock()


@contextmanager
def tiled(rows: Sequence[Axes]) -> Iterator[None]:
    """For passes of seamless models on this thread, over rows that tile so."""
    before = getattr(_NOW, "runs", ())
    _NOW.runs = tuple(_runs(rows))
    try:
        yield
    finally:
        _NOW.runs = before


def seamless(model: Any) -> Any:
    """The twin of a model, one for all who ask, and for any number of threads at once."""
    with _MAKING:
        if model not in _TWINS:
            _TWINS[model] = make_seamless(twin(model))
        return _TWINS[model]


def for_rows(model: Any, rows: Sequence[Axes]) -> Any:
    """What computes these rows: the model, or its twin where one of them tiles."""
    return seamless(model) if any(axes != APART for axes in rows) else model


def make_seamless(model: Model) -> Model:
    """Lay out what each convolution of ``model`` reads as the rows under way tile; the same model.

    What hooks on its convolutions read, and do with their ``padding``, is right as well.
    """
    for module in list(model.modules()):
        if isinstance(module, nn.Conv2d) and any(module.padding):
            _take_over(module)
        elif isinstance(module, Downsample2D) and module.use_conv and module.padding == 0:
            module.conv.register_forward_pre_hook(_closed)
    return model


def _take_over(layer: nn.Conv2d) -> None:
    """Have the border be made before the layer, as wide as its own."""
    down, across = (int(each) for each in layer.padding)
    layer.padding = (0, 0)

    def bordered(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (border(inputs[0], across, down), *inputs[1:])

    layer.register_forward_pre_hook(bordered)


def border(x: Tensor, across: int, down: int) -> Tensor:
    """``x`` (rows, C, h, w) with so many columns and rows more on each side, as its rows tile."""
    made = pad(x, (across, across, down, down))
    width, height = x.shape[3], x.shape[2]
    for rows, axes in getattr(_NOW, "runs", ()):
        if axes.x and across:
            made[rows, :, :, :across] = made[rows, :, :, width : width + across]
            made[rows, :, :, -across:] = made[rows, :, :, across : 2 * across]
        if axes.y and down:  # with what was laid beside it, so that the corners are right
            made[rows, :, :down] = made[rows, :, height : height + down]
            made[rows, :, -down:] = made[rows, :, down : 2 * down]
    return made


def _closed(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Diffusers' VAEs halve pictures with an empty column and row more, to the right and below."""
    x = inputs[0].clone()
    for rows, axes in getattr(_NOW, "runs", ()):
        if axes.x:
            x[rows, :, :, -1] = x[rows, :, :, 0]
        if axes.y:
            x[rows, :, -1] = x[rows, :, 0]
    return (x, *inputs[1:])


def _runs(rows: Sequence[Axes]) -> Iterator[Run]:
    """As slices: an index, or a mask, would have to be brought to the device."""
    start = 0
    for axes, members in groupby(rows):
        stop = start + len(list(members))
        if axes != APART:
            yield slice(start, stop), axes
        start = stop


class SeamlessVae:
    """A VAE for one picture whose edges meet: called as ``latents`` calls a VAE."""

    def __init__(self, vae: Any, axes: Axes) -> None:
        self._vae, self._axes = seamless(vae), axes
        self.device, self.dtype = vae.device, vae.dtype

    def decode(self, latent: Tensor) -> Any:
        with tiled([self._axes]):
            return self._vae.decode(latent)

    def encode(self, picture: Tensor) -> Any:
        with tiled([self._axes]):
            return self._vae.encode(picture)

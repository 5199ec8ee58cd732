"""What one forward pass of the UNet reads, a row each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from limner.domain.tiling import Axes
from limner.engine.adapters.rows import Uses
from limner.engine.controls.rows import Uses as Controls


@dataclass(frozen=True, eq=False)
class Batch:
    """The rows of one forward pass.

    ``y`` (rows, C, h, w) and ``context`` (rows, tokens, width) are in the UNet's number type,
    ``t`` (rows,) holds timesteps. ``mask`` (rows, tokens) is True where a token counts, or None
    where all do, so that fast kernels stay. ``adapters`` are what each row uses, ``controls``
    what each follows, ``tiling`` along which axes its edges meet; None where none does any.
    What a row brings besides becomes a field here, with a row of it for each row: cutting and
    padding then know it.
    """

    y: Tensor
    t: Tensor
    context: Tensor
    mask: Tensor | None = None
    adapters: tuple[Uses, ...] | None = None
    controls: tuple[Controls, ...] | None = None
    tiling: tuple[Axes, ...] | None = None

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, rows: slice) -> Batch:
        return self._each(lambda value: value[rows])

    def split(self, parts: int) -> list[Batch]:
        """So many batches of nearly the same length, in order."""
        bounds = [-(-len(self) * n // parts) for n in range(parts + 1)]
        return [self[start:stop] for start, stop in pairwise(bounds)]

    def padded(self, rows: int) -> Batch:
        """At least so many rows: its own, repeated."""
        times = -(-rows // len(self))
        return self if times == 1 else self._each(lambda value: _repeated(value, times))

    def _each(self, change: Callable[[Any], Any]) -> Batch:
        given = {
            f.name: value for f in fields(self) if (value := getattr(self, f.name)) is not None
        }
        return replace(self, **{name: change(value) for name, value in given.items()})


def _repeated(value: Any, times: int) -> Any:
    return value * times if isinstance(value, tuple) else torch.cat([value] * times)


def context_of(contexts: Sequence[Tensor], tokens: int) -> tuple[Tensor, Tensor | None]:
    """``contexts``, each (its tokens, width), as (rows, tokens, width), and their mask."""
    if all(len(context) == tokens for context in contexts):
        return torch.stack(tuple(contexts)), None
    padded = torch.stack([pad(context, (0, 0, 0, tokens - len(context))) for context in contexts])
    position = torch.arange(tokens, device=padded.device)
    return padded, torch.stack([position < len(context) for context in contexts])

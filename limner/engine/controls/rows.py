"""What controls add to a UNet's rows, of which each has controls of its own, or none.

Rows that follow the same net are computed together; what it makes of them is multiplied with each
row's own weights and added to zeros, in an order that the company of a row does not change.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from limner.engine.controls.nets import Hint, Net, Rows


@dataclass(frozen=True, eq=False)
class Use:
    """A control of one picture: what the net made of its map, and its weight for each place."""

    net: Net
    hint: Hint
    weights: tuple[float, ...]


Uses = tuple[Use, ...]
"""The controls of one row; what they add adds up."""

Run = tuple[slice, slice]  # rows that follow each other, and the uses that are theirs


def additions(of_rows: Sequence[Uses], rows: Rows) -> dict[str, Any]:
    """What the UNet is called with beside ``rows``; each has the uses at its place."""
    sums: dict[str, list[Tensor]] = {}
    for net, numbers, uses in _by_net(of_rows):
        runs = list(_runs(numbers, uses))
        made = _made(net, _picked(rows, runs), [use.hint for use in uses])
        totals = sums.setdefault(net.kind, [_zeros(each, len(of_rows)) for each in made])
        for place, total in enumerate(totals):
            for theirs, mine in runs:
                # Not in one operator, which rounds otherwise at the end of a tensor.
                total[theirs] += made[place][mine] * uses[mine.start].weights[place]
    return _arguments(sums)


def _arguments(sums: dict[str, list[Tensor]]) -> dict[str, Any]:
    """Under the names of diffusers' UNet; ControlNets' last place is its middle."""
    arguments: dict[str, Any] = {}
    if found := sums.get("controlnet"):
        arguments["down_block_additional_residuals"] = tuple(found[:-1])
        arguments["mid_block_additional_residual"] = found[-1]
    if found := sums.get("t2i-adapter"):
        arguments["down_intrablock_additional_residuals"] = found
    return arguments


def _by_net(of_rows: Sequence[Uses]) -> Iterator[tuple[Net, list[int], list[Use]]]:
    """Each net, in the order of their files' SHA-256s, with the rows that follow it."""
    found: dict[str, list[tuple[int, Use]]] = {}
    for number, uses in enumerate(of_rows):
        for use in uses:
            found.setdefault(use.net.sha256, []).append((number, use))
    for _, members in sorted(found.items()):
        numbers, uses_of_net = zip(*members, strict=True)
        yield uses_of_net[0].net, list(numbers), list(uses_of_net)


def _runs(numbers: Sequence[int], uses: Sequence[Use]) -> Iterator[Run]:
    """Rows of equal weights that follow each other, as slices.

    An index, and weights as a tensor, would have to be brought to the device.
    """
    start = 0
    for place in range(1, len(numbers) + 1):
        ends = place == len(numbers) or numbers[place] != numbers[place - 1] + 1
        if ends or uses[place].weights != uses[start].weights:
            yield slice(numbers[start], numbers[place - 1] + 1), slice(start, place)
            start = place


def _picked(rows: Rows, runs: Sequence[Run]) -> Rows:
    def of(tensor: Tensor) -> Tensor:
        return tensor[runs[0][0]] if len(runs) == 1 else torch.cat([tensor[r] for r, _ in runs])

    mask = None if rows.mask is None else of(rows.mask)
    tiling = [axes for run, _ in runs for axes in rows.tiling[run]]
    return Rows(_last(of(rows.y)), of(rows.t), of(rows.context), mask, tiling)


def _made(net: Net, rows: Rows, hints: list[Hint]) -> list[Tensor]:
    """What the net adds, of so many rows at least as it needs: its own, repeated."""
    count, times = len(hints), -(-net.rows_min // len(hints))
    if times > 1:
        mask = None if rows.mask is None else torch.cat([rows.mask] * times)
        y, t, context = (torch.cat([each] * times) for each in (rows.y, rows.t, rows.context))
        tiling = list(rows.tiling) * times
        rows, hints = Rows(_last(y), t, context, mask, tiling), hints * times
    return [each[:count] for each in net.add(rows, hints)]


def _zeros(like: Tensor, rows: int) -> Tensor:
    return _last(like.new_zeros(rows, *like.shape[1:]))


def _last(tensor: Tensor) -> Tensor:
    return tensor.contiguous(memory_format=torch.channels_last)

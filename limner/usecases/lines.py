"""Several orders answered as one: the lines of a style mix's sequence."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from limner.domain.params import Generation
from limner.errors import LimnerError
from limner.usecases.orders import Order, Outcome

if TYPE_CHECKING:
    from limner.store.keys import Key


class Draws(Protocol):
    """The part of ``generate.Generate`` that is needed here."""

    async def run(self, caller: Key, order: Order) -> Outcome:
        """Draw, store and bill."""


def orders(first: Order, generations: Sequence[Generation]) -> list[Order]:
    """An order for each of ``generations``, all else as in ``first``.

    Each has an idempotency key of its own, made from that of ``first``.
    """
    return [
        replace(first, generation=generation, idempotency_key=_key(first.idempotency_key, line))
        for line, generation in enumerate(generations)
    ]


def _key(key: str | None, line: int) -> str | None:
    if key is None or line == 0:
        return key
    return "line-" + hashlib.sha256(f"{line}\n{key}".encode()).hexdigest()


async def run_all(generate: Draws, caller: Key, orders: Sequence[Order]) -> Outcome:
    """Draw all orders at once; one outcome that holds the pictures of all, in order.

    The first error, or a cancellation, stops the rest; what was not drawn is not billed. The error
    is raised unless some orders were drawn before it: these are the outcome, and it says so.
    """
    tasks = [asyncio.create_task(generate.run(caller, order)) for order in orders]
    try:
        return merged(await asyncio.gather(*tasks))
    except LimnerError as error:
        await _stop(tasks)
        if not (drawn := [task.result() for task in tasks if _succeeded(task)]):
            raise
        told = f"{len(drawn)} of {len(orders)} lines were drawn, and only these are billed: {error}"
        outcome = merged(drawn)
        return replace(outcome, adjustments=(*outcome.adjustments, told))
    finally:
        await _stop(tasks)


async def _stop(tasks: Sequence[asyncio.Task[Outcome]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _succeeded(task: asyncio.Task[Outcome]) -> bool:
    return not task.cancelled() and task.exception() is None


def merged(outcomes: Sequence[Outcome]) -> Outcome:
    """One outcome of several; its pictures are numbered anew."""
    pictures = [picture for outcome in outcomes for picture in outcome.pictures]
    told = [note for outcome in outcomes for note in outcome.adjustments]
    return Outcome(
        request_id=outcomes[0].request_id,
        pictures=tuple(replace(picture, index=i) for i, picture in enumerate(pictures)),
        cost_micro=sum(outcome.cost_micro for outcome in outcomes),
        remaining_micro=min(outcome.remaining_micro for outcome in outcomes),
        infer_seconds=max(outcome.infer_seconds for outcome in outcomes),
        adjustments=tuple(dict.fromkeys(told)),
        replayed=all(outcome.replayed for outcome in outcomes),
    )

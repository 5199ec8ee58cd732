"""Drawing for a caller, the same on every surface: headers, and a client that left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from starlette.requests import Request

from limner.domain.pricing import as_text
from limner.errors import Aborted, InsufficientCredits, LimnerError
from limner.settings import Settings
from limner.usecases import lines
from limner.usecases.orders import Order, Outcome
from limner.web.services import Services
from limner.web.streams import Streams

T = TypeVar("T")


@dataclass(frozen=True)
class Desk:
    """What the handlers of all surfaces share."""

    settings: Settings
    services: Services
    streams: Streams = field(default_factory=Streams)

    async def draw(self, request: Request, order: Order) -> Outcome:
        """Run ``order`` for the request's caller; stops the work when the client leaves."""
        run = self.services.generate.run(request.state.caller, _named(request, order))
        return name_outcome(request, await unless_gone(request, run))

    async def draw_lines(self, request: Request, orders: Sequence[Order]) -> Outcome:
        """Run several orders as one; nothing begins unless the balance pays for all."""
        if len(orders) == 1:
            return await self.draw(request, orders[0])
        caller, generate = request.state.caller, self.services.generate
        quotes = [await generate.quote(order.generation) for order in orders]
        price_micro = sum(quote.total_micro for quote in quotes)
        available_micro = (await self.services.accounts.standing(caller)).available_micro
        if price_micro > available_micro:
            raise InsufficientCredits(
                f"Insufficient credits: the {len(orders)} lines cost {as_text(price_micro)}, the "
                f"balance is {as_text(available_micro)}",
                available_micro=available_micro,
                price_micro=price_micro,
            )
        orders = [_named(request, orders[0]), *orders[1:]]
        run = lines.run_all(generate, caller, orders)
        return name_outcome(request, await unless_gone(request, run))

    @asynccontextmanager
    async def account(self, request: Request) -> AsyncIterator[None]:
        """Put balance and what is left of the key's minute on whatever will be answered.

        A refusal says that it cost nothing.
        """
        headers = request.state.headers
        try:
            yield
        except LimnerError:
            headers["x-cost"] = as_text(0)
            raise
        finally:
            standing = await self.services.accounts.standing(request.state.caller)
            headers |= {
                "x-remaining-credits": as_text(standing.available_micro),
                "x-rate-limit-remaining": str(standing.requests_left),
                "x-rate-limit-reset-at-utc": standing.reset_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            }


def _named(request: Request, order: Order) -> Order:
    """``order``; the id under which it is stored is the answer's, also where it fails."""

    def name(request_id: str) -> None:
        request.state.headers["x-request-id"] = request_id

    return replace(order, on_stored=name)


def name_outcome(request: Request, outcome: Outcome) -> Outcome:
    """``outcome``, with its id and cost in the answer's headers."""
    request.state.headers |= {
        "x-request-id": outcome.request_id,
        "x-cost": as_text(outcome.cost_micro),
    }
    return outcome


async def unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The result of ``work``; cancelled, and ``Aborted`` raised, when the client disconnects."""
    task, gone = asyncio.create_task(work), asyncio.create_task(_gone(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise Aborted("The client left before its picture was finished")
    finally:
        for each in (task, gone):
            each.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass

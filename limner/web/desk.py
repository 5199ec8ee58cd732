"""Drawing for a caller, the same on every surface: headers, and a client that left."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from starlette.requests import Request

from limner.domain.pricing import as_text
from limner.errors import Aborted, InsufficientCredits
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
        run = self.services.generate.run(request.state.caller, order)
        outcome: Outcome = await unless_gone(request, run)
        request.state.headers["x-request-id"] = outcome.request_id
        return outcome

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
        outcome = await unless_gone(request, lines.run_all(generate, caller, orders))
        request.state.headers["x-request-id"] = outcome.request_id
        return outcome

    async def show_standing(self, request: Request) -> None:
        """Put balance and what is left of the key's minute on whatever will be answered."""
        standing = await self.services.accounts.standing(request.state.caller)
        request.state.headers.update(
            {
                "x-remaining-credits": as_text(standing.available_micro),
                "x-rate-limit-remaining": str(standing.requests_left),
                "x-rate-limit-reset-at-utc": standing.reset_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            }
        )


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

"""Drawing for a caller, the same on every surface: headers, and a client that left."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from starlette.requests import Request

from limner.domain.pricing import as_text
from limner.errors import Aborted
from limner.settings import Settings
from limner.usecases.orders import Order, Outcome
from limner.web.services import Services

T = TypeVar("T")


@dataclass(frozen=True)
class Desk:
    """What the handlers of all surfaces share."""

    settings: Settings
    services: Services

    async def draw(self, request: Request, order: Order) -> Outcome:
        """Run ``order`` for the request's caller; stops the work when the client leaves."""
        run = self.services.generate.run(request.state.caller, order)
        outcome: Outcome = await unless_gone(request, run)
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

"""Drawing for a caller, the same on every surface: headers, and a client that left."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from starlette.requests import Request

from limner import imaging, pools
from limner.domain.params import Generation
from limner.domain.pricing import as_text
from limner.errors import Aborted
from limner.settings import Settings
from limner.usecases.drawing import adapters, permits
from limner.usecases.drawing.orders import Order, Outcome
from limner.usecases.queueing.queue import Status
from limner.web.reading import naming
from limner.web.reading.intake import Intake
from limner.web.services import Services
from limner.web.standings import tell
from limner.web.streams import Streams

T = TypeVar("T")
Make = Callable[[], Awaitable[Order]]


@dataclass(frozen=True)
class Api:
    """What the handlers of all surfaces share."""

    settings: Settings
    services: Services
    streams: Streams = field(default_factory=Streams)

    def intake(self, request: Request, *, waits: bool = True) -> Intake:
        """How the pictures of a request come in; ``waits``: its caller waits for the drawing."""
        caller, services, price_micro = request.state.caller, self.services, 0

        async def afford(lines: Sequence[Generation]) -> None:
            nonlocal price_micro  # of all that this request has asked for so far
            price_micro = await services.generate.afford(caller, lines, price_micro, waits=waits)

        async def find_control(kind: str) -> str:
            def found() -> str:
                those = permits.among(services.models.entries(), caller.adapters)
                kept = bool(caller.adapters)
                whose = "what this key may draw with" if kept else "this server's library"
                return adapters.of_kind(those, kind, whose)

            return await pools.MODELS.run(found)

        return Intake(
            self.settings,
            caller.id,
            services.decoder,
            services.budget,
            afford,
            services.generate.choose,
            find_control,
            services.preprocessing,
        )

    async def sprite_pixels(self, record: Mapping[str, Any]) -> int | None:
        """Size of a sprite's pixel in the picture of a receipt; None where it has no sprites."""
        painter = await self.services.generate.recognize(record)
        return None if painter is None else painter.card.sprite_pixels

    async def draw(self, request: Request, digest: str, make: Make) -> Outcome:
        """Draw the order that ``make`` makes for the request's caller, unless it is drawn already.

        ``digest`` is of the body as it was sent. What its idempotency key has drawn is found
        before ``make`` is called, and so before anything is left to chance. Stops the work when
        the client leaves.
        """
        return name_outcome(request, await unless_gone(request, self._run(request, digest, make)))

    async def _run(self, request: Request, digest: str, make: Make) -> Outcome:
        caller, generate = request.state.caller, self.services.generate
        key = request.headers.get("idempotency-key")
        if key is not None:
            found = await generate.recall(caller, key, digest)
            if found is not None:
                return found
        order = replace(await make(), idempotency_key=key, body_sha256=digest)
        request.state.room.keep(0)  # its pictures are read, and what they came as is let go
        with naming.named(naming.of_surface(order.surface)):
            return await generate.run(caller, _named(request, order))

    async def submit(self, request: Request, digest: str, makes: Sequence[Make]) -> list[Status]:
        """Queue the order of each of ``makes``, all or none; as ``draw``, drawn ones are found."""
        caller, queue = request.state.caller, self.services.queue
        keys = _keys_of_parts(request.headers.get("idempotency-key"), len(makes))
        found = await queue.recall(caller, keys, digest)

        async def make_all() -> list[Order]:
            return [
                replace(await make(), idempotency_key=key, body_sha256=digest)
                for make, key, status in zip(makes, keys, found, strict=True)
                if status is None
            ]

        orders = await unless_gone(request, make_all())
        with naming.named(naming.WIRE):
            accepted = iter(await queue.submit_all(caller, orders))
        return [next(accepted) if status is None else status for status in found]

    async def maps(self, request: Request, outcome: Outcome) -> list[str]:
        """What the controls of an outcome followed, each as base64 of a PNG."""
        gallery, caller = self.services.gallery, request.state.caller
        names = [control.map_sha256 for control in outcome.lines[0].controls]
        found = [await gallery.source(caller, name) for name in names]
        files = [await pools.FILES.run(imaging.to_png, pixels) for pixels in found]
        return [base64.b64encode(file).decode() for file in files]

    @asynccontextmanager
    async def account(self, request: Request) -> AsyncIterator[None]:
        """Put balance and minute on what will be answered; on errors ``Standings`` does it."""
        yield
        await tell(request.state.headers, self.services.accounts, request.state.caller)


def _keys_of_parts(key: str | None, number: int) -> list[str | None]:
    """An idempotency key for each part of a submission; the first has the caller's own."""
    if key is None:
        return [None] * number
    digests = (hashlib.sha256(f"{part}\n{key}".encode()).hexdigest() for part in range(1, number))
    return [key, *(f"part-{digest}" for digest in digests)]


def _named(request: Request, order: Order) -> Order:
    """``order``; the id under which it is stored is the answer's, also where it fails."""

    def name(request_id: str) -> None:
        request.state.headers["x-request-id"] = request_id

    return replace(order, on_stored=name)


def name_outcome(request: Request, outcome: Outcome) -> Outcome:
    """``outcome``, with its id and cost in the answer's headers."""
    request.state.headers |= {
        "x-request-id": outcome.request_id,
        "x-cost": as_text(outcome.taken_micro),
    }
    if outcome.replayed:
        request.state.headers["x-replayed"] = "true"
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
        del task, gone  # an error knows this frame: pictures would stay until the next collection


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass

"""One engine on one device, as Ray Serve keeps it: tickets in, events out. Knows no database."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from dataclasses import replace

from limner.engine.batching.client import EngineStatus, LastingClient
from limner.engine.batching.ticket import End, Event, Pixels, Progress, Reader, Ticket
from limner.errors import EngineBroken, LimnerError

TOLD_S = 0.1  # progress is told no more often; an end at once
STUCK_S = 120.0
Told = LimnerError | list[Event]


Make = Callable[[Reader], LastingClient]


class Replica:
    """Draws what callers elsewhere send. ``make`` gives the engine, which is waited for.

    Raises what keeps the engine from loading.
    """

    def __init__(self, make: Make) -> None:
        self._given: dict[str, Mapping[str, Pixels]] = {}
        self._engine = make(self._read)
        self._last = (-1, time.monotonic())
        while not self._engine.status().ready:
            if self._engine.failure is not None:
                raise self._engine.failure
            time.sleep(0.05)

    async def draw(
        self, _route: str, ticket: Ticket, pixels: Mapping[str, Pixels]
    ) -> AsyncIterator[Told]:
        """A refusal and nothing more, or an empty list and then events, the ends among them.

        Whoever stops to listen stops the drawing before its next step.
        """
        loop, events = asyncio.get_running_loop(), asyncio.Queue[Event]()

        def sink(event: Event) -> None:
            loop.call_soon_threadsafe(events.put_nowait, event)

        try:
            await asyncio.to_thread(self._submit, ticket, pixels, sink)
        except LimnerError as error:
            yield error
            return
        missing = ticket.generation.samples
        try:
            yield []
            while missing:
                told = await _gathered(events)
                missing -= sum(isinstance(event, End) for event in told)
                yield told
        finally:
            if missing:
                self._engine.abort(ticket.id)

    def expect_model(self, model: str, vae: str) -> LimnerError | None:
        """Why no ticket may name these; None if one may."""
        return _refusal(lambda: self._engine.expect_model(model, vae))

    def check(self, ticket: Ticket) -> LimnerError | None:
        """Why a ticket cannot be drawn; None if it can."""
        return _refusal(lambda: self._engine.check(ticket))

    def watch(self, request_id: str) -> None:
        """Have previews made, if it is drawn here."""
        self._engine.watch(request_id)

    def status(self) -> EngineStatus:
        """The engine's last snapshot."""
        return self._engine.status()

    def check_health(self) -> None:
        """Raises ``EngineBroken`` when the engine has ended, or no step for ``STUCK_S``.

        Then Ray Serve puts another replica in the place of this one. Nothing is asked of the
        device, since that may be what hangs.
        """
        if self._engine.failure is not None:
            raise EngineBroken(str(self._engine.failure))
        status, moment = self._engine.status(), time.monotonic()
        if status.stats.steps != self._last[0] or not status.running:
            self._last = (status.stats.steps, moment)
        elif moment - self._last[1] > STUCK_S:
            raise EngineBroken(f"No step has ended for {STUCK_S:g} s.")

    def _submit(
        self, ticket: Ticket, pixels: Mapping[str, Pixels], sink: Callable[[Event], None]
    ) -> None:
        key = f"{ticket.id}/{ticket.first}"
        self._given[key] = pixels
        try:
            self._engine.submit(replace(ticket, sources=key), sink)
        finally:
            del self._given[key]

    def _read(self, reference: str, names: Collection[str]) -> Mapping[str, Pixels]:
        return {name: self._given[reference][name] for name in names}


async def _gathered(events: asyncio.Queue[Event]) -> list[Event]:
    """What has been told by the next end, or in ``TOLD_S``; of progress only the last."""
    told = [await events.get()]
    until = time.monotonic() + TOLD_S
    while not isinstance(told[-1], End):
        try:
            told.append(await asyncio.wait_for(events.get(), max(0.0, until - time.monotonic())))
        except TimeoutError:
            break
    last = {event.index: event for event in told if isinstance(event, Progress)}
    return [
        event for event in told if not isinstance(event, Progress) or last[event.index] is event
    ]


def _refusal(ask: Callable[[], None]) -> LimnerError | None:
    try:
        ask()
    except LimnerError as error:
        return error
    return None

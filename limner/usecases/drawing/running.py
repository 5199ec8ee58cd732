"""A request that this process draws at this moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from limner.domain.params import Generation
from limner.engine.batching.ticket import End, Event, Progress, Sink, Ticket
from limner.errors import Aborted
from limner.store.jobs import Job
from limner.usecases.drawing.choosing import Chosen
from limner.usecases.drawing.orders import Outcome
from limner.usecases.drawing.pictures import Written

# Progress beyond this many unread events is dropped; pictures never are.
UNREAD_EVENTS_MAX = 64


@dataclass(frozen=True)
class Stop:
    """Put among the events to end a drawing early."""

    error: Exception


@dataclass(eq=False)
class Running:
    """A request that this process is drawing; ``listeners`` get its events on the event loop.

    Each of its ``lines`` is a ticket to the engine; the pictures are numbered over all of them.
    ``watched``: somebody wants previews.
    """

    job: Job
    lease_id: str
    lines: tuple[Generation, ...]
    outcome: asyncio.Future[Outcome] = field(default_factory=lambda: _outcome())
    listeners: list[Callable[[Event], None]] = field(default_factory=list)
    events: asyncio.Queue[Event | Stop] = field(default_factory=asyncio.Queue)
    written: list[asyncio.Future[Written]] = field(default_factory=list)
    submitted: asyncio.Event = field(default_factory=asyncio.Event)
    watched: bool = False

    def picture(self, index: int) -> tuple[Generation, int]:
        """What draws picture ``index`` and no other, and its price in micro-credits."""
        for line, priced in zip(self.lines, self.job.lines, strict=True):
            if index < line.samples:
                return line.alone(index), priced.each_micro
            index -= line.samples
        raise IndexError(index)

    async def ends(self) -> AsyncIterator[End]:
        """The end of each picture, as it comes; listeners hear of all that happens.

        Raises what ``stop`` was given.
        """
        missing = self.job.samples
        while missing:
            event = await self.events.get()
            if isinstance(event, Stop):
                raise event.error
            for listener in self.listeners:
                listener(event)
            if isinstance(event, End):
                missing -= 1
                yield event

    def stop(self, error: Exception) -> None:
        """Draw no further; the drawing ends with ``error``. On the event loop only."""
        self.events.put_nowait(Stop(error))


def _outcome() -> asyncio.Future[Outcome]:
    future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
    future.add_done_callback(retrieve)
    return future


def retrieve(future: asyncio.Future[Any]) -> None:
    """Let what nobody waits for any more have failed without complaint."""
    if not future.cancelled():
        future.exception()


def lines_of(job: Job) -> tuple[Generation, ...]:
    """What a stored request draws."""
    return tuple(Generation.model_validate(line.generation) for line in job.lines)


def tickets(running: Running, sources: str | None, choice: Chosen) -> Iterator[Ticket]:
    """A ticket for each line, all under one id, so that an abort stops them all."""
    named = (choice.model, choice.vae)
    job, first = running.job, 0
    for line in running.lines:
        yield Ticket(job.id, line, job.key_id, first, sources, running.watched, *named)
        first += line.samples


def sink_of(running: Running) -> Sink:
    """Where the events of all lines go; to be made on the event loop."""
    loop, events = asyncio.get_running_loop(), running.events

    def receive(event: Event) -> None:
        if not (isinstance(event, Progress) and events.qsize() >= UNREAD_EVENTS_MAX):
            events.put_nowait(event)

    def sink(event: Event) -> None:
        # A loop that is closed has nobody left to tell.
        if not loop.is_closed():
            loop.call_soon_threadsafe(receive, event)

    return sink


class Serving:
    """Ties a caller who may leave to a drawing that may not have begun."""

    def __init__(self) -> None:
        self._running: Running | None = None
        self._left = False

    def join(self, running: Running) -> None:
        self._running = running
        if self._left:
            self.leave()

    def leave(self) -> None:
        self._left = True
        if self._running is not None:
            self._running.stop(Aborted("The client went away before its picture was finished"))

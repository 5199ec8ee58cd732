"""A request that this process draws at this moment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from limner.domain.params import Generation
from limner.engine.batching.request import Event, Pixels, Progress, Request, Sink
from limner.store.jobs import Job
from limner.usecases.drawing.orders import Outcome
from limner.usecases.drawing.pictures import Print

# Progress beyond this many unread events is dropped; pictures never are.
UNREAD_EVENTS_MAX = 64


@dataclass(frozen=True)
class Stop:
    """Put among the events to end a drawing early."""

    error: Exception


@dataclass(eq=False)
class Running:
    """A request that this process is drawing; ``listeners`` get its events on the event loop.

    Each of its ``lines`` is a request to the engine; the pictures are numbered over all of them.
    """

    job: Job
    lease_id: str
    lines: tuple[Generation, ...]
    pixels: Mapping[str, Pixels]
    outcome: asyncio.Future[Outcome]
    listeners: list[Callable[[Event], None]] = field(default_factory=list)
    events: asyncio.Queue[Event | Stop] = field(default_factory=asyncio.Queue)
    requests: list[Request] = field(default_factory=list)
    prints: list[asyncio.Future[Print]] = field(default_factory=list)
    submitted: asyncio.Event = field(default_factory=asyncio.Event)
    watched: bool = False

    def listen(self, listener: Callable[[Event], None] | None) -> None:
        """Call ``listener`` with each event from now on; somebody watches, so previews are made."""
        if listener is not None:
            self.listeners.append(listener)
            self.watch()

    def watch(self) -> None:
        """Have previews made."""
        self.watched = True
        for request in self.requests:
            request.watched.set()

    def picture(self, index: int) -> tuple[Generation, int]:
        """What draws picture ``index`` and no other, and its price in micro-credits."""
        for line, priced in zip(self.lines, self.job.lines, strict=True):
            if index < line.samples:
                return line.alone(index), priced.each_micro
            index -= line.samples
        raise IndexError(index)

    def stop(self, error: Exception) -> None:
        """Draw no further; the drawing ends with ``error``. On the event loop only."""
        self.events.put_nowait(Stop(error))


def lines_of(job: Job) -> tuple[Generation, ...]:
    """What a stored request draws."""
    return tuple(Generation.model_validate(line.generation) for line in job.lines)


def to_engine(running: Running) -> list[Request]:
    """A request to the engine for each line, all under one id, so that an abort stops them all."""
    job, first = running.job, 0
    for line in running.lines:
        request = Request(job.id, line, job.key_id, _sink(running, first), running.pixels)
        running.requests.append(request)
        first += line.samples
    if running.watched:
        running.watch()
    return running.requests


def _sink(running: Running, first: int) -> Sink:
    """Where a line's events go; its first picture is picture ``first`` of the request."""
    loop, events = asyncio.get_running_loop(), running.events

    def receive(event: Event) -> None:
        if not (isinstance(event, Progress) and events.qsize() >= UNREAD_EVENTS_MAX):
            events.put_nowait(event)

    def sink(event: Event) -> None:
        # A loop that is closed has nobody left to tell.
        if not loop.is_closed():
            loop.call_soon_threadsafe(receive, replace(event, index=first + event.index))

    return sink

"""A request that this process draws at this moment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from limner.domain.params import Generation
from limner.engine.request import Event, Pixels, Request
from limner.store.jobs import Job
from limner.usecases.darkroom import Print
from limner.usecases.orders import Outcome


@dataclass(frozen=True)
class Stop:
    """Put among the events to end a drawing early."""

    error: Exception


@dataclass(eq=False)
class Running:
    """A request that this process is drawing; ``listeners`` get its events on the event loop."""

    job: Job
    lease_id: str
    generation: Generation
    pixels: Mapping[str, Pixels]
    outcome: asyncio.Future[Outcome]
    listeners: list[Callable[[Event], None]] = field(default_factory=list)
    events: asyncio.Queue[Event | Stop] = field(default_factory=asyncio.Queue)
    request: Request | None = None
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
        if self.request is not None:
            self.request.watched.set()

    def stop(self, error: Exception) -> None:
        """Draw no further; the drawing ends with ``error``. On the event loop only."""
        self.events.put_nowait(Stop(error))

"""A ticket on its way through replicas, of which any may go at any moment."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from limner.engine.batching.faults import FAULT
from limner.engine.batching.ticket import (
    End,
    Event,
    Failed,
    Lost,
    Pixels,
    Progress,
    Sink,
    Started,
    Ticket,
)
from limner.errors import Aborted, EngineBroken, EngineFault, LimnerError, Unavailable

log = logging.getLogger(__name__)

TRIES = 4  # a picture that was drawn by so many replicas when they died is suspected
PAUSE_S = 1.0
CANCELLED = "The request was cancelled."
STOPPED = "The replica stopped before the picture was finished."


class Replicas(Protocol):
    """How replicas are spoken to; ``EngineBroken`` for one that is gone."""

    def draw(
        self, ticket: Ticket, pixels: Mapping[str, Pixels]
    ) -> AsyncIterator[LimnerError | list[Event]]:
        """``Replica.draw`` of the one that suits best; waits while there is none."""

    async def ask(self, name: str, *arguments: Any) -> Any:
        """What one replica answers."""

    async def tell(self, name: str, *arguments: Any) -> list[Any]:
        """What those answer that can."""


@dataclass(eq=False)
class Drawing:
    """Draws what is ``missing``, with another replica where one is lost.

    ``accepted`` is set once a replica has taken it, or refused it: then nothing is told to the
    sink. ``told`` is called before the sink is, with what is told.
    """

    ticket: Ticket
    pixels: Mapping[str, Pixels]
    sink: Sink
    told: Callable[[Drawing, Event], None]
    accepted: Future[None] = field(default_factory=Future)
    missing: set[int] = field(default_factory=set)
    refused: bool = False

    def __post_init__(self) -> None:
        self.missing = {self.ticket.first + i for i in range(self.ticket.generation.samples)}

    async def run(self, replicas: Replicas) -> None:
        """Until every image has ended. To cancel it is to abort the ticket."""
        try:
            await self._try(replicas)
        except asyncio.CancelledError:
            self.cancelled()
        except LimnerError as error:
            told = error  # of the sentence, not of the exception's name, which goes
            self.refuse(error)
            self._end(lambda index: Failed(index, told))
        except Exception:
            log.exception("a drawing failed on its way through replicas")
            self._accept()
            self._end(lambda index: Failed(index, EngineFault(FAULT)))

    def cancelled(self) -> None:
        """It was aborted, perhaps before it began."""
        self._accept()
        self._end(lambda index: Failed(index, Aborted(CANCELLED)))

    async def _try(self, replicas: Replicas) -> None:
        reason = ""
        for attempt in range(TRIES):
            if attempt:
                await asyncio.sleep(PAUSE_S)
            ways = [self._follow(replicas, ticket) for ticket in self._rest()]
            failures = [
                each for each in await asyncio.gather(*ways, return_exceptions=True) if each
            ]
            if not failures:
                return
            for failure in failures:
                if not self._again(failure):
                    raise failure
            reason = str(failures[0])
            log.warning("a replica was lost; its pictures are drawn by another: %s", reason)
        self._accept()
        self._end(lambda index: Lost(index, reason, suspect=True))

    def _again(self, failure: BaseException) -> bool:
        """Whether another replica may do better; a first one's refusal is the caller's."""
        broken = isinstance(failure, EngineBroken)
        return broken or (self.accepted.done() and isinstance(failure, Unavailable))

    def _rest(self) -> Iterator[Ticket]:
        """Tickets that draw what is missing."""
        whole, first = self.ticket, self.ticket.first
        if len(self.missing) == whole.generation.samples:
            yield whole
            return
        for index in sorted(self.missing):
            alone = whole.generation.alone(index - first)
            yield replace(whole, generation=alone, first=index)

    async def _follow(self, replicas: Replicas, ticket: Ticket) -> None:
        async for told in replicas.draw(ticket, self.pixels):
            if isinstance(told, LimnerError):
                raise told
            self._accept()
            for event in told:
                self._tell(event)

    def _tell(self, event: Event) -> None:
        """A replica that stops says so in its own way; then another draws the picture."""
        if event.index not in self.missing:
            return
        if isinstance(event, Lost):
            raise EngineBroken(event.reason)
        if isinstance(event, Failed) and isinstance(event.error, Aborted):
            raise EngineBroken(STOPPED)
        if isinstance(event, End):
            self.missing.discard(event.index)
        self.told(self, event)
        self._hand(event)

    def _hand(self, event: Event) -> None:
        try:
            self.sink(event)
        except Exception:
            log.exception("nobody took %s of %s", type(event).__name__, self.ticket.id)

    def _accept(self) -> None:
        if not self.accepted.done():
            self.accepted.set_result(None)

    def lose(self, error: EngineBroken) -> None:
        """Nobody is left to draw it."""
        self.refuse(error)
        self._end(lambda index: Lost(index, str(error)))

    def refuse(self, error: LimnerError) -> None:
        """Before anything was drawn: the one who submits hears it, and the sink does not."""
        if not self.accepted.done():
            self.refused = True
            self.accepted.set_exception(error)

    def _end(self, end: Callable[[int], End]) -> None:
        for index in sorted(self.missing):
            self.missing.discard(index)
            event = end(index)
            self.told(self, event)
            if not self.refused:
                self._hand(event)


def moves(event: Event) -> bool:
    """Whether it says that an image is being drawn."""
    return isinstance(event, Started | Progress)

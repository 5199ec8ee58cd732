"""What this process tells about the requests it draws, kept for those who come later.

Of an image's progress only the latest note is kept: a follower who lost the connection wants to
know where it stands, and memory stays small.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any

from limner.engine.batching.ticket import Drawn, Event, Failed, Lost, Pixels, Progress

LOGS_MAX = 512


@dataclass(frozen=True)
class Note:
    """One thing that happened to a request.

    ``name``: ``queued``, ``started``, ``progress``, ``drawn``, ``lost`` (one image), and last
    ``completed``, ``failed`` or ``cancelled``. ``number`` grows with time, also from process to
    process; 0 marks a note that is not repeated. ``data`` is plain JSON; ``preview`` is RGB
    uint8 (h, w, 3).
    """

    number: int
    name: str
    data: dict[str, Any]
    preview: Pixels | None = field(default=None, repr=False)


class EventLog:
    """The notes of one request, and a bell for those who wait for the next."""

    def __init__(self, after: int = 0) -> None:
        self.closed = False
        self.last = after
        self._notes: dict[tuple[str, int], Note] = {}
        self._bell = asyncio.Event()

    def tell(self, event: Event) -> None:
        """Note an engine event."""
        # Milliseconds: a process that takes over after another counts on from there.
        self.last = max(self.last + 1, int(time.time() * 1000))
        name, data, preview = _told(event)
        self._notes[name, event.index] = Note(self.last, name, data, preview)
        self._ring()

    def close(self) -> None:
        """Nothing more will come."""
        self.closed = True
        self._notes = {key: replace(note, preview=None) for key, note in self._notes.items()}
        self._ring()

    async def after(self, number: int) -> AsyncIterator[Note]:
        """Kept notes beyond ``number``, then new ones until the log is closed."""
        while True:
            bell, closed = self._bell, self.closed
            for note in self.kept():
                if note.number > number:
                    number = note.number
                    yield note
            if closed:
                return
            await bell.wait()

    def kept(self) -> list[Note]:
        """What is kept, oldest first."""
        return sorted(self._notes.values(), key=lambda note: note.number)

    def _ring(self) -> None:
        bell, self._bell = self._bell, asyncio.Event()
        bell.set()


class EventLogs:
    """The logs of the requests this process draws or has lately drawn."""

    def __init__(self) -> None:
        self._logs: OrderedDict[str, EventLog] = OrderedDict()

    def open(self, request_id: str) -> EventLog:
        """A new log, in place of the one of an earlier try."""
        former = self._logs.pop(request_id, None)
        log = self._logs[request_id] = EventLog(former.last if former else 0)
        while len(self._logs) > LOGS_MAX:
            self._logs.popitem(last=False)
        return log

    def get(self, request_id: str) -> EventLog | None:
        """The log of a request, if this process drew it."""
        return self._logs.get(request_id)


def _told(event: Event) -> tuple[str, dict[str, Any], Pixels | None]:
    data: dict[str, Any] = {"index": event.index}
    if isinstance(event, Progress):
        data |= {"step": event.step, "evaluation": event.evaluation}
        return "progress", data | {"evaluations": event.evaluations}, event.preview
    if isinstance(event, Drawn):
        return "drawn", data | {"seed": event.facts.seed}, None
    if isinstance(event, Failed):
        return "lost", data | {"error": str(event.error)}, None
    if isinstance(event, Lost):
        return "lost", data | {"error": event.reason}, None
    return "started", data, None

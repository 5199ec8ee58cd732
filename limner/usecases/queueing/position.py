"""The line before the engine, as of a moment ago: who stands where, and how fast it moves.

Clients ask for their position every second, many at once. Positions are estimates anyway, so
one look at the database serves them all for as long.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterable
from dataclasses import dataclass
from operator import itemgetter

from sqlalchemy import Connection

from limner.store import jobs
from limner.store.jobs import Job
from limner.store.sql import now

FRESH_S = 1.0
SPEED_WINDOW_S = 600.0


@dataclass(frozen=True)
class _Look:
    """``places``: request id -> (position from 1, micro-credits up to and with this request).

    ``speed`` is in micro-credits a second of drawing, None before anything was measured.
    """

    places: dict[str, tuple[int, int]]
    speed: float | None
    taken_at: float


class Positions:
    """Positions and estimates; safe to ask from several threads."""

    def __init__(self) -> None:
        self._look = _Look({}, None, 0.0)

    def forget(self) -> None:
        """Look anew at the next question: the line has changed."""
        self._look = _Look({}, None, 0.0)

    def estimate(self, conn: Connection, job: Job) -> tuple[int | None, float | None]:
        """A request's position (None unless it is QUEUED), and seconds until it is drawn."""
        if not job.open:
            return None, None
        look = self._look
        missing = job.status == "QUEUED" and job.id not in look.places
        if missing or time.monotonic() - look.taken_at > FRESH_S:
            look = self._look = _look(conn)
        position, micro = look.places.get(job.id, (None, job.price_micro))
        estimate_s = None if look.speed is None else micro / look.speed
        return (position if job.status == "QUEUED" else None), estimate_s


def _look(conn: Connection) -> _Look:
    line = jobs.line(conn)
    sums = itertools.accumulate(price_micro for _, price_micro in line)
    places = {
        request_id: (position, micro)
        for position, ((request_id, _), micro) in enumerate(zip(line, sums, strict=True), 1)
    }
    return _Look(places, speed(jobs.spans(conn, now(conn) - SPEED_WINDOW_S)), time.monotonic())


def speed(spans: Iterable[tuple[int, float, float]]) -> float | None:
    """Micro-credits a second while any of these requests was drawn, each with start and end.

    Rest between them does not count, and time that several share counts once. None where nothing
    was drawn, or the clock was set back meanwhile and the times make no sense.
    """
    micro, seconds, reached = 0, 0.0, -math.inf
    for each_micro, start, end in sorted(spans, key=itemgetter(1)):
        micro += each_micro
        seconds += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return micro / seconds if micro and seconds else None

"""What other processes want of the requests that this one draws: their end, or to follow them.

Asked for once a second. Progress and previews are written into the database only for requests
that somebody follows elsewhere, all in one transaction a second (ADR 0035).
"""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Iterable
from typing import Any

import numpy as np
from sqlalchemy import Connection

from limner import imaging
from limner.engine.batching.ticket import Pixels
from limner.errors import Aborted
from limner.store import followed, jobs
from limner.usecases.drawing.events import Note
from limner.usecases.drawing.worker import Worker

log = logging.getLogger(__name__)

PERIOD_S = 1.0
PREVIEW_SIDE_MAX = 64


class Telling:
    """Stops what was cancelled elsewhere and tells of what is followed there."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._last: dict[str, int] = {}  # request id -> number of the last note told

    async def watch(self) -> None:
        """Look each second, for as long as the process lives."""
        while True:
            await asyncio.sleep(PERIOD_S)
            try:
                await self.look()
            except Exception:
                log.exception("what other processes want could not be read or told")

    async def look(self) -> None:
        """Stop and tell once."""
        running = self._worker.running
        if not running:
            self._last.clear()
            return
        cancelled, asked = await self._worker.read(_wanted, list(running))
        for request_id in cancelled & running.keys():
            running[request_id].stop(Aborted(f"Request {request_id} was cancelled"))
        news = self._news(asked & running.keys())
        if news:
            await self._worker.write(followed.tell, news)

    def _news(self, asked: set[str]) -> dict[str, Any]:
        """What of these requests has not been told yet; has previews made from now on."""
        self._last = {id: last for id, last in self._last.items() if id in asked}
        news: dict[str, Any] = {}
        for request_id in asked:
            self._worker.watch(request_id)
            notes = self._worker.logs.get(request_id)
            if notes is not None and notes.last > self._last.get(request_id, 0):
                self._last[request_id] = notes.last
                news[request_id] = to_json(notes.kept())
        return news


def to_json(notes: Iterable[Note]) -> list[dict[str, Any]]:
    """Notes as plain JSON, with the newest preview alone, at most ``PREVIEW_SIDE_MAX`` long."""
    kept = list(notes)
    seen = max((note.number for note in kept if note.preview is not None), default=0)
    return [
        {
            "number": note.number,
            "name": note.name,
            "data": note.data,
            "preview": _packed(note.preview) if note.number == seen else None,
        }
        for note in kept
    ]


def from_json(told: Any, after: int) -> list[Note]:
    """The notes of ``to_json`` beyond the number ``after``, in order."""
    notes = [Note(**{**each, "preview": _unpacked(each["preview"])}) for each in told or ()]
    return [note for note in notes if note.number > after]


def _wanted(conn: Connection, request_ids: list[str]) -> tuple[set[str], set[str]]:
    return jobs.cancelled(conn, request_ids), followed.asked(conn, request_ids)


def _packed(preview: Pixels | None) -> dict[str, Any] | None:
    if preview is None:
        return None
    small = imaging.shrunk(preview, PREVIEW_SIDE_MAX)
    return {"shape": list(small.shape), "rgb": base64.b64encode(small.tobytes()).decode()}


def _unpacked(packed: dict[str, Any] | None) -> Pixels | None:
    if packed is None:
        return None
    pixels = np.frombuffer(base64.b64decode(packed["rgb"]), np.uint8)
    return pixels.reshape(packed["shape"])

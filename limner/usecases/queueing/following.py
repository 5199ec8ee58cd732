"""Follow a request from the queue to its pictures, whichever process draws it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from limner.domain.pricing import as_text
from limner.store import followed
from limner.store.jobs import Job
from limner.store.keys import Key
from limner.usecases.drawing.events import EventLog, Note
from limner.usecases.queueing.queue import Queue, Status
from limner.usecases.queueing.telling import from_json

POLL_S = 1.0
LOOKS = 10


async def follow(queue: Queue, caller: Key, request_id: str, after: int = 0) -> AsyncIterator[Note]:
    """Notes beyond the number ``after`` about a request of the caller's account, to its end.

    Previews are made while it is followed. What another process draws is told of as it stands
    each second. The last note is ``completed``, ``failed`` or ``cancelled``. Raises ``NotFound``.
    """
    worker, told = queue.worker, None
    while True:
        status = await queue.status(caller, request_id)
        log = worker.logs.get(request_id)
        if log is not None and (log.last > after or not log.closed):
            worker.watch(request_id)
            async for note in log.after(after):
                after = note.number
                yield note
            continue
        if not status.job.open:
            yield Note(0, status.job.status.lower(), _ended(status))
            return
        if (waiting := _waiting(status)) != told:
            told = waiting
            yield Note(0, "queued", waiting)
        if status.job.status == "PROCESSING" and request_id not in worker.running:
            for note in await elsewhere(queue, request_id, after):
                after = note.number
                yield note
        await _pause(queue, request_id)


async def elsewhere(queue: Queue, request_id: str, after: int = 0) -> list[Note]:
    """What another process has told of a request beyond a number; asks it to go on telling."""
    due, told = await queue.worker.look(followed.told, request_id)
    if due:
        await queue.worker.write(followed.ask, request_id)
    return from_json(told, after)


async def drawn(queue: Queue, caller: Key, surface: str) -> list[str]:
    """Ids of the key's requests over a surface that any process draws, oldest first."""
    return await queue.worker.look(followed.drawn, caller.id, surface)


async def drawn_elsewhere(queue: Queue, caller: Key, surface: str) -> list[tuple[Job, list[Note]]]:
    """Those of them that other processes draw, and what these have told."""
    found = [id for id in await drawn(queue, caller, surface) if id not in queue.worker.running]
    return [
        ((await queue.status(caller, request_id)).job, await elsewhere(queue, request_id))
        for request_id in found
    ]


async def _pause(queue: Queue, request_id: str) -> None:
    """Until this process begins to draw it, or it is time to ask the database again."""
    for _ in range(LOOKS):
        await asyncio.sleep(POLL_S / LOOKS)
        if _open(queue.worker.logs.get(request_id)):
            return


def _open(log: EventLog | None) -> bool:
    return log is not None and not log.closed


def _waiting(status: Status) -> dict[str, Any]:
    estimate = None if status.estimate_s is None else round(status.estimate_s)
    return {"status": status.job.status, "position": status.position, "estimate_s": estimate}


def _ended(status: Status) -> dict[str, Any]:
    return {
        "status": status.job.status,
        "pictures": [picture.id for picture in status.pictures],
        "cost": as_text(status.job.cost_micro),
        "remaining_credits": as_text(status.remaining_micro),
        "error": status.job.error,
    }

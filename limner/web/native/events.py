"""A request's progress as server-sent events (HTML standard, section 9.2)."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any, cast

from starlette.requests import Request

from limner import imaging, pools
from limner.domain.pricing import as_credits
from limner.engine.batching.ticket import Pixels
from limner.usecases.drawing.events import Note
from limner.usecases.queueing.following import follow as follow_notes
from limner.usecases.queueing.queue import Status
from limner.web.answers import dumps
from limner.web.drawing import Api
from limner.web.stored import picture_json, seconds

KEEP_ALIVE_S = 15.0
RETRY_MS = 1000
_ENDS = frozenset({"completed", "failed", "cancelled"})
_STOPPING = "The server is stopping, and this stream with it; follow the request again in a moment"


async def follow(request: Request, api: Api) -> AsyncIterator[str]:
    """The stream of the request that the path names.

    Raises ``NotFound`` and ``LimitExceeded`` before it begins.
    """
    caller, id = request.state.caller, request.path_params["id"]
    status: Status = await api.services.queue.status(caller, id)
    api.streams.check(caller.id, api.settings.key_max_concurrent)
    last = request.headers.get("last-event-id", "")
    after = int(last[:18]) if last.isascii() and last.isdigit() else 0
    return _counted(request, api, status, after)


async def _counted(
    request: Request, api: Api, status: Status, after: int
) -> AsyncGenerator[str, None]:
    """The stream, counted as open from its first line on."""
    with api.streams.open(request.state.caller.id) as stop:
        async with aclosing(_stream(request, api, stop, status, after)) as texts:
            async for text in texts:
                yield text


async def _stream(
    request: Request, api: Api, stop: asyncio.Event, status: Status, after: int
) -> AsyncGenerator[str, None]:
    """Text of the events, with comments in between so that no proxy thinks it is dead."""
    queue, caller, id = api.services.queue, request.state.caller, status.job.id
    steps = (status.job.generation or {}).get("steps", 0)
    notes = cast(AsyncGenerator[Note, None], follow_notes(queue, caller, id, after))
    yield f"retry: {RETRY_MS}\n\n"
    async with aclosing(_until_stopped(stop, notes)) as coming:
        async for note in coming:
            if note is None:
                yield ": still here\n\n"
            elif note.name in _ENDS:
                for text in _ending(api, await queue.status(caller, id)):
                    yield text
                return
            elif text := await pools.FILES.run(_render, note, steps):
                yield text
    if api.streams.stopping:
        yield _event("stopping", {"error": _STOPPING})


async def _until_stopped(
    stop: asyncio.Event, notes: AsyncGenerator[Note, None]
) -> AsyncGenerator[Note | None, None]:
    """The notes as they come, None when none came for a while; ends with the server."""
    coming: asyncio.Future[Note] | None = None
    stopped = asyncio.ensure_future(stop.wait())
    try:
        while not stop.is_set():
            coming = coming or asyncio.ensure_future(anext(notes))
            either: list[asyncio.Future[Any]] = [coming, stopped]
            await asyncio.wait(either, timeout=KEEP_ALIVE_S, return_when=asyncio.FIRST_COMPLETED)
            if coming.done():
                note, coming = coming.result(), None
                yield note
            elif not stop.is_set():
                yield None
    except StopAsyncIteration:
        return
    finally:
        stopped.cancel()
        if coming is not None:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)
        await notes.aclose()


def _render(note: Note, steps: int) -> str:
    """The event of a note; empty for what is told when the request ends."""
    if note.name == "queued":
        names = ("position", "estimate_s")
        return _event("queued", {name: note.data.get(name) for name in names})
    if note.name == "started":
        return _event("started", {"index": note.data["index"]}, note.number)
    if note.name == "progress":
        told = {**note.data, "steps": steps, "preview": _data_uri(note.preview)}
        return _event("progress", told, note.number)
    return ""


def _ending(api: Api, status: Status) -> list[str]:
    """The stored pictures, and how it ended."""
    job = status.job
    if job.status != "COMPLETED":
        text = job.error or f"Request {job.id} was not drawn"
        return [_event("failed", {"error": text, "status": job.status})]
    told = [
        _event("drawn", {"index": p.index, "picture": picture_json(api.settings, p, job.samples)})
        for p in status.pictures
    ]
    finished = {
        "status": job.status,
        "cost": as_credits(job.cost_micro),
        "remaining": as_credits(status.remaining_micro),
        "infer_time": seconds(job.infer_seconds),
    }
    return [*told, _event("finished", finished)]


def _event(name: str, data: dict[str, Any], number: int = 0) -> str:
    id = f"id: {number}\n" if number else ""
    return f"{id}event: {name}\ndata: {dumps(data)}\n\n"


def _data_uri(preview: Pixels | None) -> str | None:
    if preview is None:
        return None
    return "data:image/png;base64," + base64.b64encode(imaging.to_png(preview)).decode()

"""Long bodies: all of them under one budget, each key's in its turn.

Of what is to be drawn nothing is read for a key that may not draw.

A body is counted from before its first byte is read until its pictures are: what a connection
holds of it while it waits is ``SHORT`` bytes and what the system's buffers take. Shorter bodies
wait for nothing.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from limner.errors import Unavailable
from limner.web.access.auth import scope_of

SHORT = 64 << 10  # what uvicorn reads of a body ahead of the application
WAIT_MAX_S = 10.0
SHARE = 2  # a key that holds some may hold one in so many bytes

Admit = Callable[[Any, str | None], Awaitable[None]]
"""Takes a key and the ``Idempotency-Key``; raises where nothing would be drawn for them."""


class Bodies:
    """At most ``limit`` bytes of bodies at a time, or a single longer one. On one event loop."""

    def __init__(self, limit: int, wait_s: float = WAIT_MAX_S) -> None:
        self.limit, self.held = limit, 0
        self._wait_s = wait_s
        self._of = Counter[str]()
        self._waiting: OrderedDict[str, deque[tuple[int, asyncio.Future[Room]]]] = OrderedDict()

    async def take(self, owner: str, size: int) -> Room:
        """Room for ``size`` bytes, once it is the turn of ``owner``. Raises ``Unavailable``."""
        turn: asyncio.Future[Room] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(owner, deque()).append((size, turn))
        self._admit()
        try:
            async with asyncio.timeout(self._wait_s):
                return await asyncio.shield(turn)
        except TimeoutError as error:
            self._leave(owner, size, turn)
            raise Unavailable(
                f"The server reads {self.held >> 20} of {self.limit >> 20} MiB of bodies, its "
                f"limit, and had no room for this one in {self._wait_s:g} seconds; try again",
                5,
            ) from error
        except asyncio.CancelledError:
            self._leave(owner, size, turn)
            raise

    def give(self, owner: str, size: int) -> None:
        """Take back ``size`` bytes of ``owner``."""
        self.held -= size
        self._of[owner] -= size
        if not self._of[owner]:
            del self._of[owner]
        self._admit()

    def _admit(self) -> None:
        while (owner := self._next()) is not None:
            size, turn = self._waiting[owner].popleft()
            self._waiting.move_to_end(owner)
            self._tidy(owner)
            self.held += size
            self._of[owner] += size
            turn.set_result(Room(self, owner, size))

    def _next(self) -> str | None:
        """Whose turn it is, where there is room for what it wants; nobody overtakes it."""
        for owner, line in self._waiting.items():
            size, _ = line[0]
            if not self._of[owner] or self._of[owner] + size <= self.limit // SHARE:
                return owner if not self.held or self.held + size <= self.limit else None
        return None

    def _leave(self, owner: str, size: int, turn: asyncio.Future[Room]) -> None:
        if turn.done():
            turn.result().keep(0)
            return
        self._waiting[owner].remove((size, turn))
        self._tidy(owner)
        self._admit()

    def _tidy(self, owner: str) -> None:
        if not self._waiting[owner]:
            del self._waiting[owner]


class Room:
    """What one body has of ``Bodies``."""

    def __init__(self, bodies: Bodies, owner: str, size: int) -> None:
        self._bodies, self._owner, self.size = bodies, owner, size

    def keep(self, size: int) -> None:
        """Give back all but ``size`` bytes."""
        given, self.size = max(0, self.size - size), min(self.size, size)
        if given:
            self._bodies.give(self._owner, given)


class LongBodies:
    """ASGI layer inside the authentication: ``scope["state"]["room"]`` is what the call's body has.

    A body longer than ``most`` bytes has none: whoever reads it refuses it.
    """

    def __init__(self, app: ASGIApp, *, bodies: Bodies, most: int, admit: Admit) -> None:
        self.app = app
        self._bodies, self._most, self._admit = bodies, most, admit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        caller = scope.get("state", {}).get("caller")
        if caller is None:
            await self.app(scope, receive, send)
            return
        room = scope["state"]["room"] = await self._room(scope, caller)
        try:
            await self.app(scope, receive, send)
        finally:
            room.keep(0)

    async def _room(self, scope: Scope, caller: Any) -> Room:
        headers = Headers(scope=scope)
        size = _length(headers, self._most)
        if not SHORT < size <= self._most:
            return Room(self._bodies, caller.id, 0)
        if scope_of(scope["method"], getattr(scope["state"]["route"], "path", "")) == "draw":
            await self._admit(caller, headers.get("idempotency-key"))
        return await self._bodies.take(caller.id, size)


def _length(headers: Headers, unknown: int) -> int:
    """Bytes of the body; ``unknown`` where its end is not known before it comes."""
    if "transfer-encoding" in headers:
        return unknown
    declared = headers.get("content-length", "")
    return int(declared[:20]) if declared.isdigit() else 0

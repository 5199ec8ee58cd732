"""Calls that cost nothing, and those that are refused, have a rate of their own for each key.

A drawing that is accepted has its own limits and its price; everything else is counted here. What
a key may ask for and what it may have refused are counted apart, so that questions do not keep a
key from drawing. Not counted is who follows or fetches what was drawn.
"""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from limner import pools
from limner.web.access.auth import ADMIN_PREFIX, scope_of
from limner.web.access.limits import PerMinute

FOLLOWING = "/sdapi/v1/progress"


class FreeCalls:
    """ASGI layer inside the authentication."""

    def __init__(self, app: ASGIApp, *, most: int) -> None:
        self.app = app
        self._counted = PerMinute(most, "calls of this key that cost nothing")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        caller = scope.get("state", {}).get("caller")
        path = getattr(scope.get("state", {}).get("route"), "path", "")
        if caller is not None:
            pools.WHOSE.set(caller.id)
        if caller is None or _is_apart(scope["method"], path):
            await self.app(scope, receive, send)
            return
        draws = scope_of(scope["method"], path) == "draw"
        name = f"{caller.id} {'refused' if draws else 'asked'}"
        self._counted.check(name)
        paid = False

        async def look(message: Message) -> None:
            nonlocal paid
            if message["type"] == "http.response.start":
                free = scope["state"].get("free", False)  # what is only asked costs nothing
                paid = draws and message["status"] < 400 and not free
            await send(message)

        try:
            await self.app(scope, receive, look)
        finally:
            if not paid:
                self._counted.add(name)


def _is_apart(method: str, path: str) -> bool:
    """The operator's calls, and those for one stored thing, which was paid for."""
    follows = method in ("GET", "HEAD") and ("{" in path or path == FOLLOWING)
    return follows or path.startswith(ADMIN_PREFIX)

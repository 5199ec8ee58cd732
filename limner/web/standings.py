"""What a key's account holds, on answers: on every drawing, and on every refusal of a known key."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from limner.domain.pricing import as_text
from limner.errors import DatabaseUnavailable, LimnerError
from limner.web.services import Accounts


class Standings:
    """ASGI layer round authentication: errors tell callers balance, cost and the key's minute.

    An error costs nothing, unless its cost is told already: that of stored pictures whose files
    could not be made. Where the database does not answer, it is not known, and not told.
    """

    def __init__(self, app: ASGIApp, *, accounts: Accounts) -> None:
        self.app = app
        self._accounts = accounts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        state = scope["state"]

        async def send_told(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] >= 400:
                await self._tell(state)
            await send(message)

        try:
            await self.app(scope, receive, send_told)
        except Exception as error:
            await self._tell(state, error)
            raise

    async def _tell(self, state: dict[str, Any], error: Exception | None = None) -> None:
        caller = state.get("caller")
        if caller is None:
            return
        if not isinstance(error, DatabaseUnavailable):
            state["headers"].setdefault("x-cost", as_text(0))
        await tell(state["headers"], self._accounts, caller)


async def tell(headers: dict[str, str], accounts: Accounts, caller: Any) -> None:
    """Add balance and minute to ``headers``; a database that is gone does not spoil the answer."""
    with suppress(LimnerError):
        standing = await accounts.standing(caller)
        headers |= {
            "x-remaining-credits": as_text(standing.available_micro),
            "x-rate-limit-remaining": str(standing.requests_left),
            "x-rate-limit-reset-at-utc": standing.reset_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }

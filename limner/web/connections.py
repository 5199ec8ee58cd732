"""What a client's connection may do before anything of ours sees a request.

uvicorn waits for ever for a request's head, however long, and refuses what is too much without
a word. Here a head must arrive in time and in bounds, and the application is told that a
connection is one too many, so that it answers, counts and logs that like any other refusal. The
rest of a body that has its answer is read, so that its client sees the answer, but not for ever.
"""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_MAX_S = 30.0
REST_MAX_S = 30.0
HEAD_MAX_BYTES = 64 << 10  # nobody's prompt stands in a URL or a header


class Connection(HttpToolsProtocol):
    """One connection; uvicorn's ``limit_concurrency`` is how many there may be at once."""

    _timer: asyncio.TimerHandle | None = None
    _rest_timer: asyncio.TimerHandle | None = None
    _head_bytes = 0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._most, self.limit_concurrency = self.limit_concurrency, None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has come."""
        super().connection_made(transport)
        if self._most is not None and len(self.connections) > self._most:
            self.app = _Crowded(self.app, self._most)
        self._begin_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """A client has gone."""
        self._end_head()
        self._end_rest()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Some bytes have come."""
        super().data_received(data)
        if self._timer is None:
            return
        self._head_bytes += len(data)
        if self._head_bytes > HEAD_MAX_BYTES:
            self._give_up(f"The request's head is longer than {HEAD_MAX_BYTES:,} bytes")

    def on_message_begin(self) -> None:
        """The parser has seen a request's first byte."""
        super().on_message_begin()
        self._begin_head()

    def on_headers_complete(self) -> None:
        """The parser has seen a request's head."""
        self._end_head()
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """An answer has been sent, perhaps before its request was whole."""
        super().on_response_complete()
        if self.cycle.response_complete and self.cycle.more_body:
            self._rest_timer = self.loop.call_later(REST_MAX_S, self.transport.close)

    def on_message_complete(self) -> None:
        """The parser has seen a request's end."""
        self._end_rest()
        super().on_message_complete()

    def _end_rest(self) -> None:
        if self._rest_timer is not None:
            self._rest_timer.cancel()
            self._rest_timer = None

    def _begin_head(self) -> None:
        self._end_head()
        late = f"The request's head did not arrive within {HEAD_MAX_S:g} seconds"
        self._timer = self.loop.call_later(HEAD_MAX_S, self._give_up, late)

    def _end_head(self) -> None:
        self._head_bytes = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self, reason: str) -> None:
        self._end_head()
        # While an answer is being sent, text of ours would end up within it.
        if self.cycle is not None and not self.cycle.response_complete:
            self.transport.close()
        elif not self.transport.is_closing():
            self.send_400_response(reason)


class _Crowded:
    """The application for a connection beyond ``most``, which it finds in its state."""

    def __init__(self, app: ASGIApp, most: int) -> None:
        self._app, self._most = app, most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("state", {})["connections_max"] = self._most
        await self._app(scope, receive, send)

"""What a client's connection may do: the one place where the limits of a connection are.

uvicorn waits for ever for a head, a rest or a reader, takes any number of headers, trailers and
pipelined requests, and refuses what is too much without a word. Here everything that a client can
send or leave unread is bounded in bytes and in time, whether it has a key or not; ``places`` says
how many connections there may be. The application is told that a connection has no place, so that
it answers, counts and logs that like any other refusal.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, cast

import httptools
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from limner.web.access import places

log = logging.getLogger("limner.http")

READ_BYTES = 16 << 10  # at a time: parsing so many of the smallest chunks takes some milliseconds
HEAD_MAX_S = 30.0
HEAD_MAX_BYTES = 32 << 10  # nobody's prompt stands in a URL or a header
HEADERS_MAX = 128  # of a request, its trailers included, which are read and left
FRAMING_PER_BYTE = 16  # chunks of one byte have five beside it
PIPELINED_MAX = 4  # requests that wait for the answer to one before them
REST_MAX_S = 30.0  # for the rest of a body that has its answer, so that its client sees that
REST_FRAMING_MAX = 4 << 10  # bytes beside the body that are parsed of it, and beyond them ...
REST_BYTES_PER_FRAMING = 64  # ... one for so many of the body; then it is thrown away
UNREAD_MAX_S = 30.0  # for an answer to be taken, and beyond it ...
UNREAD_BYTES_PER_S = 16 << 10  # ... a second for so many bytes


class Connection(HttpToolsProtocol, asyncio.BufferedProtocol):
    """One connection; uvicorn's ``limit_concurrency`` is how many there may be at once."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._places = places.of_server(self.server_state, self.limit_concurrency)
        self.limit_concurrency = None
        self._peer = "unknown"
        self._answering: RequestResponseCycle | None = None
        self._known = self._deaf = False
        self._in_head, self._whole = False, True
        self._head_bytes = self._headers = self._framing = self._body_bytes = 0
        self._framing_answered = 0
        self._begun = 0  # messages, in the bytes that are being read
        self._buffer = bytearray(READ_BYTES)
        self._why = ""
        self._head_timer: asyncio.TimerHandle | None = None
        self._rest_timer: asyncio.TimerHandle | None = None
        self._unread_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has come."""
        super().connection_made(cast(asyncio.Transport, _ClosesInTime(transport, self.loop)))
        self._peer = places.peer_of(self.client[0]) if self.client else "unknown"
        if not self._places.come(self, self._peer):
            self.app = _WithoutPlace(self.app, self._places.most or 0)
        self._begin_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """A client has gone: whatever is done for it learns of it."""
        for timer in (self._head_timer, self._rest_timer, self._unread_timer):
            if timer is not None:
                timer.cancel()
        self._places.go(self, self._peer)
        self.pipeline.clear()
        if self._answering is not None:
            self._answering.disconnected = True
            self._answering.message_event.set()
        super().connection_lost(exc)

    @property
    def waits(self) -> bool:
        """Whether nothing is done for it now but waiting for its client."""
        answered = self._answering is None
        return answered or (self.flow.write_paused and not self.known)

    @property
    def known(self) -> bool:
        """Whether its call, or the last one, had a good key."""
        if self._answering is not None:
            self._known = "caller" in self._answering.scope["state"]
        return self._known

    def leave(self) -> None:
        """Give its place to another."""
        log.info("closed a connection that waited: its place was needed")
        self._places.go(self, self._peer)
        self.transport.abort()

    def get_buffer(self, sizehint: int) -> bytearray:
        """Where the next bytes go: few, so that others have their turn before the next."""
        del sizehint
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """So many bytes have come."""
        self.data_received(bytes(memoryview(self._buffer)[:nbytes]))

    def data_received(self, data: bytes) -> None:
        """Some bytes have come."""
        if self._deaf:
            return
        self._unset_keepalive_if_required()
        fresh, self._begun, bodies = self._whole, 0, self._body_bytes
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # to what? This server speaks HTTP/1.1 only, and answers in it
        except httptools.HttpParserError:
            self.send_400_response(self._why or "Invalid HTTP request received.")
            return
        if not self._begun:
            self._framing += len(data) - (self._body_bytes - bodies)
        else:  # of what came with the end of another request, the share is not known
            self._framing = len(data) - self._body_bytes if fresh and self._begun == 1 else 0
        if self._rest_timer is not None and self._is_rest_costly():
            self._throw_away_rest()
        elif self._framing > HEAD_MAX_BYTES + FRAMING_PER_BYTE * self._body_bytes:
            self.send_400_response(_too_long())
        elif self._whole and self._answering is None and not self._is_timed():
            self._begin_head()

    def on_message_begin(self) -> None:
        """The parser has seen a request's first byte."""
        if len(self.pipeline) >= PIPELINED_MAX:
            self._refuse(f"More than {PIPELINED_MAX} requests wait for one before them")
        super().on_message_begin()
        self._begun += 1
        self._in_head, self._whole = True, False
        self._head_bytes = self._headers = self._body_bytes = 0
        self._begin_head()

    def on_url(self, url: bytes) -> None:
        """The parser has seen a piece of the URL."""
        self._count_head(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """The parser has seen a header, or a trailer, which nobody here reads."""
        self._headers += 1
        if self._headers > HEADERS_MAX:
            self._refuse(f"The request has more than {HEADERS_MAX} headers")
        self._count_head(len(name) + len(value))
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The parser has seen a request's head."""
        self._in_head = False
        self._end_head()
        super().on_headers_complete()
        self.flow.resume_reading()  # of one that waits for another, or nobody sees its client leave

    def on_body(self, body: bytes) -> None:
        """The parser has seen a piece of a body."""
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The parser has seen a request's end."""
        self._whole = True
        if self._rest_timer is not None:
            self._rest_timer.cancel()
            self._rest_timer = None
        super().on_message_complete()
        if self._answering is None:  # it has its answer already, and the connection is quiet
            self._unset_keepalive_if_required()
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def on_response_complete(self) -> None:
        """An answer has been sent, perhaps before its request was whole."""
        self._known = self.known
        self._answering = None
        self._places.rest(self, self._peer)
        super().on_response_complete()  # begins with the next, if one waits
        if self._answering is None and not self._whole and not self._in_head:
            self._framing_answered = self._framing
            self._rest_timer = self.loop.call_later(REST_MAX_S, self.transport.close)

    def pause_writing(self) -> None:
        """The client takes less than it is sent."""
        super().pause_writing()
        seconds = _patience(self.transport.get_write_buffer_size())
        self._unread_timer = self.loop.call_later(seconds, self._end_unread)

    def resume_writing(self) -> None:
        """The client has taken what it was sent."""
        if self._unread_timer is not None:
            self._unread_timer.cancel()
            self._unread_timer = None
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Refuse what was sent, and hear no more; within an answer, text of ours would be of it."""
        self._end_head()
        if self._deaf or self.transport.is_closing():
            return
        self._deaf = True
        log.info("refused a connection's bytes: %s", msg)
        answering = self._answering
        if answering is None or (answering.more_body and not answering.response_started):
            super().send_400_response(msg)
        elif answering.more_body:
            self.transport.close()
        else:
            (self.pipeline[0][0] if self.pipeline else answering).keep_alive = False

    def _is_rest_costly(self) -> bool:
        rest = self._framing - self._framing_answered
        return rest > REST_FRAMING_MAX + self._body_bytes // REST_BYTES_PER_FRAMING

    def _throw_away_rest(self) -> None:
        """Parse no more; a client that has sent all sees its answer, and that none follows."""
        log.info("threw away the rest of an answered body: its chunks are too small")
        self._deaf = True
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def _count_head(self, number: int) -> None:
        self._head_bytes += number
        if self._head_bytes > HEAD_MAX_BYTES:
            self._refuse(_too_long())

    def _refuse(self, why: str) -> None:
        """From within the parser, which ends with whatever is raised."""
        self._why = why
        raise ValueError(why)

    def _is_timed(self) -> bool:
        return self._head_timer is not None or self.timeout_keep_alive_task is not None

    def _begin_head(self) -> None:
        self._end_head()
        late = f"The request's head did not arrive within {HEAD_MAX_S:g} seconds"
        self._head_timer = self.loop.call_later(HEAD_MAX_S, self.send_400_response, late)

    def _end_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _end_unread(self) -> None:
        log.info("closed a connection whose client did not read its answer")
        self.transport.abort()


class _ClosesInTime:
    """A transport that, once closed, does not wait for ever for its client to read the rest."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def close(self) -> None:
        """Close when what was written is sent, or not taken in time."""
        unread = self._transport.get_write_buffer_size()
        if unread and not self._transport.is_closing():
            self._loop.call_later(_patience(unread), self._transport.abort)
        self._transport.close()


class _WithoutPlace:
    """The application for a connection beyond ``most``, which it finds in its state."""

    def __init__(self, app: ASGIApp, most: int) -> None:
        self._app, self._most = app, most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("state", {})["connections_max"] = self._most
        await self._app(scope, receive, send)


def _patience(unread: int) -> float:
    """Seconds in which a client must take so many bytes."""
    return UNREAD_MAX_S + unread / UNREAD_BYTES_PER_S


def _too_long() -> str:
    return f"The request's head is longer than {HEAD_MAX_BYTES:,} bytes"

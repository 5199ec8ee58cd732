"""What every answer has in common: the error envelope, header texts, plain decimals in JSON."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from limner import errors
from limner.engine.checkpoints import ways
from limner.errors import LimnerError
from limner.web import envelopes
from limner.web.streams import STOPPING

log = logging.getLogger("limner.web")

Handler = Callable[[Request], Awaitable[Response]]
"""What answers a route."""

ADJUSTMENTS_BYTES_MAX = 2048
EXPOSED_HEADERS = (
    "x-remaining-credits",
    "x-request-id",
    "x-generation-time",
    "x-cost",
    "x-seed-value",
    "x-output-metadata",
    "x-adjustments",
    "x-replayed",
    "x-rate-limit-remaining",
    "x-rate-limit-reset-at-utc",
    "retry-after",
)

# The one table. A class not named here has the status of its nearest named base.
STATUS: Mapping[type[LimnerError], int] = {
    errors.InvalidInput: 400,
    errors.UnknownScheduler: 406,
    errors.TooCostly: 413,
    errors.MalformedBody: 400,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.NotAllowed: 405,
    errors.WrongContentType: 406,
    errors.EncodedBody: 415,
    errors.InsufficientCredits: 406,
    errors.Gone: 410,
    errors.BodyTooLarge: 413,
    errors.IdempotencyMismatch: 422,
    errors.LimitExceeded: 429,
    errors.Unavailable: 503,
    errors.Aborted: 422,
    errors.LimnerError: 500,
}


class Json(Response):
    """JSON whose ``Decimal`` values are plain decimals, never in scientific notation."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return dumps(content).encode()


def dumps(value: Any) -> str:
    """``value`` as ASCII JSON; ``Decimal`` becomes a number with all its digits."""
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(k)}: {dumps(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(dumps, value)) + "]"
    return json.dumps(value, allow_nan=False)


def new_request_id() -> str:
    """An id for a call that was not stored."""
    return f"req_{secrets.token_hex(12)}"


def adjustments(notes: Sequence[str]) -> str:
    """``x-adjustments``: an ASCII JSON list of at most 2 KB, then "and N more"."""
    for kept in range(len(notes), -1, -1):
        rest = len(notes) - kept
        text = json.dumps([*notes[:kept], *([f"and {rest} more"] if rest else [])])
        if len(text) <= ADJUSTMENTS_BYTES_MAX:
            return text
    return "[]"


def status_of(error: LimnerError) -> int:
    """The HTTP status of an error, from the table."""
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def error_headers(error: LimnerError) -> dict[str, str]:
    """``Retry-After``, ``Allow`` and their like where the status asks for them."""
    headers = {}
    if isinstance(error, errors.LimitExceeded | errors.Unavailable):
        headers["Retry-After"] = str(error.retry_after_s)
    elif isinstance(error, errors.NotAllowed):
        headers["Allow"] = error.allow
    elif isinstance(error, errors.EncodedBody):
        headers["Accept-Encoding"] = "identity"  # RFC 9110, section 15.5.16
    elif isinstance(error, errors.Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    return headers


class Errors:
    """Outermost of our layers: a request id on every answer, and errors as JSON.

    A handler adds headers to whatever will be answered, error or not, through
    ``request.state.headers``. What comes on a connection too many is refused here.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        extra = state["headers"] = {"x-request-id": state.get("request_id") or new_request_id()}
        begun = False

        async def send_with_headers(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                MutableHeaders(scope=message).update(extra)
            await send(message)

        try:
            _check_place(state)
            await self.app(scope, receive, send_with_headers)
        except Exception as error:
            if begun:
                raise
            await _render(Request(scope), error)(scope, receive, send_with_headers)
        except asyncio.CancelledError:
            # uvicorn cancels what is left at the end of a stop; to any other answer a bare 500.
            if begun:
                raise
            await _render(Request(scope), errors.Unavailable(STOPPING))(
                scope, receive, send_with_headers
            )


def _check_place(state: dict[str, Any]) -> None:
    if most := state.get("connections_max"):
        state["headers"]["connection"] = "close"
        raise errors.Unavailable(f"The server has {most} connections, its limit; try again", 2)


def _render(request: Request, error: Exception) -> Response:
    request.state.refusal = type(error).__name__ if isinstance(error, LimnerError) else "Fault"
    request_id = request.state.headers["x-request-id"]
    if isinstance(error, LimnerError):
        status, headers = status_of(error), error_headers(error)
        text = ways.over_http(str(error))
        if status >= 500:
            log.warning("%s for %s: %s", status, request_id, type(error).__name__)
    else:
        status, text, headers = 500, "The server failed to answer this", {}
        log.error(
            "fault in %s %s, %s", request.method, request.url.path, request_id, exc_info=error
        )
    if status == 500:
        text = f"{text.removesuffix('.')}; please report {request_id} to its operator"
    return envelope(request, status, text, error, headers)


def envelope(
    request: Request,
    status: int,
    text: str,
    error: Exception,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The surface's way to say what went wrong."""
    path = request.url.path
    content = envelopes.body(path, status, text, error)
    return JSONResponse(content, status, {**(headers or {}), **envelopes.headers(path, status)})

"""What is seen of each HTTP call from outside: one line in the log, and the counters of /metrics.

Paths are counted by their route, so that ids do not multiply the series; query strings, bodies
and keys are not looked at.
"""

from __future__ import annotations

import logging
import time

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from limner import errors
from limner.web.answers import new_request_id

log = logging.getLogger("limner.http")

SECONDS = (0.005, 0.02, 0.1, 0.5, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0)
UNKNOWN = "unknown"
PATH_MAX = 200
# Asked every few seconds by machines: not worth a line.
QUIET = ("/health/live", "/health/ready", "/metrics")


class Meters:
    """The counters of one application, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.calls = Counter(
            "limner_http_requests",
            "Answered HTTP requests.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self.seconds = Histogram(
            "limner_http_request_seconds",
            "From a request's first byte to its answer's last.",
            ("route",),
            buckets=SECONDS,
            registry=self.registry,
        )
        self.refusals = Counter(
            "limner_refusals", "Refused requests, by cause.", ("cause",), registry=self.registry
        )
        for cause in causes():  # a series that is not there before its first call raises no alarm
            self.refusals.labels(cause)
        self.at_once = Gauge(
            "limner_http_requests_in_progress",
            "HTTP requests that are being answered.",
            registry=self.registry,
        )


def causes() -> list[str]:
    """Every cause of a refusal: the names of our errors, and ``Fault`` for what is none of them."""
    known = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    names = {kind.__name__ for kind in known if issubclass(kind, errors.LimnerError)}
    return sorted(names - {"LimnerError"} | {"Fault"})


class CallLog:
    """ASGI layer that gives each call its id, times it, counts it and logs it."""

    def __init__(self, app: ASGIApp, *, meters: Meters) -> None:
        self.app = app
        self._meters = meters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        state["request_id"] = new_request_id()
        began, status = time.perf_counter(), 0

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        with (
            structlog.contextvars.bound_contextvars(request_id=state["request_id"]),
            self._meters.at_once.track_inprogress(),
        ):
            try:
                await self.app(scope, receive, watch)
            finally:
                self._note(scope, status, time.perf_counter() - began)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        """``status`` 0: the client was gone before an answer began."""
        route = getattr(scope["state"].get("route"), "path", UNKNOWN)
        cause = scope["state"].get("refusal")
        self._meters.calls.labels(_verb(scope), route, status).inc()
        self._meters.seconds.labels(route).observe(seconds)
        if cause:
            self._meters.refusals.labels(cause).inc()
        if route in QUIET and status == 200:
            return
        told = {"method": _verb(scope), "route": route, "status": status}
        if route == UNKNOWN:  # nobody but its caller chose it: bounded, and nothing in it steers
            told["path"] = ascii(scope["path"][:PATH_MAX])[1:-1]
        told["seconds"] = round(seconds, 3)
        told |= {"refused": cause} if cause else {}
        if caller := scope["state"].get("caller"):
            told["key"] = caller.id
        stored = scope["state"].get("headers", {}).get("x-request-id")
        if stored and stored != scope["state"]["request_id"]:
            told["stored_as"] = stored
        log.info("answered", extra=told)


def _verb(scope: Scope) -> str:
    """A verb of ours; whatever else a client invents is one series."""
    known = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
    return scope["method"] if scope["method"] in known else "OTHER"

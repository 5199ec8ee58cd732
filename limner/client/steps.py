"""The client's protocol without its I/O: each call is a generator of steps.

A generator yields what is to be done (``Ask``, ``Follow``, ``Pause``) and is sent what came of
it; the two clients differ only in how they do it.
"""

from __future__ import annotations

import base64
import json
import random
import time
import uuid
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeVar
from urllib.parse import urlencode

from limner.client import refusals
from limner.client.pictures import Picture, Pictures, Redrawn, Replayed
from limner.client.words import Credits, OnProgress, Options, Progress, Quote, to_body
from limner.errors import Unavailable, WaitedTooLong

T = TypeVar("T")
PAUSE_S, PAUSE_MAX_S = 0.25, 8.0
POLL_MAX_S = 2.0


@dataclass(frozen=True)
class Ask:
    """Send a request; the answer is an ``Answer``. ``again``: sending it twice does no harm."""

    method: str
    path: str
    body: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    again: bool = True


@dataclass(frozen=True)
class Answer:
    """What came back; ``status`` 0 means that nobody answered, and ``text`` why."""

    status: int
    text: str
    data: bytes = b""
    retry_after_s: float | None = None

    def json(self) -> Any:
        """The body, with decimals kept as they are."""
        return json.loads(self.data, parse_float=Decimal)


@dataclass(frozen=True)
class Follow:
    """Read a stream of events, handing each line to ``take``; until it ends, breaks, or the
    moment ``until`` of the monotonic clock is over."""

    path: str
    headers: Mapping[str, str]
    take: Callable[[str], None]
    until: float | None = None

    @property
    def over(self) -> bool:
        """Whether time is up."""
        return self.until is not None and time.monotonic() >= self.until


@dataclass(frozen=True)
class Pause:
    """Wait."""

    seconds: float


Step = Ask | Follow | Pause
Steps = Generator[Step, Any, T]


@dataclass(frozen=True)
class Protocol:
    """Every call as steps. ``retries`` is how often a busy or unreachable server is asked again."""

    retries: int = 5

    def draw(
        self,
        prompt: str,
        options: Options,
        *,
        key: str | None = None,
        on_progress: OnProgress | None = None,
        timeout_s: float | None = None,
    ) -> Steps[list[Picture]]:
        """Submit, follow, fetch."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        pictures = Pictures()
        for request_id in (yield from self.submit(prompt, options, key=key)):
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            pictures += yield from self.wait(request_id, on_progress=on_progress, timeout_s=left)
        return pictures

    def submit(self, prompt: str, options: Options, *, key: str | None = None) -> Steps[list[str]]:
        """Queue; the ids of the requests: one, whatever lines its style mix has."""
        headers = {"Idempotency-Key": key or uuid.uuid4().hex}
        ask = Ask("POST", "/api/requests", to_body(prompt, options), headers)
        answer = yield from self._ask(ask)
        return [str(each["request_id"]) for each in answer.json()["requests"]]

    def wait(
        self,
        request_id: str,
        *,
        on_progress: OnProgress | None = None,
        timeout_s: float | None = None,
    ) -> Steps[list[Picture]]:
        """Follow a request to its end: by its events, and by asking where these break off."""
        events = Events(request_id, on_progress)
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        pause = PAUSE_S
        while True:
            yield Follow(
                f"/api/requests/{request_id}/events", events.headers(), events.take, deadline
            )
            stored = yield from self.request(request_id)
            if stored["status"] not in ("QUEUED", "PROCESSING"):
                return (yield from self._fetch(stored))
            if deadline is not None and time.monotonic() >= deadline:
                raise WaitedTooLong(
                    f"Request {request_id} is {stored['status']} after {timeout_s:g} s; it goes "
                    f"on, and wait({request_id!r}) finds its pictures"
                )
            yield Pause(pause)
            pause = min(2 * pause, POLL_MAX_S)

    def request(self, request_id: str) -> Steps[dict[str, Any]]:
        """A stored request as JSON."""
        return self._json(Ask("GET", f"/api/requests/{request_id}"))

    def requests(self, limit: int, before: str | None) -> Steps[dict[str, Any]]:
        """A page of stored requests."""
        query = f"?limit={limit}" + (f"&before={before}" if before else "")
        return self._json(Ask("GET", f"/api/requests{query}"))

    def cancel(self, request_id: str) -> Steps[dict[str, Any]]:
        """Stop a request, or forget a finished one."""
        return self._json(Ask("DELETE", f"/api/requests/{request_id}"))

    def picture(self, picture_id: str) -> Steps[Picture]:
        """A stored picture."""
        receipt = yield from self._json(Ask("GET", f"/api/receipts/{picture_id}"))
        png = (yield from self._ask(Ask("GET", f"/api/pictures/{picture_id}"))).data
        size = {name: receipt["parameters"][name] for name in ("seed", "width", "height")}
        return Picture(
            id=picture_id, request_id="", index=0, cost=None, adjustments=(),
            png=png, receipt=receipt, **size,
        )  # fmt: skip

    def call(self, ask: Ask) -> Steps[dict[str, Any]]:
        """What a call answers as JSON."""
        return self._json(ask)

    def file(self, ask: Ask) -> Steps[bytes]:
        """The file that a call answers with."""
        return (yield from self._ask(ask)).data

    def quote(self, prompt: str, options: Options) -> Steps[Quote]:
        """The price of a drawing, all its samples together."""
        body = {**to_body(prompt, options), "base64": True}
        told = yield from self._json(Ask("POST", "/api/quote", body))
        return Quote(
            Decimal(told["credits"]),
            told["micro_credits"],
            told["samples"],
            tuple(told["adjustments"]),
        )

    def explain(self, prompt: str, options: Options) -> Steps[dict[str, Any]]:
        """How a prompt is read."""
        return self._json(Ask("POST", "/api/explain", to_body(prompt, options)))

    def credits(self) -> Steps[Credits]:
        """The balance."""
        told = yield from self._json(Ask("GET", "/v1/get-user-credits"))
        return Credits(Decimal(told["credits"]))

    def model(self) -> Steps[dict[str, Any]]:
        """The loaded model."""
        return self._json(Ask("GET", "/api/model"))

    def accept_license(self, model: str) -> Steps[dict[str, Any]]:
        """Accept for this key the licence of a model, the server's own where it is empty."""
        query = f"?{urlencode({'model': model})}" if model else ""
        return self._json(Ask("POST", f"/api/license/accept{query}", {}))

    def replay(self, what: Picture | Mapping[str, Any] | str) -> Steps[Replayed]:
        """Draw a picture again: one of ours, a stored one by its id, or any receipt."""
        body: dict[str, Any] = {"receipt": what.receipt if isinstance(what, Picture) else what}
        if isinstance(what, str):
            body = {"picture_id": what}
        told = yield from self._json(Ask("POST", "/api/replay", body, again=False))
        # The whole request, for what it cost and what was told.
        [picture] = yield from self._fetch((yield from self.request(told["request_id"])))
        names = ("identical", "different_pixels", "of", "largest_difference", "text")
        return Replayed(**{name: told[name] for name in names}, picture=picture)

    def redraw(self, ask: Ask) -> Steps[Redrawn]:
        """Draw what another program's picture or text says, or ask what that would be."""
        told = yield from self._json(ask)
        drawn = None
        if "request_id" in told:
            [drawn] = yield from self._fetch((yield from self.request(told["request_id"])))
        return Redrawn.of(told, drawn)

    def _fetch(self, stored: Mapping[str, Any]) -> Steps[list[Picture]]:
        if stored["status"] != "COMPLETED":
            raise refusals.of_request(stored)
        pictures = Pictures()
        for each in stored["pictures"]:
            png = (yield from self._ask(Ask("GET", f"/api/pictures/{each['id']}"))).data
            receipt = yield from self._json(Ask("GET", f"/api/receipts/{each['id']}"))
            own = {name: each[name] for name in ("id", "index", "seed", "width", "height")}
            pictures.append(
                Picture(
                    request_id=stored["request_id"],
                    cost=Decimal(stored["cost"]),
                    adjustments=tuple(stored["adjustments"]),
                    png=png,
                    receipt=receipt,
                    first_pass_of=each.get("first_pass_of"),
                    **own,
                )
            )
        return pictures

    def _json(self, ask: Ask) -> Steps[Any]:
        answer = yield from self._ask(ask)
        if ask.path.startswith("/api/receipts/"):
            return json.loads(answer.data)  # its numbers are those of its digest
        return answer.json()

    def _ask(self, ask: Ask) -> Steps[Answer]:
        """The answer, asked for again while the server is busy or cannot be reached."""
        pause = PAUSE_S
        for left in range(self.retries, -1, -1):
            answer: Answer = yield ask
            if 200 <= answer.status < 300:
                return answer
            passing = answer.status in (0, 429, 502, 503, 504)
            if not (passing and ask.again and left):
                break
            # Spread, so that many clients of one server do not come back at once.
            wait_s = answer.retry_after_s or pause * random.uniform(0.5, 1.0)
            yield Pause(wait_s)
            pause = min(2 * pause, PAUSE_MAX_S)
        if answer.status == 0:
            raise Unavailable(answer.text)
        raise refusals.of_answer(answer.status, answer.text, answer.retry_after_s)


class Events:
    """Reads the lines of an event stream (HTML standard, section 9.2) and tells progress."""

    def __init__(self, request_id: str, on_progress: OnProgress | None) -> None:
        self._request_id = request_id
        self._on_progress = on_progress
        self._last = ""
        self._fields: dict[str, str] = {}

    def headers(self) -> dict[str, str]:
        """Those that go on where the stream broke off."""
        self._fields = {}
        return {"Last-Event-ID": self._last} if self._last else {}

    def take(self, line: str) -> None:
        """One line, without its end."""
        if line:
            name, _, value = line.partition(":")
            self._fields[name] = value.removeprefix(" ")
            return
        fields, self._fields = self._fields, {}
        self._last = fields.get("id", self._last)
        if self._on_progress is not None and fields.get("event") in ("queued", "progress"):
            self._on_progress(self._progress(json.loads(fields["data"])))

    def _progress(self, told: Mapping[str, Any]) -> Progress:
        if "index" not in told:
            waiting = (told["position"], told["estimate_s"])
            return Progress(self._request_id, position=waiting[0], estimate_s=waiting[1])
        preview = told["preview"]
        return Progress(
            self._request_id,
            told["index"],
            told["step"],
            told["steps"],
            told["evaluation"] / told["evaluations"],
            None if preview is None else base64.b64decode(preview.partition(",")[2]),
        )

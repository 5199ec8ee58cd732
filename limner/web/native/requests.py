"""Stored requests under ``/api/requests``: submit many, list, look, cancel, follow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from limner.errors import InvalidInput
from limner.usecases.drawing.orders import Order
from limner.usecases.queueing.queue import PAGE_MAX, Status
from limner.web import openapi
from limner.web.answers import Handler, Json
from limner.web.application import Application
from limner.web.drawing import Api, Make
from limner.web.native import events
from limner.web.native.form import FORM
from limner.web.reading import body, form
from limner.web.reading.fields import Flag, Number, Reader, Whole, bounded, cut, read
from limner.web.reading.intake import Intake
from limner.web.segmind.v2 import REQUEST_ID
from limner.web.stored import request_json

SUBMISSION_MAX = 64
_PAGE: Mapping[str, Reader] = {
    "limit": Whole(1, PAGE_MAX),
    "before": Number(0, 1e12),
    "unfinished": Flag(),
}
_READ_ERRORS = (400, 401, 403, 404, 500)
_REMOVED = "Cancel a request that is not finished; forget a finished one with its pictures."


def install(app: Application, api: Api) -> None:
    """Add the routes."""
    one = "/api/requests/{id}"
    for path, verb, handler, operation in (
        ("/api/requests", "POST", _submit(api), _submit_operation()),
        ("/api/requests", "GET", _page(api), _page_operation()),
        (one, "GET", _show(api), _one_operation("request", "One request.")),
        (one, "DELETE", _remove(api), _one_operation("remove-request", _REMOVED)),
        (one + "/events", "GET", _follow(api), _events_operation()),
    ):
        app.add_api_route(path, handler, methods=[verb], **operation)


def _submit(api: Api) -> Handler:
    async def submit(request: Request) -> Response:
        async with api.account(request):
            settings = api.settings
            fields = await body.read_object(
                request, max_bytes=settings.body_max_bytes, max_s=settings.body_max_s
            )
            digest = await body.digest_of(request, fields)
            intake = api.intake(request, waits=False)
            accepted = await api.submit(request, digest, _makers(intake, fields, digest))
        return Json({"requests": [_shown(api, status) for status in accepted]})

    return submit


def _page(api: Api) -> Handler:
    async def page(request: Request) -> Response:
        wishes, _ = read(_PAGE, {}, request.query_params)
        limit = wishes.get("limit", 50)
        found = await api.services.queue.recent(
            request.state.caller,
            before=wishes.get("before"),
            number=limit,
            only="unfinished" if wishes.get("unfinished") else "kept",
        )
        # A cursor, to be sent back as it is: 17 digits hold every float.
        after = f"{found[-1].job.created_at:.17g}" if len(found) == limit else None
        shown = [_shown(api, status) for status in found]
        return Json({"requests": shown, "next": after})

    return page


def _show(api: Api) -> Handler:
    async def show(request: Request) -> Response:
        status = await api.services.queue.status(request.state.caller, request.path_params["id"])
        return Json(_shown(api, status))

    return show


def _remove(api: Api) -> Handler:
    async def remove(request: Request) -> Response:
        status = await api.services.queue.remove(request.state.caller, request.path_params["id"])
        return Json(_shown(api, status))

    return remove


def _shown(api: Api, status: Status) -> dict[str, Any]:
    return request_json(api.settings, status, api.services.queue.worker.models)


def _follow(api: Api) -> Handler:
    async def follow(request: Request) -> Response:
        stream = await events.follow(request, api)
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        return StreamingResponse(stream, media_type="text/event-stream", headers=headers)

    return follow


def _makers(intake: Intake, fields: Mapping[str, Any], digest: str) -> list[Make]:
    """What makes the order of a body, or of each body in its list ``requests``."""
    beside, made = _beside(fields), Counter[str]()

    async def make(place: int, each: Mapping[str, Any]) -> Order:
        order = await _to_order(intake, each, place, digest)
        made["lines"] += len(order.lines)
        if made["lines"] > SUBMISSION_MAX:
            raise InvalidInput(
                "requests",
                f"requests makes {made['lines']} lines and more; at most {SUBMISSION_MAX} are "
                "taken at once",
            )
        return replace(order, adjustments=(*beside, *order.adjustments))

    return [partial(make, place, each) for place, each in enumerate(_bodies(fields))]


def _beside(fields: Mapping[str, Any]) -> list[str]:
    """A note for each field that stands beside a list of bodies, where none is read."""
    if "requests" not in fields:
        return []
    ignored = [n for n, value in fields.items() if n != "requests" and value is not None]
    return bounded([f"{cut(name)} was ignored: it stands beside requests" for name in ignored])


def _bodies(fields: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    if "requests" not in fields:
        return [fields]
    bodies, rule = fields["requests"], f"it must be a list of 1 to {SUBMISSION_MAX} objects"
    if not isinstance(bodies, list) or not 0 < len(bodies) <= SUBMISSION_MAX:
        size = f"has {len(bodies)} entries" if isinstance(bodies, list) else "is not a list"
        raise InvalidInput("requests", f"requests {size}; {rule}")
    if not all(isinstance(each, dict) for each in bodies):
        raise InvalidInput("requests", f"requests holds something else than objects; {rule}")
    return bodies


async def _to_order(intake: Intake, fields: Mapping[str, Any], place: int, digest: str) -> Order:
    try:
        asked = form.ask(fields, intake.settings, mixed=True, form=FORM)
        call = await form.to_call(asked, intake)
    except InvalidInput as error:
        if not place:
            raise
        raise InvalidInput(error.field, f"requests[{place}]: {error}") from error
    return Order(
        lines=call.lines,
        surface="native",
        slug=intake.settings.slug,
        body_sha256=digest,
        pixels=call.pixels,
        adjustments=call.notes,
        choice=call.choice,
    )


_TEXT: dict[str, Any] = {"type": "string"}
_MAYBE_TEXT: dict[str, Any] = {"type": ["string", "null"]}
_MAYBE_NUMBER: dict[str, Any] = {"type": ["number", "null"]}
_NUMBER: dict[str, Any] = {"type": "number"}
REQUEST: dict[str, Any] = {
    "request_id": _TEXT,
    "status": _TEXT,
    "slug": _TEXT,
    "surface": _TEXT,
    "model": _MAYBE_TEXT,
    "model_sha256": _MAYBE_TEXT,
    "vae_sha256": _MAYBE_TEXT,
    "created_at": _TEXT,
    "started_at": _MAYBE_TEXT,
    "finished_at": _MAYBE_TEXT,
    "generation": {"type": ["object", "null"]},
    "lines": {"type": "array", "items": {"type": "object"}},
    "price": _NUMBER,
    "cost": _NUMBER,
    "adjustments": {"type": "array", "items": _TEXT},
    "position": _MAYBE_NUMBER,
    "estimate_s": _MAYBE_NUMBER,
    "infer_time": _MAYBE_NUMBER,
    "error": _MAYBE_TEXT,
    "pictures": {"type": "array", "items": {"type": "object"}},
}
_REQUESTS = {"type": "array", "items": {"type": "object", "properties": REQUEST}}


def _submit_operation() -> dict[str, Any]:
    one = openapi.generation_schema(FORM)
    several = {"type": "array", "items": one, "minItems": 1, "maxItems": SUBMISSION_MAX}
    many = {"type": "object", "properties": {"requests": several}, "required": ["requests"]}
    return openapi.operation(
        "submit-requests",
        "Queue one request, or many at once: all are accepted, or none.",
        openapi.json_answer("Stored, and their prices held.", {"requests": _REQUESTS}),
        errors=openapi.DRAW_ERRORS,
        parameters=[openapi.IDEMPOTENCY_KEY],
        **openapi.body({"anyOf": [one, many]}, form=False),
    )


def _page_operation() -> dict[str, Any]:
    return openapi.operation(
        "requests",
        "Stored requests of this key's account, newest first.",
        openapi.json_answer(
            "`next` goes into `before` for more.", {"requests": _REQUESTS, "next": _MAYBE_TEXT}
        ),
        errors=_READ_ERRORS,
        parameters=[
            openapi.in_query("limit", "How many.", _PAGE["limit"].schema() | {"default": 50}),
            openapi.in_query("before", "`next` of the page before.", _PAGE["before"].schema()),
            openapi.in_query(
                "unfinished", "Only those that wait or are drawn.", _PAGE["unfinished"].schema()
            ),
        ],
    )


def _one_operation(id: str, summary: str) -> dict[str, Any]:
    return openapi.operation(
        id,
        summary,
        openapi.json_answer("The request.", REQUEST),
        errors=_READ_ERRORS,
        parameters=[REQUEST_ID],
    )


def _events_operation() -> dict[str, Any]:
    stream = {
        "description": "Events `queued`, `started`, `progress`, `drawn`, and last `finished` or "
        "`failed`. With `Last-Event-ID` it goes on from there.",
        "content": {"text/event-stream": {"schema": _TEXT}},
    }
    return openapi.operation(
        "request-events",
        "Follow a request while it is drawn.",
        stream,
        errors=_READ_ERRORS,
        parameters=[REQUEST_ID],
    )

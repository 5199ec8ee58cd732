"""``POST /api/queue/move``: requests that wait change places."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from limner.errors import InvalidInput
from limner.web import openapi
from limner.web.answers import Handler, Json
from limner.web.application import Application
from limner.web.drawing import Api
from limner.web.native.requests import REQUEST
from limner.web.reading import body
from limner.web.reading.fields import Reader, Text, read
from limner.web.stored import request_json

PATH = "/api/queue/move"
_RULE = "one of before and after must name the request beside which it is to stand"
_FIELDS: Mapping[str, Reader] = {name: Text(1, 100) for name in ("id", "before", "after")}


def install(app: Application, api: Api) -> None:
    """Add the route."""
    app.add_api_route(PATH, _move(api), methods=["POST"], **_operation())


def _move(api: Api) -> Handler:
    async def move(request: Request) -> Response:
        settings = api.settings
        fields = await body.read_object(
            request, max_bytes=settings.body_max_bytes, max_s=settings.body_max_s
        )
        request_id, side, other = _asked(fields)
        status = await api.services.queue.move(request.state.caller, request_id, side, other)
        return Json(request_json(settings, status, api.services.queue.worker.models))

    return move


def _asked(fields: Mapping[str, Any]) -> tuple[str, str, str]:
    said, ignored = read(_FIELDS, {}, fields)
    if "id" not in said:
        raise InvalidInput("id", "id is missing; it must be the id of a request that waits")
    sides = [side for side in ("before", "after") if side in said]
    if len(sides) != 1 or ignored:
        told = "; ".join(ignored) or f"{' and '.join(sides) or 'Neither'} given"
        raise InvalidInput("before", f"{told}: {_RULE}")
    return said["id"], sides[0], said[sides[0]]


def _operation() -> dict[str, Any]:
    text = {"type": "string", "minLength": 1, "maxLength": 100}
    schema = {
        "type": "object",
        "properties": dict.fromkeys(_FIELDS, text),
        "required": ["id"],
    }
    return openapi.operation(
        "move-request",
        "Let a request that waits stand before or after another of the same key.",
        openapi.json_answer("The request that was moved.", REQUEST),
        errors=(*openapi.BODY_ERRORS, 404),
        **openapi.body(schema, form=False),
    )

"""``POST /api/upscale``: a picture made larger by itself, free of charge."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from limner.domain.upscalers import BUILT_IN, FACTOR_MAX
from limner.errors import InvalidInput
from limner.usecases.upscaling import SIDE_MAX
from limner.web import enlarging, openapi
from limner.web.answers import Json, adjustments
from limner.web.application import Application
from limner.web.drawing import Api
from limner.web.reading import body
from limner.web.reading.fields import Blob, Flag, Number, Reader, Text, Whole, bounded, read

READERS: Mapping[str, Reader] = {
    "image": Blob(),
    "picture": Text(1, 100),
    "upscaler": Text(1, 500),
    "scale": Number(1, FACTOR_MAX),
    "width": Whole(1, SIDE_MAX),
    "height": Whole(1, SIDE_MAX),
    "base64": Flag(),
}


def install(app: Application, api: Api) -> None:
    """Add the routes."""

    async def upscale(request: Request) -> Response:
        request.state.free = True
        settings = api.settings
        fields = await body.read_object(
            request, max_bytes=settings.body_max_bytes, max_s=settings.body_max_s
        )
        values, ignored = read(READERS, {}, fields)
        upscaler = await api.services.upscaling.bind(values.get("upscaler", BUILT_IN[0]))
        layers = await enlarging.read(request, api, *await _source(request, api, values))
        made = await enlarging.make(request, api, layers, upscaler, values)
        notes = [*ignored, *made.notes]
        headers = {"x-adjustments": adjustments(notes)} if notes else None
        if values.get("base64", False):
            image = base64.b64encode(made.png).decode()
            told = {"image": image, "upscale": dict(made.record), "adjustments": bounded(notes)}
            return Json(told, headers=headers)
        return Response(made.png, headers=headers, media_type="image/png")

    app.add_api_route("/api/upscale", upscale, methods=["POST"], **_operation())


async def _source(request: Request, api: Api, values: Mapping[str, Any]) -> tuple[str, str | bytes]:
    """The field that names the picture, and what it holds."""
    if "image" in values and "picture" in values:
        raise InvalidInput("picture", "image and picture are both there: leave one out")
    if "image" not in values and "picture" not in values:
        raise InvalidInput(
            "image", "image is missing; send a picture, or a stored one's id as picture"
        )
    if "image" in values:
        return "image", values["image"]
    stored = await api.services.gallery.picture(request.state.caller, values["picture"])
    return "picture", stored.png


def _operation() -> dict[str, Any]:
    kind = {"schema": {"type": "string", "format": "binary"}}
    answer = {"description": "The larger picture.", "content": {"image/png": kind}}
    schema = {
        "type": "object",
        "properties": {name: reader.schema() for name, reader in READERS.items()},
    }
    errors = (*openapi.BODY_ERRORS, 404)
    return openapi.operation(
        "upscale",
        "A picture made larger.",
        answer,
        errors=errors,
        **openapi.body(schema),
    )

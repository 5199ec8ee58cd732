"""``POST /api/preprocess``: the map that a control would follow, free of charge."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from limner import imaging, pools
from limner.engine.batching.ticket import Pixels
from limner.errors import InvalidInput
from limner.imaging.preprocessing import PREPROCESSORS, Option
from limner.usecases.preprocessing import MAKERS
from limner.web import openapi
from limner.web.answers import Json, adjustments
from limner.web.application import Application
from limner.web.drawing import Api, unless_gone
from limner.web.reading import body, controls, maps, ranges
from limner.web.reading.fields import Flag, Reader, read

_SIDE = 512
_TAKEN = ("image", "preprocessor", "options", "pose", "resize_mode")
READERS: Mapping[str, Reader] = {
    **{name: controls.READERS[name] for name in _TAKEN},
    "width": ranges.ANY_SIDE,
    "height": ranges.ANY_SIDE,
    "base64": Flag(),
}


def install(app: Application, api: Api) -> None:
    """Add the routes."""

    async def preprocess(request: Request) -> Response:
        settings = api.settings
        fields = await body.read_object(
            request, max_bytes=settings.body_max_bytes, max_s=settings.body_max_s
        )
        values, notes = read(READERS, {}, fields)
        pixels, told = await unless_gone(request, _made(api, request, values))
        png = await pools.FILES.run(imaging.to_png, pixels)
        notes += told
        headers = {"x-adjustments": adjustments(notes)} if notes else None
        if values.get("base64", False):
            return Json({"image": base64.b64encode(png).decode()}, headers=headers)
        return Response(png, headers=headers, media_type="image/png")

    async def listed(_: Request) -> Response:
        networks = await pools.MODELS.run(api.services.preprocessing.listed)
        rows = [_row(name, row.makes, row.options) for name, row in PREPROCESSORS.items()]
        for entry in networks:
            maker = MAKERS[entry.facts.kind]
            rows.append(_row(entry.name, maker.makes, maker.options))
        return Json(rows)

    app.add_api_route("/api/preprocess", preprocess, methods=["POST"], **_operation())
    answer = openapi.list_answer(
        "`options` are numbers by name: `default`, `low`, `high`.",
        {"name": {"type": "string"}, "makes": {"type": "string"}, "options": {"type": "object"}},
    )
    app.add_api_route(
        "/api/preprocessors",
        listed,
        methods=["GET"],
        **openapi.operation("preprocessors", "What makes maps.", answer, errors=(401, 403, 500)),
    )


async def _made(api: Api, request: Request, values: dict[str, Any]) -> tuple[Pixels, list[str]]:
    """The map at the size that is asked for, else of the picture's own."""
    intake = api.intake(request)
    width, height = values.get("width"), values.get("height")
    if "pose" in values:
        size = width or _SIDE, height or _SIDE
        return await pools.WORDS.run(controls.drawn, values["pose"], *size), []
    if "image" not in values:
        raise InvalidInput("image", "image is missing; send a picture, or pose for a pose")
    if (width is None) != (height is None):
        raise InvalidInput("width", "width and height belong together; send both or none")
    chosen = controls.chosen(values.get("preprocessor"))
    maker = await maps.maker(intake, "", chosen, values.get("options", {}))
    fitted = {
        "width": width,
        "height": height,
        "resize_mode": values.get("resize_mode", "crop"),
    }
    return await maps.made(
        intake, maker, "image", values["image"], imaging.CONTROL_BYTES_MAX, **fitted
    )


def _row(name: str, makes: str, options: Mapping[str, Option]) -> dict[str, Any]:
    numbers = {
        each: {"default": option.default, "low": option.low, "high": option.high}
        for each, option in options.items()
    }
    return {"name": name, "makes": makes, "options": numbers}


def _operation() -> dict[str, Any]:
    kind = {"schema": {"type": "string", "format": "binary"}}
    answer = {"description": "The map.", "content": {"image/png": kind}}
    schema = {
        "type": "object",
        "properties": {name: reader.schema() for name, reader in READERS.items()},
    }
    return openapi.operation(
        "preprocess",
        "The map that a control would follow.",
        answer,
        errors=openapi.BODY_ERRORS,
        **openapi.body(schema),
    )

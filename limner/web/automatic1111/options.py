"""What AUTOMATIC1111's clients read and set around their drawings: options, lists, PNG info."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from limner import pools
from limner.domain.model import ModelInfo
from limner.errors import InvalidInput, MalformedBody, ModelLoading
from limner.web.answers import Json, adjustments
from limner.web.automatic1111 import docs, lists, methods
from limner.web.automatic1111 import info as told
from limner.web.automatic1111.form import CLIP_SKIP, read_clip_skip
from limner.web.drawing import Desk, unless_gone
from limner.web.reading import body, mixing
from limner.web.reading.fields import shown

ROOT = "/sdapi/v1"
KEYS_MAX = 10_000


class Options:
    """What each key has set; nothing that one key sets acts for another."""

    def __init__(self) -> None:
        self._options: OrderedDict[str, dict[str, Any]] = OrderedDict()

    def of(self, key_id: str) -> dict[str, Any]:
        """The options of a key."""
        return self._options.get(key_id, {})

    def set(self, key_id: str, values: dict[str, Any]) -> None:
        """Add to the options of a key; the keys heard of longest ago are forgotten."""
        self._options[key_id] = {**self.of(key_id), **values}
        self._options.move_to_end(key_id)
        while len(self._options) > KEYS_MAX:
            self._options.popitem(last=False)


def install(app: FastAPI, desk: Desk, options: Options) -> None:
    """Add the routes."""
    _install_options(app, desk, options)
    _install_lists(app, desk)
    app.add_api_route(
        f"{ROOT}/png-info", _reader(desk), methods=["POST"], **docs.png_info_operation()
    )


def _install_options(app: FastAPI, desk: Desk, options: Options) -> None:
    async def show(request: Request) -> Response:
        return Json(_options(desk, options.of(request.state.caller.id)))

    async def change(request: Request) -> Response:
        fields = await read_body(request, desk)
        asked, model = fields.get("sd_model_checkpoint"), _model(desk)
        known = set(lists.models(model)[0].values())
        if asked and asked not in known:
            raise InvalidInput(
                "sd_model_checkpoint",
                f"sd_model_checkpoint is {shown(asked)}; this server has loaded "
                f"{lists.title(model)} and no other",
            )
        if (layers := fields.get(CLIP_SKIP)) is not None:
            options.set(request.state.caller.id, {CLIP_SKIP: read_clip_skip(layers)})
        return Json({})

    path = f"{ROOT}/options"
    app.add_api_route(path, show, methods=["GET"], **docs.object_operation("options"))
    app.add_api_route(path, change, methods=["POST"], **docs.set_options_operation())


def _options(desk: Desk, own: Mapping[str, Any]) -> dict[str, Any]:
    model = _model(desk)
    return {
        "sd_model_checkpoint": lists.title(model),
        "sd_checkpoint_hash": model.sha256,
        "sd_vae": "Automatic",
        "samples_format": "png",
        CLIP_SKIP: 1,
        **own,
    }


def _install_lists(app: FastAPI, desk: Desk) -> None:
    flags = {"api": True, "nowebui": True, "listen": desk.settings.host}
    makers: dict[str, Callable[[], Any]] = {
        **lists.EMPTY,
        "samplers": methods.listed,
        "schedulers": methods.schedules,
        "sd-models": lambda: lists.models(_model(desk)),
        "prompt-styles": lambda: lists.styles(mixing.catalogue(desk.settings)),
        "cmd-flags": lambda: flags,
    }
    for name, make in makers.items():
        app.add_api_route(
            f"{ROOT}/{name}", _lister(make), methods=["GET"], **docs.list_operation(name)
        )


def _lister(make: Callable[[], Any]) -> Callable[[Request], Awaitable[Response]]:
    async def show(_: Request) -> Response:
        return Json(make())

    return show


def _reader(desk: Desk) -> Callable[[Request], Awaitable[Response]]:
    async def png_info(request: Request) -> Response:
        fields = await read_body(request, desk)
        image = fields.get("image")
        if not isinstance(image, str):
            raise InvalidInput("image", f"image is {shown(image)}; it must be a picture as base64")
        reading = desk.intake(request).run("metadata", "image", image)
        found = (await unless_gone(request, reading)).metadata
        items: dict[str, Any] = {"parameters": found.parameters} if found.parameters else {}
        if found.receipt:
            items["limner"] = found.receipt
        text = found.parameters
        parameters = await pools.WORDS.run(told.parse, text) if text else {}
        told_aside = {"x-adjustments": adjustments(found.notes)} if found.notes else None
        found_in = {"info": found.parameters, "items": items, "parameters": parameters}
        return Json(found_in, headers=told_aside)

    return png_info


async def read_body(request: Request, desk: Desk) -> dict[str, Any]:
    """The body's object; clients that forget the content type send JSON all the same."""
    settings = desk.settings
    data = await body.read_bytes(
        request, max_bytes=settings.body_max_bytes, max_s=settings.body_max_s
    )
    if not data or data.isspace():
        raise MalformedBody("The body is empty; send a JSON object")
    return await pools.BODIES.run(body.parse_json, data)


def _model(desk: Desk) -> ModelInfo:
    status = desk.services.engine.status()
    if status.model is None:
        raise ModelLoading(status.message or "The model is still loading", 2)
    return status.model

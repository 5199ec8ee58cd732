"""What AUTOMATIC1111's clients read and set around their drawings: options, lists, PNG info."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from limner import pools
from limner.domain import automatic1111
from limner.domain.infotext import parsing
from limner.domain.model import Card
from limner.errors import InvalidInput, MalformedBody, ModelLoading
from limner.usecases.drawing.choosing import Chosen
from limner.web.answers import Json, adjustments
from limner.web.application import Application
from limner.web.automatic1111 import docs, library, lists
from limner.web.automatic1111.form import CLIP_SKIP, read_clip_skip
from limner.web.drawing import Api, unless_gone
from limner.web.reading import body, mixing
from limner.web.reading.fields import shown

ROOT = "/sdapi/v1"
# What a key may set, and what acts where it has not.
_MINE = (library.CHECKPOINT, library.VAE, CLIP_SKIP)


def install(app: Application, api: Api) -> None:
    """Add the routes."""
    _install_options(app, api)
    _install_lists(app, api)
    app.add_api_route(
        f"{ROOT}/png-info", _reader(api), methods=["POST"], **docs.png_info_operation()
    )


def _install_options(app: Application, api: Api) -> None:
    async def show(request: Request) -> Response:
        own = await api.services.accounts.options(request.state.caller)
        return Json(await pools.MODELS.run(_options, api, await _chosen(api, own), own))

    async def change(request: Request) -> Response:
        fields = await read_body(request, api)
        given = {name: fields[name] for name in _MINE if fields.get(name) is not None}
        choice = await library.choose(api.services.generate.choose, given, [])
        if choice is not None and choice.model == choice.vae == "":
            given = {**given, library.CHECKPOINT: None} if library.CHECKPOINT in given else given
        if CLIP_SKIP in given:
            given[CLIP_SKIP] = read_clip_skip(given[CLIP_SKIP])
        if given:
            await api.services.accounts.set_options(request.state.caller, given)
        return Json({})

    path = f"{ROOT}/options"
    app.add_api_route(path, show, methods=["GET"], **docs.object_operation("options"))
    app.add_api_route(path, change, methods=["POST"], **docs.set_options_operation())


async def _chosen(api: Api, own: Mapping[str, Any]) -> Chosen:
    """The model that a key's options choose, or the server's own where that is no longer here."""
    try:
        choice = await library.choose(api.services.generate.choose, own, [])
    except InvalidInput:
        choice = await api.services.generate.choose()
    if choice is None:
        raise ModelLoading(api.services.engine.status().message or "The model is still loading", 2)
    return choice


def _options(api: Api, choice: Chosen, own: Mapping[str, Any]) -> dict[str, Any]:
    model = choice.card
    sha256 = model.source_sha256 or model.sha256
    rows = [row for row in _checkpoints(api) if row["sha256"] == sha256]
    rows.sort(key=lambda row: row["model_name"] not in choice.names)  # of equal files, this one
    title = rows[0]["title"] if rows else library.title(model.name, model.short_hash)
    return {
        "sd_checkpoint_hash": model.sha256,
        "samples_format": "png",
        CLIP_SKIP: 1,
        library.VAE: "Automatic",
        **own,
        library.CHECKPOINT: title,
    }


def _checkpoints(api: Api) -> list[dict[str, Any]]:
    return library.checkpoints(_model(api), api.services.models.entries())


def _install_lists(app: Application, api: Api) -> None:
    flags = {"api": True, "nowebui": True, "listen": api.settings.host}
    entries = api.services.models.entries
    makers: dict[str, Callable[[], Any]] = {
        **lists.EMPTY,
        "samplers": automatic1111.listed,
        "schedulers": automatic1111.schedules,
        "sd-models": lambda: _checkpoints(api),
        "sd-vae": lambda: library.vaes(entries()),
        "loras": lambda: library.loras(entries()),
        "embeddings": lambda: library.embeddings(entries()),
        "upscalers": lambda: library.upscalers(entries()),
        "latent-upscale-modes": lists.latent_modes,
        "prompt-styles": lambda: lists.styles(mixing.catalogue(api.settings)),
        "cmd-flags": lambda: flags,
    }
    for name, make in makers.items():
        app.add_api_route(
            f"{ROOT}/{name}", lister(make), methods=["GET"], **docs.list_operation(name)
        )


def lister(make: Callable[[], Any]) -> Callable[[Request], Awaitable[Response]]:
    """A handler that answers what ``make`` finds, which may read files."""

    async def show(_: Request) -> Response:
        return await pools.MODELS.run(lambda: Json(make()))

    return show


def _reader(api: Api) -> Callable[[Request], Awaitable[Response]]:
    async def png_info(request: Request) -> Response:
        fields = await read_body(request, api)
        image = fields.get("image")
        if not isinstance(image, str):
            raise InvalidInput("image", f"image is {shown(image)}; it must be a picture as base64")
        reading = api.intake(request).run("metadata", "image", image)
        found = (await unless_gone(request, reading)).metadata
        items: dict[str, Any] = {"parameters": found.parameters} if found.parameters else {}
        if found.receipt:
            items["limner"] = found.receipt
        text = found.parameters
        parameters = await pools.WORDS.run(parsing.parse, text) if text else {}
        told_aside = {"x-adjustments": adjustments(found.notes)} if found.notes else None
        found_in = {"info": found.parameters, "items": items, "parameters": parameters}
        return Json(found_in, headers=told_aside)

    return png_info


async def read_body(request: Request, api: Api) -> dict[str, Any]:
    """The body's object; clients that forget the content type send JSON all the same."""
    settings = api.settings
    data = await body.read_bytes(
        request, max_bytes=settings.body_max_bytes, max_s=settings.body_max_s
    )
    if not data or data.isspace():
        raise MalformedBody("The body is empty; send a JSON object")
    return await pools.BODIES.run(body.parse_json, data)


def _model(api: Api) -> Card:
    status = api.services.engine.status()
    if status.model is None:
        raise ModelLoading(status.message or "The model is still loading", 2)
    return status.model

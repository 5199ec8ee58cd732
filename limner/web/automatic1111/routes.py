"""AUTOMATIC1111's surface at the host's root: ``/sdapi/v1``."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from limner import pools
from limner.domain.passes import steps_of
from limner.domain.pricing import as_text
from limner.errors import Aborted
from limner.usecases.drawing.orders import Order, Outcome
from limner.usecases.queueing import following
from limner.web.answers import Json
from limner.web.application import Application
from limner.web.automatic1111 import controlnet, docs, extras, form, options, progressing
from limner.web.automatic1111 import info as told
from limner.web.automatic1111.fields import IMG2IMG, TXT2IMG
from limner.web.automatic1111.options import ROOT
from limner.web.automatic1111.progressing import CallProgress, InProgress
from limner.web.drawing import Api
from limner.web.pictures import encode
from limner.web.reading import body, mixing
from limner.web.reading.fields import Reader

SURFACE = "automatic1111"


def install(app: Application, api: Api) -> None:
    """Add the routes."""
    in_progress: InProgress = {}
    for name, readers in (("txt2img", TXT2IMG), ("img2img", IMG2IMG)):
        app.add_api_route(
            f"{ROOT}/{name}",
            _drawer(api, in_progress, readers),
            methods=["POST"],
            **docs.draw_operation(name, readers, form.DEFAULTS),
        )
    _install_control(app, api, in_progress)
    options.install(app, api)
    controlnet.install(app, api)
    extras.install(app, api)


def _drawer(
    api: Api, in_progress: InProgress, readers: Mapping[str, Reader]
) -> Callable[[Request], Awaitable[Response]]:
    async def draw(request: Request) -> Response:
        async with api.account(request):
            fields = await options.read_body(request, api)
            asked = form.ask(fields, readers)
            digest = await body.digest_of(request, fields)
            rest = {name: value for name, value in fields.items() if name not in form.PICTURES}
            del fields  # or its pictures would stay until it is answered
            drawn = await _run(request, api, in_progress, asked, digest)
        return await _answer(api, asked, drawn, rest)

    return draw


async def _run(
    request: Request, api: Api, in_progress: InProgress, asked: form.Asked, digest: str
) -> Outcome | form.Drawing:
    """Draw; what was to be drawn where the caller interrupted it."""
    key_id, settings = request.state.caller.id, api.settings
    call = CallProgress(asked.samples, asked.values["steps"])
    made: list[form.Drawing] = []

    async def make() -> Order:
        catalogue = mixing.catalogue(settings)
        chosen = await api.services.accounts.options(request.state.caller)
        drawing = await form.to_drawing(asked, api.intake(request), catalogue, chosen)
        made.append(drawing)
        call.steps = steps_of(drawing.lines[0])
        call.samples = sum(line.samples for line in drawing.lines)
        return Order(
            lines=drawing.lines,
            surface=SURFACE,
            slug=settings.slug,
            body_sha256=digest,
            pixels=drawing.pixels,
            adjustments=drawing.adjustments,
            on_event=call.hear,
            choice=drawing.choice,
        )

    calls = in_progress.setdefault(key_id, [])
    calls.append(call)
    try:
        return await api.draw(request, digest, make)
    except Aborted:
        if not made:
            raise
        request.state.headers["x-cost"] = as_text(0)
        return made[0]
    finally:
        calls.remove(call)
        if not calls:
            in_progress.pop(key_id, None)


async def _answer(
    api: Api, asked: form.Asked, drawn: Outcome | form.Drawing, fields: Mapping[str, Any]
) -> Response:
    images: list[str] = []
    if isinstance(drawn, Outcome) and asked.values["send_images"]:
        metadata = api.settings.embed_metadata
        files = await pools.FILES.run(encode, drawn, "png", metadata=metadata)
        images = [base64.b64encode(data).decode() for data in files.data]
    said = {
        "images": images,
        "parameters": told.echo(asked, fields),
        "info": told.info(asked, drawn),
    }
    return await pools.FILES.run(Json, said)  # it repeats the body, which may be long


def _install_control(app: Application, api: Api, in_progress: InProgress) -> None:
    async def progress(request: Request) -> Response:
        caller, wanted = request.state.caller, request.query_params.get("skip_current_image", "")
        calls = list(in_progress.get(caller.id, []))
        for job, notes in await following.drawn_elsewhere(api.services.queue, caller, SURFACE):
            calls.append(progressing.of_notes(job, notes))
        return Json(await pools.FILES.run(progressing.told, calls, wanted.lower() != "true"))

    async def interrupt(request: Request) -> Response:
        caller, queue = request.state.caller, api.services.queue
        for request_id in await following.drawn(queue, caller, SURFACE):
            await queue.cancel(caller, request_id)
        return Json({})

    async def refresh(_: Request) -> Response:
        await pools.MODELS.run(api.services.models.refresh)
        return Json({})

    app.add_api_route(f"{ROOT}/progress", progress, methods=["GET"], **docs.progress_operation())
    for name, handler in (
        ("interrupt", interrupt),
        ("skip", interrupt),
        ("refresh-checkpoints", refresh),
        ("refresh-loras", refresh),
        ("refresh-vae", refresh),
    ):
        app.add_api_route(f"{ROOT}/{name}", handler, methods=["POST"], **docs.done_operation(name))

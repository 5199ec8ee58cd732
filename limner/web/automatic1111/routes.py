"""AUTOMATIC1111's surface at the host's root: ``/sdapi/v1``."""

from __future__ import annotations

import base64
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from limner import imaging, pools
from limner.domain.pricing import as_text
from limner.engine.batching.ticket import Drawn, Event, Pixels, Progress
from limner.errors import Aborted
from limner.usecases.drawing.orders import Order, Outcome
from limner.web.answers import Json
from limner.web.application import Application
from limner.web.automatic1111 import controlnet, docs, form, options
from limner.web.automatic1111 import info as told
from limner.web.automatic1111.fields import IMG2IMG, TXT2IMG
from limner.web.automatic1111.options import ROOT
from limner.web.drawing import Api
from limner.web.pictures import encode
from limner.web.reading import body, mixing
from limner.web.reading.fields import Reader

SURFACE = "automatic1111"


@dataclass(eq=False)
class CallProgress:
    """How far each picture of a call is that is being drawn."""

    samples: int
    steps: int
    began: float = field(default_factory=time.monotonic)
    done: dict[int, float] = field(default_factory=dict)
    step: int = 0
    preview: Pixels | None = None

    def hear(self, event: Event) -> None:
        """Follow the drawing; on the event loop."""
        if isinstance(event, Progress):
            self.done[event.index] = event.evaluation / event.evaluations
            self.step = event.step
            if event.preview is not None:
                self.preview = event.preview
        elif isinstance(event, Drawn):
            self.done[event.index] = 1.0


InProgress = dict[str, list[CallProgress]]
"""The calls of each key that are being drawn, by its id, oldest first."""


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
        calls = in_progress.get(request.state.caller.id, [])
        wanted = request.query_params.get("skip_current_image", "").lower() != "true"
        return Json(await pools.FILES.run(_progress, list(calls), wanted))

    async def interrupt(request: Request) -> Response:
        caller, queue = request.state.caller, api.services.queue
        for request_id in queue.running(caller, SURFACE):
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


def _progress(calls: list[CallProgress], wanted: bool) -> dict[str, Any]:
    """All calls of a key taken together; ``step`` and preview are of the oldest."""
    samples = sum(call.samples for call in calls)
    done = sum(sum(call.done.values()) for call in calls)
    share = done / samples if samples else 0.0
    first = calls[0] if calls else None
    elapsed = time.monotonic() - first.began if first else 0.0
    preview = first.preview if first and wanted else None
    return {
        "progress": round(share, 4),
        "eta_relative": round(elapsed / share - elapsed, 3) if share else 0.0,
        "state": {
            "skipped": False,
            "interrupted": False,
            "job": f"{len(calls)} running" if calls else "",
            "job_count": samples,
            "job_no": int(done),
            "sampling_step": first.step if first else 0,
            "sampling_steps": first.steps if first else 0,
        },
        "current_image": (
            None if preview is None else base64.b64encode(imaging.to_png(preview)).decode()
        ),
        "textinfo": None,
    }

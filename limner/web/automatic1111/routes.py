"""AUTOMATIC1111's surface at the host's root: ``/sdapi/v1``."""

from __future__ import annotations

import base64
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from limner import imaging, pools
from limner.engine.batching.ticket import Drawn, Event, Pixels, Progress
from limner.errors import Aborted
from limner.usecases.drawing.orders import Order, Outcome
from limner.web.answers import Json
from limner.web.automatic1111 import docs, form, options
from limner.web.automatic1111 import info as told
from limner.web.automatic1111.fields import IMG2IMG, TXT2IMG
from limner.web.automatic1111.options import ROOT
from limner.web.drawing import Desk
from limner.web.pictures import encode
from limner.web.reading import body, mixing
from limner.web.reading.fields import Reader

SURFACE = "automatic1111"


@dataclass(eq=False)
class Sitting:
    """One call while it is drawn: how far each of its pictures is."""

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


@dataclass(frozen=True)
class Studio:
    """What the surface remembers of each key: its calls in progress."""

    sittings: dict[str, list[Sitting]] = field(default_factory=dict)


def install(app: FastAPI, desk: Desk) -> None:
    """Add the routes."""
    studio = Studio()
    for name, readers in (("txt2img", TXT2IMG), ("img2img", IMG2IMG)):
        app.add_api_route(
            f"{ROOT}/{name}",
            _drawer(desk, studio, readers),
            methods=["POST"],
            **docs.draw_operation(name, readers, form.DEFAULTS),
        )
    _install_control(app, desk, studio)
    options.install(app, desk)


def _drawer(
    desk: Desk, studio: Studio, readers: Mapping[str, Reader]
) -> Callable[[Request], Awaitable[Response]]:
    async def draw(request: Request) -> Response:
        async with desk.account(request):
            fields = await options.read_body(request, desk)
            asked = form.ask(fields, readers)
            digest = await body.digest_of(request, fields)
            rest = {name: value for name, value in fields.items() if name not in form.PICTURES}
            del fields  # or its pictures would stay until it is answered
            drawn = await _sit(request, desk, studio, asked, digest)
        return await _answer(desk, asked, drawn, rest)

    return draw


async def _sit(
    request: Request, desk: Desk, studio: Studio, asked: form.Asked, digest: str
) -> Outcome | form.Drawing:
    """Draw; what was to be drawn where the caller interrupted it."""
    key_id, settings = request.state.caller.id, desk.settings
    sitting = Sitting(asked.samples, asked.values["steps"])
    made: list[form.Drawing] = []

    async def make() -> Order:
        catalogue = mixing.catalogue(settings)
        chosen = await desk.services.accounts.options(request.state.caller)
        drawing = await form.to_drawing(asked, desk.intake(request), catalogue, chosen)
        made.append(drawing)
        sitting.samples = sum(line.samples for line in drawing.lines)
        return Order(
            lines=drawing.lines,
            surface=SURFACE,
            slug=settings.slug,
            body_sha256=digest,
            pixels=drawing.pixels,
            adjustments=drawing.adjustments,
            on_event=sitting.hear,
            choice=drawing.choice,
        )

    sittings = studio.sittings.setdefault(key_id, [])
    sittings.append(sitting)
    try:
        return await desk.draw(request, digest, make)
    except Aborted:
        if not made:
            raise
        return made[0]
    finally:
        sittings.remove(sitting)
        if not sittings:
            studio.sittings.pop(key_id, None)


async def _answer(
    desk: Desk, asked: form.Asked, drawn: Outcome | form.Drawing, fields: Mapping[str, Any]
) -> Response:
    images: list[str] = []
    if isinstance(drawn, Outcome) and asked.values["send_images"]:
        metadata = desk.settings.embed_metadata
        files = await pools.FILES.run(encode, drawn, "png", metadata=metadata)
        images = [base64.b64encode(data).decode() for data in files.data]
    said = {
        "images": images,
        "parameters": told.echo(asked, fields),
        "info": told.info(asked, drawn),
    }
    return await pools.FILES.run(Json, said)  # it repeats the body, which may be long


def _install_control(app: FastAPI, desk: Desk, studio: Studio) -> None:
    async def progress(request: Request) -> Response:
        sittings = studio.sittings.get(request.state.caller.id, [])
        wanted = request.query_params.get("skip_current_image", "").lower() != "true"
        return Json(await pools.FILES.run(_progress, list(sittings), wanted))

    async def interrupt(request: Request) -> Response:
        caller, queue = request.state.caller, desk.services.queue
        for request_id in queue.running(caller, SURFACE):
            await queue.cancel(caller, request_id)
        return Json({})

    async def refresh(_: Request) -> Response:
        await pools.MODELS.run(desk.services.models.refresh)
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


def _progress(sittings: list[Sitting], wanted: bool) -> dict[str, Any]:
    """All calls of a key taken together; ``step`` and preview are of the oldest."""
    samples = sum(sitting.samples for sitting in sittings)
    done = sum(sum(sitting.done.values()) for sitting in sittings)
    share = done / samples if samples else 0.0
    first = sittings[0] if sittings else None
    elapsed = time.monotonic() - first.began if first else 0.0
    preview = first.preview if first and wanted else None
    return {
        "progress": round(share, 4),
        "eta_relative": round(elapsed / share - elapsed, 3) if share else 0.0,
        "state": {
            "skipped": False,
            "interrupted": False,
            "job": f"{len(sittings)} running" if sittings else "",
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

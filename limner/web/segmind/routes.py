"""The vendor's surface: ``POST /v1/{slug}`` and ``GET /v1/get-user-credits``."""

from __future__ import annotations

import base64
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from limner import imaging, pools
from limner.domain.pricing import as_credits, as_text
from limner.errors import InvalidInput
from limner.settings import Settings
from limner.usecases.drawing.orders import Order, Outcome
from limner.web import openapi, pictures
from limner.web.answers import Json, adjustments
from limner.web.application import Application
from limner.web.drawing import Api
from limner.web.pictures import Encoded
from limner.web.reading import body
from limner.web.reading import form as wire
from limner.web.reading.intake import Intake
from limner.web.segmind import following, siblings
from limner.web.stored import SUFFIXES, picture_url

SURFACE = "segmind"


def install(app: Application, api: Api) -> None:
    """Add the routes: one for the slug and each of its aliases, and one for each sibling."""

    async def credits(request: Request) -> Response:
        standing = await api.services.accounts.standing(request.state.caller)
        return Json({"credits": as_credits(standing.available_micro), "free-credits": 0})

    for slug, form in forms(api.settings).items():
        app.add_api_route(
            f"/v1/{slug}",
            _drawer(api, form),
            methods=["POST"],
            **openapi.draw_operation(slug, form),
        )
    app.add_api_route(
        "/v1/get-user-credits", credits, methods=["GET"], **openapi.credits_operation()
    )


def forms(settings: Settings) -> dict[str, wire.Form]:
    """What is served, by slug: the model, its aliases, those bound to others, and the siblings."""
    own = dict.fromkeys((settings.slug, *settings.aliases), wire.FORM)
    bound = {
        slug: replace(form, defaults={**form.defaults, _bound(form): settings.slugs[slug]})
        for slug, form in {
            **siblings.FORMS,
            **dict.fromkeys(settings.slugs, wire.FORM),
            **own,
        }.items()
        if slug in settings.slugs
    }
    return {**siblings.FORMS, **own, **bound}


def _bound(form: wire.Form) -> str:
    """Which file a slug can be bound to: the checkpoint, or the control that it is for."""
    return "model" if form.control is None else "control"


async def read_call(
    request: Request, api: Api, form: wire.Form = wire.FORM, *, mixed: bool = False
) -> tuple[wire.Call, str]:
    """The call of a request, its pictures unread, and the digest of its body.

    ``mixed``: the answer has room for several pictures, whatever the request accepts.
    """
    asked, digest = await read_asked(request, api, form, mixed=mixed)
    return await wire.plan(asked, api.settings), digest


async def read_asked(
    request: Request, api: Api, form: wire.Form, *, mixed: bool = False
) -> tuple[wire.Asked, str]:
    """The same before anything is fetched or left to chance."""
    settings = api.settings
    fields = await body.read_object(
        request, max_bytes=settings.body_max_bytes, max_s=settings.body_max_s
    )
    mixed = mixed or "multipart/mixed" in request.headers.get("accept", "").lower()
    asked = wire.ask(fields, settings, mixed=mixed, form=form)
    return asked, await body.digest_of(request, fields)


def _drawer(api: Api, form: wire.Form) -> Callable[[Request], Awaitable[Response]]:
    async def draw(request: Request) -> Response:
        return await draw_call(request, api, form, to_order)

    return draw


async def draw_call(
    request: Request, api: Api, form: wire.Form, order: Callable[[Request, wire.Call, str], Order]
) -> Response:
    """Draw what a body of ``form`` asks for and answer with the pictures, as this surface does.

    ``order`` makes the order of the call and the digest of its body.
    """
    async with api.account(request):
        asked, digest = await read_asked(request, api, form)

        async def make() -> Order:
            return order(request, await to_call(asked, api.intake(request)), digest)

        outcome = await api.draw(request, digest, make)
    request.state.headers["x-remaining-credits"] = as_text(outcome.remaining_micro)
    receipt = outcome.pictures[0].receipt
    files = await pools.FILES.run(
        pictures.encode,
        outcome,
        asked.format,
        metadata=asked.metadata,
        grid=asked.grid,
        sprite_pixels=await api.sprite_pixels(receipt) if asked.sprite else None,
    )
    maps = await api.maps(request, outcome) if asked.values["return_control"] else []
    firsts = await pools.FILES.run(
        pictures.first_passes, outcome, asked.format, metadata=asked.metadata
    )
    notes = (*_told(api.settings, asked, outcome, files), *files.notes)
    response = _answer(asked, outcome, files, maps, firsts)
    response.headers.update(result_headers(asked.format, outcome, files))
    if notes:
        response.headers["x-adjustments"] = adjustments(notes)
    return response


async def to_call(asked: wire.Asked, intake: Intake) -> wire.Call:
    """The call of a body, with its model and pictures.

    Raises ``InvalidInput``, also for sprites of a model that paints none.
    """
    if asked.form.control is not None:
        asked = await following.followed(asked, asked.form.control, intake)
    call = await wire.to_call(asked, intake)
    card = None if call.choice is None else call.choice.card
    if asked.sprite and card is not None and card.sprite_pixels is None:
        raise InvalidInput("output", f"output is sprite, but {card.name} paints no sprites")
    return call


def to_order(request: Request, call: wire.Call, digest: str, notes: Sequence[str] = ()) -> Order:
    """The order of a call; ``notes`` are told beside the call's own."""
    return Order(
        lines=call.lines,
        surface=SURFACE,
        slug=request.url.path.rpartition("/")[2],
        body_sha256=digest,
        pixels=call.pixels,
        adjustments=(*call.notes, *notes),
        idempotency_key=request.headers.get("idempotency-key"),
        choice=call.choice,
    )


def _told(
    settings: Settings, asked: wire.Asked, outcome: Outcome, files: Encoded
) -> tuple[str, ...]:
    """The adjustments of what was drawn; for a replay that may be another number than asked now."""
    number, told = len(files.data), outcome.adjustments
    if asked.base64:
        return told
    if outcome.first_passes:
        suffix = SUFFIXES[asked.format]
        urls = [picture_url(settings, each.id, suffix) for each in outcome.first_passes]
        told += (f"hires.first_pass: {', '.join(urls)}",)
    if asked.mixed or number == 1:
        return told
    return (*told, f"the first of {number} pictures drawn and billed is answered")


def _answer(
    asked: wire.Asked,
    outcome: Outcome,
    files: Encoded,
    maps: Sequence[str],
    firsts: Sequence[bytes],
) -> Response:
    media_type = imaging.MEDIA_TYPES[asked.format]
    if asked.base64:
        texts = [base64.b64encode(data).decode() for data in files.data]
        image = texts[0] if asked.grid or outcome.samples == 1 else texts
        seconds = round(outcome.infer_seconds, 3)
        told: dict[str, Any] = {"image": image, "status": "Success", "infer_time": seconds}
        if firsts:
            told["first_passes"] = [base64.b64encode(data).decode() for data in firsts]
        return Json({**told, "controls": maps} if asked.values["return_control"] else told)
    if asked.mixed and len(files.data) > 1:
        return _mixed(outcome, files.data, media_type)
    return Response(files.data[0], media_type=media_type)


def _mixed(outcome: Outcome, files: Sequence[bytes], media_type: str) -> Response:
    boundary = f"limner-{outcome.request_id}"
    parts = []
    for picture, data in zip(outcome.pictures, files, strict=True):
        head = (
            f"--{boundary}\r\nContent-Type: {media_type}\r\n"
            f"Content-Length: {len(data)}\r\nX-Seed-Value: {picture.seed}\r\n\r\n"
        )
        parts.append(head.encode() + data + b"\r\n")
    parts.append(f"--{boundary}--\r\n".encode())
    return Response(b"".join(parts), media_type=f"multipart/mixed; boundary={boundary}")


def result_headers(format: imaging.Format, outcome: Outcome, files: Encoded) -> dict[str, str]:
    """What came of a call, on the answer with its pictures."""
    seeds = [picture.seed for picture in outcome.pictures]
    shape: dict[str, Any] = {
        "height": files.height,
        "width": files.width,
        "samples": len(seeds),
        "seeds": seeds,
        "format": format,
    }
    return {
        "x-generation-time": f"{outcome.infer_seconds:.3f}",
        "x-seed-value": str(seeds[0]),
        "x-output-metadata": json.dumps(shape),
    }

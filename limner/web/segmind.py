"""The vendor's surface: ``POST /v1/{slug}`` and ``GET /v1/get-user-credits``."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from limner import imaging
from limner.domain.pricing import as_credits, as_text
from limner.domain.receipt import parameters_text
from limner.usecases.orders import Order, Outcome
from limner.web import body, openapi, wire
from limner.web.answers import Json, adjustments
from limner.web.desk import Desk

SURFACE = "segmind"
_TOO_LONG = "the receipt is too long for a JPEG; its id stands in its place"


def install(app: FastAPI, desk: Desk) -> None:
    """Add the routes: one for the slug and each of its aliases."""

    async def draw(request: Request) -> Response:
        return await _draw(request, desk)

    async def credits(request: Request) -> Response:
        standing = await desk.services.accounts.standing(request.state.caller)
        return Json({"credits": as_credits(standing.available_micro), "free-credits": 0})

    for name in (desk.settings.slug, *desk.settings.aliases):
        app.add_api_route(f"/v1/{name}", draw, methods=["POST"], **openapi.draw_operation(name))
    app.add_api_route(
        "/v1/get-user-credits", credits, methods=["GET"], **openapi.credits_operation()
    )


async def read_call(request: Request, desk: Desk) -> tuple[wire.Call, str]:
    """The call of a request, and the digest of its body."""
    settings = desk.settings
    fields = await body.read_object(
        request, max_bytes=settings.body_max_bytes, max_s=settings.body_max_s
    )
    mixed = "multipart/mixed" in request.headers.get("accept", "").lower()
    call = await wire.to_call(fields, settings, mixed=mixed)
    return call, body.digest(request.url.path, fields)


async def _draw(request: Request, desk: Desk) -> Response:
    try:
        call, digest = await read_call(request, desk)
        outcome = await desk.draw(request, _order(request, desk, call, digest))
    finally:
        await desk.show_standing(request)
    request.state.headers["x-remaining-credits"] = as_text(outcome.remaining_micro)
    files, notes = await asyncio.to_thread(_encode, call, outcome)
    notes = tuple(dict.fromkeys((*call.notes, *outcome.adjustments, *notes)))
    response = _answer(call, outcome, files)
    response.headers.update(_headers(call, outcome))
    if notes:
        response.headers["x-adjustments"] = adjustments(notes)
    return response


def _order(request: Request, desk: Desk, call: wire.Call, digest: str) -> Order:
    return Order(
        generation=call.generation,
        surface=SURFACE,
        slug=desk.settings.slug,
        body_sha256=digest,
        pixels=call.pixels,
        adjustments=call.notes,
        idempotency_key=request.headers.get("idempotency-key"),
    )


def _encode(call: wire.Call, outcome: Outcome) -> tuple[list[bytes], tuple[str, ...]]:
    """The pictures as files of the format asked for, and what has to be said about them."""
    pictures = [imaging.read_image(picture.png) for picture in outcome.pictures]
    described = [
        imaging.Metadata(parameters_text(picture.receipt), picture.receipt)
        for picture in outcome.pictures
    ]
    if call.grid:
        pictures, described = [imaging.grid(pictures)], described[:1]
    files, notes = [], []
    for pixels, metadata in zip(pictures, described, strict=True):
        files.append(imaging.encode(pixels, call.format, metadata if call.metadata else None))
        if call.metadata and call.format == "jpeg" and imaging.fit_jpeg(metadata) is not metadata:
            notes.append(_TOO_LONG)
    return files, tuple(notes)


def _answer(call: wire.Call, outcome: Outcome, files: Sequence[bytes]) -> Response:
    media_type = imaging.MEDIA_TYPES[call.format]
    if call.base64:
        texts = [base64.b64encode(data).decode() for data in files]
        image = texts[0] if call.grid or call.generation.samples == 1 else texts
        seconds = round(outcome.infer_seconds, 3)
        return Json({"image": image, "status": "Success", "infer_time": seconds})
    if call.mixed and len(files) > 1:
        return _mixed(outcome, files, media_type)
    return Response(files[0], media_type=media_type)


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


def _headers(call: wire.Call, outcome: Outcome) -> dict[str, str]:
    seeds = [picture.seed for picture in outcome.pictures]
    shape: dict[str, Any] = {
        "height": call.generation.height,
        "width": call.generation.width,
        "samples": len(seeds),
        "seeds": seeds,
        "format": call.format,
    }
    headers = {
        "x-generation-time": f"{outcome.infer_seconds:.3f}",
        "x-cost": as_text(outcome.cost_micro),
        "x-seed-value": str(seeds[0]),
        "x-output-metadata": json.dumps(shape),
    }
    return headers | ({"x-replayed": "true"} if outcome.replayed else {})

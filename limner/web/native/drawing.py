"""``POST /api/draw``: the vendor's drawing call with the engine's own limits."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from limner.usecases.drawing.orders import Order
from limner.web import openapi
from limner.web.application import Application
from limner.web.drawing import Api
from limner.web.native.form import FORM
from limner.web.reading import form as wire
from limner.web.segmind import routes as segmind


def install(app: Application, api: Api) -> None:
    """Add the route."""

    def to_order(request: Request, call: wire.Call, digest: str) -> Order:
        return Order(
            lines=call.lines,
            surface="native",
            slug=api.settings.slug,
            body_sha256=digest,
            pixels=call.pixels,
            adjustments=call.notes,
            idempotency_key=request.headers.get("idempotency-key"),
            choice=call.choice,
        )

    async def draw(request: Request) -> Response:
        return await segmind.draw_call(request, api, FORM, to_order)

    operation = openapi.draw_operation("native", FORM)
    operation["summary"] = "Draw pictures, within the engine's own limits."
    app.add_api_route("/api/draw", draw, methods=["POST"], **operation)

"""Limner's own calls about drawing as such: quote, licence, model, health."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from limner.domain.pricing import as_credits
from limner.web import openapi
from limner.web.answers import Json
from limner.web.application import Application
from limner.web.drawing import Api
from limner.web.native import health, licence
from limner.web.native.form import FORM
from limner.web.reading import controls, form
from limner.web.segmind import routes as segmind


def install(app: Application, api: Api) -> None:
    """Add the routes."""
    _install_quote(app, api)
    licence.install(app, api)
    health.install(app, api)


def _install_quote(app: Application, api: Api) -> None:
    async def quote(request: Request) -> Response:
        asked, _ = await segmind.read_asked(request, api, FORM)
        choice = await api.services.generate.choose(*form.named(asked.values))
        call = await form.plan(form.fitted(asked, choice, api.settings), api.settings)
        await controls.makers(api.intake(request), asked.values["controls"])
        generate, caller = api.services.generate, request.state.caller
        prices = [await generate.quote(line, choice, caller) for line in call.lines]
        total_micro = sum(price.total_micro for price in prices)
        return Json(
            {
                "credits": as_credits(total_micro),
                "micro_credits": total_micro,
                "each_micro_credits": prices[0].each_micro,
                "rows": prices[0].rows,
                "tiles": prices[0].tiles,
                "samples": sum(price.samples for price in prices),
                "adjustments": list(call.notes),
            }
        )

    app.add_api_route("/api/quote", quote, methods=["POST"], **openapi.quote_operation(FORM))

"""Limner's own calls: quote, licence, model, health."""

from __future__ import annotations

from importlib import resources
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from limner.domain import licences
from limner.domain.model import ModelInfo
from limner.domain.pricing import as_credits
from limner.errors import ModelLoading
from limner.web import openapi
from limner.web.answers import Json
from limner.web.drawing import Desk
from limner.web.native.form import FORM
from limner.web.segmind import routes as segmind

_TEXT: dict[str, Any] = {"type": "string"}
_FLAG: dict[str, Any] = {"type": "boolean"}


def install(app: FastAPI, desk: Desk) -> None:
    """Add the routes."""
    _install_quote(app, desk)
    _install_licence(app, desk)
    _install_health(app, desk)


def _install_quote(app: FastAPI, desk: Desk) -> None:
    async def quote(request: Request) -> Response:
        call, _ = await segmind.read_call(request, desk, FORM)
        prices = [await desk.services.generate.quote(line) for line in call.lines]
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


def _install_licence(app: FastAPI, desk: Desk) -> None:
    async def show(_: Request) -> Response:
        return PlainTextResponse(licence_page(_model(desk)))

    async def accept(request: Request) -> Response:
        model = _model(desk)
        await desk.services.accounts.accept(request.state.caller, model.licence)
        version = licences.find(model.licence).version
        return Json({"accepted": True, "licence": model.licence, "version": version})

    async def about(_: Request) -> Response:
        facts = _model(desk).as_dict()
        del facts["path"]  # where the operator keeps the file is nobody's business
        return Json(facts)

    page = {"description": "The licence.", "content": {"text/plain": {"schema": _TEXT}}}
    accepted = {"accepted": _FLAG, "licence": _TEXT, "version": _TEXT}
    facts: dict[str, Any] = {name: {} for name in ModelInfo.__dataclass_fields__ if name != "path"}
    app.add_api_route(
        "/license",
        show,
        methods=["GET"],
        **openapi.operation(
            "license", "The loaded model's licence, whole.", page, errors=(500, 503), security=[]
        ),
    )
    app.add_api_route(
        "/api/license/accept",
        accept,
        methods=["POST"],
        **openapi.operation(
            "accept-license",
            "Accept the loaded model's licence for the key that calls.",
            openapi.json_answer("Recorded.", accepted),
            errors=(401, 403, 500, 503),
        ),
    )
    app.add_api_route(
        "/api/model",
        about,
        methods=["GET"],
        **openapi.operation(
            "model",
            "The loaded model: source, licence, attribution, digests, what was converted.",
            openapi.json_answer("The facts.", facts),
            errors=(401, 403, 500, 503),
        ),
    )


def _readiness(desk: Desk) -> tuple[str, str]:
    """One word for a machine and a sentence for a person."""
    status, trouble = desk.services.engine.status(), desk.services.generate.trouble()
    if desk.streams.stopping:
        return "stopping", "the server is stopping"
    if not status.ready:
        return "loading", status.message
    return ("ready", status.message) if trouble is None else ("failing", trouble)


def _install_health(app: FastAPI, desk: Desk) -> None:
    async def live(_: Request) -> Response:
        return Json({"status": "live"})

    async def ready(_: Request) -> Response:
        status, (word, message) = desk.services.engine.status(), _readiness(desk)
        counts = {"waiting": status.waiting, "running": status.running}
        body = {"status": word, "message": message, **counts}
        if word == "ready":
            return Json(body)
        return Json(body, 503, {"Retry-After": "2"})

    number = {"type": "integer"}
    seen = {"status": _TEXT, "message": _TEXT, "waiting": number, "running": number}
    for path, handler, summary, fields in (
        ("live", live, "Whether the process answers.", {"status": _TEXT}),
        ("ready", ready, "Whether it draws; 503 while it loads, stops or cannot store.", seen),
    ):
        operation = openapi.operation(
            path, summary, openapi.json_answer("Yes.", fields), security=[]
        )
        if path == "ready":
            operation["responses"][503] = openapi.json_answer("Not yet.", fields)
        app.add_api_route(f"/health/{path}", handler, methods=["GET"], **operation)


def licence_page(model: ModelInfo) -> str:
    """Who made the model, under what terms it is used, and the licence's full text."""
    licence = licences.find(model.licence)
    head = [f"{model.name} is used under {licence.name}.", *model.attribution]
    if model.conversions:
        head.append("Changed by this server: " + "; ".join(model.conversions) + ".")
    if licence.needs_acceptance:
        head.append(
            "Whoever draws with it must keep to the licence's paragraph 5 and Attachment A. "
            "A key draws after POST /api/license/accept."
        )
    return "\n".join(head) + "\n\n" + licence_text(licence)


def licence_text(licence: licences.Licence) -> str:
    """The text shipped for a licence, or its name where none is shipped."""
    if licence.text is None:
        return f"{licence.name} {licence.version}".strip() + "\n"
    file = resources.files("limner.assets") / "licenses" / licence.text
    return file.read_text(encoding="utf-8")


def _model(desk: Desk) -> ModelInfo:
    status = desk.services.engine.status()
    if status.model is None:
        raise ModelLoading(status.message or "The model is still loading", 2)
    return status.model

"""Limner's own calls: quote, licence, model, health."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from limner.domain import licences
from limner.domain.model import Card, ModelInfo
from limner.domain.pricing import as_credits
from limner.errors import InvalidInput, ModelLoading, NotFound
from limner.web import openapi
from limner.web.answers import Json
from limner.web.drawing import Desk
from limner.web.native.form import FORM
from limner.web.reading import form
from limner.web.reading.fields import Reader, read
from limner.web.segmind import routes as segmind

_TEXT: dict[str, Any] = {"type": "string"}
_FLAG: dict[str, Any] = {"type": "boolean"}
_QUERY: Mapping[str, Reader] = {name: FORM.readers[name] for name in ("model", "vae")}
_NAMED = [
    openapi.in_query("model", "A name or SHA-256. Default: the server's own.", _TEXT),
    openapi.in_query("vae", "A name or SHA-256. Default: the model's own.", _TEXT),
]


def install(app: FastAPI, desk: Desk) -> None:
    """Add the routes."""
    _install_quote(app, desk)
    _install_licence(app, desk)
    _install_health(app, desk)


def _install_quote(app: FastAPI, desk: Desk) -> None:
    async def quote(request: Request) -> Response:
        asked, _ = await segmind.read_asked(request, desk, FORM)
        await desk.services.generate.choose(*form.named(asked.values))
        call = await form.plan(asked, desk.settings)
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
    async def show(request: Request) -> Response:
        try:
            model = await _model(request, desk)
        except InvalidInput as error:  # who has no key is told no other names
            raise NotFound("There is no such model here; GET /api/models lists them") from error
        return PlainTextResponse(licence_page(model))

    async def accept(request: Request) -> Response:
        model = await _model(request, desk)
        await desk.services.accounts.accept(request.state.caller, model.licence)
        version = licences.find(model.licence).version
        return Json({"accepted": True, "licence": model.licence, "version": version})

    async def about(request: Request) -> Response:
        model = await _model(request, desk)
        pair = model.sha256, model.vae_sha256
        resident = desk.services.engine.status().resident
        inside = next((m for m in resident if (m.sha256, m.vae_sha256) == pair), None)
        facts = (inside or model).as_dict()
        del facts["path"]  # where the operator keeps the file is nobody's business
        return Json({**facts, "resident": inside is not None})

    page = {"description": "The licence.", "content": {"text/plain": {"schema": _TEXT}}}
    accepted = {"accepted": _FLAG, "licence": _TEXT, "version": _TEXT}
    facts: dict[str, Any] = {name: {} for name in ModelInfo.__dataclass_fields__ if name != "path"}
    facts["resident"] = _FLAG
    app.add_api_route(
        "/license",
        show,
        methods=["GET"],
        **openapi.operation(
            "license",
            "A model's licence, whole.",
            page,
            errors=(404, 500, 503),
            parameters=_NAMED,
            security=[],
        ),
    )
    app.add_api_route(
        "/api/license/accept",
        accept,
        methods=["POST"],
        **openapi.operation(
            "accept-license",
            "Accept a model's licence for the key that calls.",
            openapi.json_answer("Recorded.", accepted),
            errors=(400, 401, 403, 500, 503),
            parameters=_NAMED,
        ),
    )
    app.add_api_route(
        "/api/model",
        about,
        methods=["GET"],
        **openapi.operation(
            "model",
            "A model: source, licence, attribution, digests, what was converted.",
            openapi.json_answer("The facts; of one in memory also where it computes.", facts),
            errors=(400, 401, 403, 500, 503),
            parameters=_NAMED,
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


def licence_page(model: Card) -> str:
    """Who made the model, under what terms it is used, and the licence's full text."""
    licence = licences.find(model.licence)
    head = [f"{model.name} is used under {licence.name}.", *model.attribution]
    if model.conversions:
        head.append("Changed by this server: " + "; ".join(model.conversions) + ".")
    if licence.needs_acceptance:
        head.append(
            "Whoever draws with it must keep to the licence's paragraph 5 and Attachment A. "
            f"A key draws after POST /api/license/accept?model={model.short_hash}."
        )
    return "\n".join(head) + "\n\n" + licence_text(licence)


def licence_text(licence: licences.Licence) -> str:
    """The text shipped for a licence, or its name where none is shipped."""
    if licence.text is None:
        return f"{licence.name} {licence.version}".strip() + "\n"
    file = resources.files("limner.assets") / "licenses" / licence.text
    return file.read_text(encoding="utf-8")


async def _model(request: Request, desk: Desk) -> Card:
    """The model that the query names, or the server's own. Raises ``InvalidInput``."""
    wishes, _ = read(_QUERY, {}, request.query_params)
    choice = await desk.services.generate.choose(*form.named(wishes))
    if choice is None:
        raise ModelLoading(desk.services.engine.status().message or "The model is still loading", 2)
    return choice.card

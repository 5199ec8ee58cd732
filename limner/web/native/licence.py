"""Under what terms a model draws, who accepts them, and what a model is."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from importlib import resources
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from limner import pools
from limner.domain import licences
from limner.domain.model import Card, ModelInfo
from limner.errors import (
    AmbiguousModel,
    InvalidInput,
    LimnerError,
    ModelLoading,
    NotFound,
    UnknownModel,
)
from limner.web import openapi
from limner.web.answers import Handler, Json
from limner.web.application import Application
from limner.web.drawing import Api
from limner.web.native.form import FORM
from limner.web.reading import form
from limner.web.reading.fields import Reader, read

_TEXT: dict[str, Any] = {"type": "string"}
_FLAG: dict[str, Any] = {"type": "boolean"}
_QUERY: Mapping[str, Reader] = {name: FORM.readers[name] for name in ("model", "vae")}
_NAMED = [
    openapi.in_query("model", "A name or SHA-256. Default: the server's own.", _TEXT),
    openapi.in_query("vae", "A name or SHA-256. Default: the model's own.", _TEXT),
]


def install(app: Application, api: Api) -> None:
    """Add the routes."""
    for path, verb, handler, operation in (
        ("/license", "GET", _show(api), _show_operation()),
        ("/api/license/accept", "POST", _accept(api), _accept_operation()),
        ("/api/model", "GET", _about(api), _about_operation()),
    ):
        app.add_api_route(path, handler, methods=[verb], **operation)


def _show(api: Api) -> Handler:
    async def show(request: Request) -> Response:
        try:
            model = await _licensed(request, api)
        except (UnknownModel, AmbiguousModel) as error:
            raise _refused(error, known=hasattr(request.state, "caller")) from error
        return PlainTextResponse(licence_page(model))

    return show


def _refused(error: InvalidInput, *, known: bool) -> LimnerError:
    """Whose sentence names other models only to who is ``known`` by a key."""
    if isinstance(error, UnknownModel):
        near = "There is no such model here; GET /api/models lists them"
        return NotFound(str(error) if known else near)
    several = f"This {error.field} may be one of several; with a key the answer names them"
    return error if known else AmbiguousModel(error.field, several)


def _accept(api: Api) -> Handler:
    async def accept(request: Request) -> Response:
        model = await _licensed(request, api)
        await api.services.accounts.accept(request.state.caller, model.licence)
        version = licences.find(model.licence).version
        return Json({"accepted": True, "licence": model.licence, "version": version})

    return accept


def _about(api: Api) -> Handler:
    async def about(request: Request) -> Response:
        model = await _model(request, api)
        pair = model.sha256, model.vae_sha256
        resident = api.services.engine.status().resident
        inside = next((m for m in resident if (m.sha256, m.vae_sha256) == pair), None)
        facts = (inside or model).as_dict()
        del facts["path"]  # where the operator keeps the file is nobody's business
        return Json({**facts, "resident": inside is not None})

    return about


def _show_operation() -> dict[str, Any]:
    page = {"description": "The licence.", "content": {"text/plain": {"schema": _TEXT}}}
    return openapi.operation(
        "license",
        "A model's licence, whole.",
        page,
        errors=(400, 404, 500, 503),
        parameters=_NAMED,
        security=[],
    )


def _accept_operation() -> dict[str, Any]:
    return openapi.operation(
        "accept-license",
        "Accept a model's licence for the key that calls.",
        openapi.json_answer("Recorded.", {"accepted": _FLAG, "licence": _TEXT, "version": _TEXT}),
        errors=(400, 401, 403, 500, 503),
        parameters=_NAMED,
    )


def _about_operation() -> dict[str, Any]:
    names = ModelInfo.__dataclass_fields__.keys() - {"path", "said"}
    facts: dict[str, Any] = {name: {} for name in sorted(names)}
    facts["resident"] = _FLAG
    return openapi.operation(
        "model",
        "A model: source, licence, attribution, digests, what was converted.",
        openapi.json_answer("The facts; of one in memory also where it computes.", facts),
        errors=(400, 401, 403, 500, 503),
        parameters=_NAMED,
    )


def licence_page(model: Card) -> str:
    """Who made the model, under what terms it is used, and the licence's full text."""
    licence = licences.find(model.licence)
    head = [f"{model.name} is used under {licence.name}.", *model.attribution]
    if model.conversions:
        head.append("Changed by this server: " + "; ".join(model.conversions) + ".")
    if licence.needs_acceptance:
        head.append(
            "Whoever draws with it must keep to the licence's paragraph 5 and Attachment A. "
            f"A key draws after POST /api/license/accept?{model.query}."
        )
    return "\n".join(head) + "\n\n" + licence_text(licence)


def licence_text(licence: licences.Licence) -> str:
    """The text shipped for a licence, or its name where none is shipped."""
    if licence.text is None:
        return f"{licence.name} {licence.version}".strip() + "\n"
    file = resources.files("limner.assets") / "licenses" / licence.text
    return file.read_text(encoding="utf-8")


async def _model(request: Request, api: Api) -> Card:
    """The model that the query names, or the server's own. Raises ``InvalidInput``."""
    wishes, _ = read(_QUERY, {}, request.query_params)
    choice = await api.services.generate.choose(*form.named(wishes))
    if choice is None:
        raise ModelLoading(api.services.engine.status().message or "The model is still loading", 2)
    return choice.card


async def _licensed(request: Request, api: Api) -> Card:
    """The same, or the first of equal files that are read otherwise.

    A refusal names a model by its sum, and whoever made the file gave it one licence.
    """
    try:
        return await _model(request, api)
    except AmbiguousModel as ambiguous:
        wishes, _ = read(_QUERY, {}, request.query_params)
        sha256, vae, _ = form.named(wishes)
        for entry in await pools.MODELS.run(api.services.models.readings, sha256):
            with suppress(InvalidInput):
                found = await api.services.generate.choose(entry.found.whole, vae)
                return found.card if found else await _model(request, api)
        raise ambiguous

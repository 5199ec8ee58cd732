"""What a prompt means before anything is drawn: explain, schedulers, styles. All of it is free."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from limner import pools
from limner.domain.params import Generation
from limner.domain.sampler_names import AUTOMATIC, SCHEDULE_NAMES
from limner.domain.samplers import SAMPLERS
from limner.domain.schedulers import SPECS
from limner.usecases.prompting.catalogue import FILES, listed
from limner.usecases.prompting.explain import explain_generation
from limner.usecases.prompting.vocabulary import of_model
from limner.web import openapi
from limner.web.answers import Json
from limner.web.application import Application
from limner.web.drawing import Api
from limner.web.native.form import EXPLAINED, FORM
from limner.web.reading import form as wire
from limner.web.reading import mixing
from limner.web.segmind import routes as segmind

_TEXT: dict[str, Any] = {"type": "string"}
_OBJECT: dict[str, Any] = {"type": "object"}
_LIST: dict[str, Any] = {"type": "array"}
_READ_ERRORS = (401, 403, 500)


def install(app: Application, api: Api) -> None:
    """Add the routes."""
    _install_explain(app, api)
    _install_lists(app, api)
    _install_preview(app, api)


def _install_explain(app: Application, api: Api) -> None:
    async def explain(request: Request) -> Response:
        asked, _ = await segmind.read_asked(request, api, EXPLAINED)
        choice = await api.services.generate.choose(*wire.named(asked.values))
        call = await wire.plan(asked, api.settings)
        known = of_model(Path(choice.card.path)) if choice and choice.card.path else None
        generation = await api.services.generate.with_words(call.generation)
        return await pools.WORDS.run(_explained, generation, call.notes, known)

    fields = {
        "dialect": _TEXT,
        "steps": {"type": "integer"},
        "prompt": _TEXT,
        "canonical": _TEXT,
        "schedule": _LIST,
        "chunks": _LIST,
        "adapters": _LIST,
        "embeddings": _LIST,
        "unlearned": {"type": ["array", "null"]},
        "adjustments": _LIST,
        "negative": _OBJECT,
    }
    app.add_api_route(
        "/api/explain",
        explain,
        methods=["POST"],
        **openapi.operation(
            "explain",
            "How a prompt is read: schedule, chunks, weights, and what was dropped.",
            openapi.json_answer("`negative` holds the same for the negative prompt.", fields),
            errors=openapi.BODY_ERRORS,
            **openapi.body(openapi.generation_schema(EXPLAINED)),
        ),
    )


def _explained(
    generation: Generation, notes: Sequence[str], known: frozenset[str] | None
) -> Response:
    """The answer, made into bytes on the same thread: it may be megabytes long."""
    told = explain_generation(generation, known)
    return Json({**told, "adjustments": [*notes, *told["adjustments"]]})


def _install_lists(app: Application, api: Api) -> None:
    async def schedulers(_: Request) -> Response:
        return Json(
            [
                {"name": name, "good_for": spec.good_for, "order": spec.order}
                for name, spec in SPECS.items()
            ]
        )

    async def samplers(_: Request) -> Response:
        return Json({"samplers": _samplers(), "schedules": [AUTOMATIC, *SCHEDULE_NAMES]})

    async def styles(_: Request) -> Response:
        entries = listed(mixing.catalogue(api.settings))
        return Json({FILES[kind]: entries[kind] for kind in FILES})

    scheduler = {"name": _TEXT, "good_for": _TEXT, "order": {"type": "integer"}}
    answer = openapi.list_answer("Order 2 evaluates twice a step and costs double.", scheduler)
    app.add_api_route(
        "/api/schedulers",
        schedulers,
        methods=["GET"],
        **openapi.operation("schedulers", "The schedulers.", answer, errors=_READ_ERRORS),
    )
    app.add_api_route(
        "/api/samplers",
        samplers,
        methods=["GET"],
        **openapi.operation(
            "samplers",
            "The samplers and schedules by name.",
            openapi.json_answer(
                "Of each sampler: name, good_for, order, automatic (its schedule), options.",
                {"samplers": _LIST, "schedules": _LIST},
            ),
            errors=_READ_ERRORS,
        ),
    )
    kinds = dict.fromkeys(FILES.values(), _LIST)
    app.add_api_route(
        "/api/styles",
        styles,
        methods=["GET"],
        **openapi.operation(
            "styles",
            "The style catalogue.",
            openapi.json_answer("By kind: name, text, suffix, negative.", kinds),
            errors=_READ_ERRORS,
        ),
    )


def _samplers() -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "good_for": spec.good_for,
            "order": spec.order,
            "automatic": spec.automatic,
            "options": list(spec.options),
        }
        for name, spec in SAMPLERS.items()
    ]


def _install_preview(app: Application, api: Api) -> None:
    async def preview(request: Request) -> Response:
        call, _ = await segmind.read_call(request, api, FORM, mixed=True)
        lines = [
            {
                "prompt": line.prompt,
                "negative_prompt": line.negative_prompt,
                "seed": line.seed,
                "samples": line.samples,
                "picks": {} if line.origin is None else line.origin.model_dump()["picks"],
            }
            for line in call.lines
        ]
        return Json({**lines[0], "lines": lines, "adjustments": list(call.notes)})

    fields = {
        "prompt": _TEXT,
        "negative_prompt": _TEXT,
        "seed": {"type": "integer"},
        "samples": {"type": "integer"},
        "picks": _OBJECT,
        "lines": _LIST,
        "adjustments": _LIST,
    }
    app.add_api_route(
        "/api/styles/preview",
        preview,
        methods=["POST"],
        **openapi.operation(
            "preview-styles",
            "What a style mix makes of a prompt; nothing is drawn.",
            openapi.json_answer("The first line, and all `lines` of a sequence.", fields),
            errors=openapi.BODY_ERRORS,
            **openapi.body(openapi.generation_schema(FORM)),
        ),
    )

"""What a key may, what was drawn day by day, and what the server does at this moment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from limner.domain.pricing import as_credits
from limner.engine.batching.client import EngineStatus
from limner.store.usage import Day, Figures
from limner.web import openapi
from limner.web.answers import Json
from limner.web.application import Application
from limner.web.drawing import Api
from limner.web.native.admin import KEY, key_json
from limner.web.reading.fields import Reader, Whole, read

_DAYS: Mapping[str, Reader] = {"days": Whole(1, 3660)}
_COUNT: dict[str, Any] = {"type": "integer"}
_NUMBER: dict[str, Any] = {"type": "number"}
_OBJECT: dict[str, Any] = {"type": "object"}
_ERRORS = (400, 401, 403, 500)


def install(app: Application, api: Api) -> None:
    """Add the routes."""

    async def key(request: Request) -> Response:
        return Json(key_json(request.state.caller))

    async def days(request: Request) -> Response:
        wishes, _ = read(_DAYS, {}, request.query_params)
        number = wishes.get("days", 30)
        found = await api.services.administration.days(number)
        return Json({"days": number, "usage": [_day_json(day) for day in found]})

    async def status(_: Request) -> Response:
        figures = await api.services.administration.figures()
        return Json(_status_json(api.services.engine.status(), figures))

    told = openapi.json_answer("Without its secret.", KEY)
    own = openapi.operation("key", "The calling key: its scopes and limits.", told, errors=_ERRORS)
    app.add_api_route("/api/key", key, methods=["GET"], **own)
    app.add_api_route("/api/admin/usage/days", days, methods=["GET"], **_days_operation())
    app.add_api_route("/api/admin/status", status, methods=["GET"], **_status_operation())


def _day_json(day: Day) -> dict[str, Any]:
    return {
        "day": day.day,
        "requests": day.requests,
        "completed": day.completed,
        "failed": day.failed,
        "pictures": day.pictures,
        "cost": as_credits(day.cost_micro),
        "drawing_s": day.drawing_s,
    }


def _status_json(engine: EngineStatus, kept: Figures) -> dict[str, Any]:
    stats = engine.stats
    return {
        "engine": {
            "ready": engine.ready,
            "message": engine.message,
            "waiting": engine.waiting,
            "running": engine.running,
            "steps": stats.steps,
            "pictures": stats.images,
            "rows_per_step": stats.rows / stats.steps if stats.steps else 0,
            "seconds_per_step": stats.busy_s / stats.steps if stats.steps else 0,
        },
        "models": [{"name": model.name, "sha256": model.sha256} for model in engine.resident],
        "queue": {"queued": kept.queued, "processing": kept.processing},
        "pictures": {"number": kept.pictures, "bytes": kept.picture_bytes},
        "credits": {
            "available": as_credits(kept.available_micro),
            "held": as_credits(kept.held_micro),
            "captured": as_credits(kept.captured_micro),
        },
    }


def _days_operation() -> dict[str, Any]:
    fields = {
        "day": {"type": "string", "format": "date"},
        **dict.fromkeys(("requests", "completed", "failed", "pictures"), _COUNT),
        **dict.fromkeys(("cost", "drawing_s"), _NUMBER),
    }
    listed = {"type": "array", "items": {"type": "object", "properties": fields}}
    return openapi.operation(
        "admin-usage-days",
        "What all keys have asked for, day by day in UTC; days without a request are left out.",
        openapi.json_answer("The oldest first.", {"days": _COUNT, "usage": listed}),
        errors=_ERRORS,
        parameters=[openapi.in_query("days", "How many days back.", _DAYS["days"].schema())],
    )


def _status_operation() -> dict[str, Any]:
    fields = dict.fromkeys(("engine", "queue", "pictures", "credits"), _OBJECT)
    return openapi.operation(
        "admin-status",
        "What the engine, the queue and the store hold at this moment.",
        openapi.json_answer("Figures.", fields | {"models": {"type": "array", "items": _OBJECT}}),
        errors=_ERRORS,
    )

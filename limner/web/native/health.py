"""Whether the process answers, and whether it draws: for load balancers and people."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from limner.web import openapi
from limner.web.answers import Json
from limner.web.application import Application
from limner.web.drawing import Api

_TEXT: dict[str, Any] = {"type": "string"}
_NUMBER = {"type": "integer"}
_SEEN = {"status": _TEXT, "message": _TEXT, "waiting": _NUMBER, "running": _NUMBER}


def install(app: Application, api: Api) -> None:
    """Add the routes."""

    async def live(_: Request) -> Response:
        return Json({"status": "live"})

    async def ready(_: Request) -> Response:
        status, (word, message) = api.services.engine.status(), _readiness(api)
        counts = {"waiting": status.waiting, "running": status.running}
        body = {"status": word, "message": message, **counts}
        if word == "ready":
            return Json(body)
        return Json(body, 503, {"Retry-After": "2"})

    operation = _operation("live", "Whether the process answers.", {"status": _TEXT})
    app.add_api_route("/health/live", live, methods=["GET"], **operation)
    draws = "Whether it draws; 503 while it loads, stops or cannot store."
    operation = _operation("ready", draws, _SEEN)
    operation["responses"][503] = openapi.json_answer("Not yet.", _SEEN)
    app.add_api_route("/health/ready", ready, methods=["GET"], **operation)


def _operation(name: str, summary: str, fields: dict[str, Any]) -> dict[str, Any]:
    return openapi.operation(name, summary, openapi.json_answer("Yes.", fields), security=[])


def _readiness(api: Api) -> tuple[str, str]:
    """One word for a machine and a sentence for a person."""
    status, trouble = api.services.engine.status(), api.services.generate.trouble()
    if status.failing:
        return "failing", status.message
    if api.streams.stopping:
        return "stopping", "the server is stopping"
    if not status.ready:
        return "loading", status.message
    return ("ready", status.message) if trouble is None else ("failing", trouble)

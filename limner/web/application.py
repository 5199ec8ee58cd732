"""An application of documented routes: Starlette's, and the OpenAPI document of what it serves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.routing import Route

from limner.web.answers import Handler
from limner.web.openapi import Schema

_ENVELOPE: Schema = {
    "components": {
        "securitySchemes": {
            "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            "bearer": {"type": "http", "scheme": "bearer"},
        }
    },
    "security": [{"key": []}, {"bearer": []}],
}


class Application(Starlette):
    """Serves what is added to it at ``url``; ``info`` is the head of its document."""

    def __init__(self, *, info: Schema, url: str) -> None:
        super().__init__()
        self.router.redirect_slashes = False
        self._head = {"openapi": "3.1.0", "info": info, "servers": [{"url": url}]}
        self._paths: dict[str, Schema] = {}

    def add_api_route(
        self, path: str, handler: Handler, *, methods: Sequence[str], **operation: Any
    ) -> None:
        """Serve ``path``; of several that match, the first added answers.

        ``operation`` is what ``openapi.operation`` says of it; without one it is not documented.
        """
        route = Route(path, handler)
        route.methods = set(methods)  # HEAD is the gate's, for all routes alike
        self.router.routes.append(route)
        if operation:
            answers = {str(status): answer for status, answer in operation["responses"].items()}
            documented = {**operation, "responses": answers}
            self._paths.setdefault(path, {}).update({verb.lower(): documented for verb in methods})

    def openapi(self) -> Schema:
        """The document of OpenAPI 3.1."""
        return {**self._head, "paths": self._paths, **_ENVELOPE}

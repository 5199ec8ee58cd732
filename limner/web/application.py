"""An application of documented routes: FastAPI's, with a document of what is read and answered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from starlette.routing import compile_path

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


class Application(FastAPI):
    """Serves what is added to it at ``url``; ``info`` is the head of its document.

    Handlers take a request and read it by the rooms' own readers, so FastAPI finds nothing in their
    signatures to document; each brings its operation.
    """

    def __init__(self, *, info: Schema, url: str) -> None:
        super().__init__(openapi_url=None, redirect_slashes=False)
        self._head = {"openapi": "3.1.0", "info": info, "servers": [{"url": url}]}
        self._paths: dict[str, Schema] = {}

    def add_api_route(  # type: ignore[override]
        self, path: str, endpoint: Handler, *, methods: Sequence[str], **operation: Any
    ) -> None:
        """Serve ``path``; of several that match, the first added answers.

        ``operation`` is what ``openapi.operation`` says of it; without one it is not documented.
        """
        super().add_api_route(
            path, endpoint, methods=list(methods), response_model=None, include_in_schema=False
        )
        if operation:
            answers = {str(status): answer for status, answer in operation["responses"].items()}
            documented = {**operation, "responses": answers}
            plain = compile_path(path)[1]  # without how a part is converted
            self._paths.setdefault(plain, {}).update({verb.lower(): documented for verb in methods})

    def openapi(self) -> Schema:
        """The document of OpenAPI 3.1."""
        return {**self._head, "paths": self._paths, **_ENVELOPE}

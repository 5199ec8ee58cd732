"""The OpenAPI document's parts for OpenAI's images surface."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from limner.web import openapi
from limner.web.reading import form as wire
from limner.web.reading.fields import Reader

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_WHOLE: Schema = {"type": "integer"}
_ABOUT = {
    "model": "An id of `GET /v1/models`; another is replaced, and reported.",
    "n": "Number of pictures.",
    "size": "`WIDTHxHEIGHT` or `auto`: 512x512, for edits the picture's own.",
    "response_format": "`b64_json`, or `url`, which is fetched with the key.",
    "stream": "Must be false.",
}
_ERROR: Schema = {
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "properties": {
                "message": _TEXT,
                "type": _TEXT,
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
            "required": ["message", "type", "param", "code"],
        }
    },
    "required": ["error"],
}
_MODEL: Schema = {"id": _TEXT, "object": _TEXT, "created": _WHOLE, "owned_by": _TEXT}


def draw_operation(
    path: str, form: wire.Form, own: Mapping[str, Reader], hidden: tuple[str, ...]
) -> Schema:
    """``POST /v1/images/{path}``; ``own`` readers stand for the ``hidden`` ones."""
    schema = openapi.generation_schema(form)
    for name in hidden:
        del schema["properties"][name]
    for name, reader in own.items():
        schema["properties"][name] = reader.schema() | {"description": _ABOUT[name]}
    answer = openapi.json_answer(
        "The pictures.",
        {
            "created": _WHOLE,
            "data": {"type": "array", "items": {"type": "object"}},
            "output_format": _TEXT,
            "size": _TEXT,
        },
    )
    made = openapi.operation(
        f"images-{path}",
        "OpenAI's way to draw." if path == "generations" else "OpenAI's way to change a picture.",
        answer,
        errors=openapi.DRAW_ERRORS,
        parameters=[openapi.IDEMPOTENCY_KEY],
        **openapi.body(schema),
    )
    return _in_its_envelope(made)


def models_operation() -> Schema:
    """``GET /v1/models``."""
    items = {"type": "array", "items": {"type": "object", "properties": _MODEL}}
    answer = openapi.json_answer("The list.", {"object": _TEXT, "data": items})
    return _in_its_envelope(
        openapi.operation("models", "What can draw.", answer, errors=(401, 403, 500))
    )


def model_operation() -> Schema:
    """``GET /v1/models/{id}``."""
    answer = openapi.json_answer("The model.", _MODEL)
    parameter = openapi.in_path("id", "An id of the list.")
    return _in_its_envelope(
        openapi.operation(
            "model-by-id",
            "One model.",
            answer,
            errors=(401, 403, 404, 500),
            parameters=[parameter],
        )
    )


def _in_its_envelope(operation: Schema) -> Schema:
    for code, answer in operation["responses"].items():
        if code >= 400:
            answer["content"] = {"application/json": {"schema": _ERROR}}
    return operation

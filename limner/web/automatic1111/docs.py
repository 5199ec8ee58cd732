"""The OpenAPI document's parts for AUTOMATIC1111's surface."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from limner.web import openapi
from limner.web.reading.fields import Reader

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_NUMBER: Schema = {"type": "number"}
_OBJECT: Schema = {"type": "object"}
_LIST: Schema = {"type": "array", "items": _TEXT}
_ERROR: Schema = {
    "type": "object",
    "properties": {"error": _TEXT, "detail": _TEXT, "body": _TEXT, "errors": _TEXT},
    "required": ["error", "detail", "body", "errors"],
}
_READ = (401, 403, 500, 503)
_BODY = (400, 401, 403, 413, 415, 500, 503)


def draw_operation(name: str, readers: Mapping[str, Reader], defaults: Mapping[str, Any]) -> Schema:
    """``POST /sdapi/v1/txt2img`` and ``img2img``."""
    properties = {
        field: reader.schema() | ({"default": defaults[field]} if field in defaults else {})
        for field, reader in readers.items()
    }
    schema: Schema = {"type": "object", "properties": properties}
    if "init_images" in readers:
        schema["required"] = ["init_images"]
    answer = openapi.json_answer(
        "The pictures as PNG in base64; `info` is JSON as text.",
        {"images": {"type": "array", "items": _TEXT}, "parameters": _OBJECT, "info": _TEXT},
    )
    return _operation(
        name,
        f"AUTOMATIC1111's {name}.",
        answer,
        tuple(code for code in openapi.DRAW_ERRORS),
        parameters=[openapi.IDEMPOTENCY_KEY],
        **openapi.body(schema, form=False),
    )


def extras_operation(
    name: str, readers: Mapping[str, Reader], defaults: Mapping[str, Any]
) -> Schema:
    """``POST /sdapi/v1/extra-single-image`` and ``extra-batch-images``."""
    properties = {
        field: reader.schema() | ({"default": defaults[field]} if field in defaults else {})
        for field, reader in readers.items()
    }
    made, kind = ("image", _TEXT) if "image" in readers else ("images", _LIST)
    answer = openapi.json_answer("As PNG in base64.", {"html_info": _TEXT, made: kind})
    return _operation(
        name,
        "Pictures made larger, free of charge.",
        answer,
        (*_BODY, 429),
        **openapi.body({"type": "object", "properties": properties}, form=False),
    )


def progress_operation() -> Schema:
    """``GET /sdapi/v1/progress``."""
    fields = {"progress": _NUMBER, "eta_relative": _NUMBER, "state": _OBJECT, "current_image": {}}
    answer = openapi.json_answer("Of this key's calls on this surface.", fields)
    skip = openapi.in_query("skip_current_image", "Without a preview.", {"type": "boolean"})
    return _operation("progress", "How far this key's calls are.", answer, _READ, parameters=[skip])


def done_operation(name: str) -> Schema:
    """A call that answers ``{}``."""
    about = {
        "interrupt": "Stop this key's calls on this surface; they are not billed.",
        "skip": "The same as interrupt.",
        **dict.fromkeys(
            ("refresh-checkpoints", "refresh-loras", "refresh-vae"),
            "Looks at the folders of models anew.",
        ),
    }
    return _operation(name, about[name], openapi.json_answer("Done.", {}), _READ)


def object_operation(name: str) -> Schema:
    """A ``GET`` that answers an object."""
    return _operation(f"get-{name}", f"AUTOMATIC1111's {name}.", _any(_OBJECT), _READ)


def list_operation(name: str) -> Schema:
    """A ``GET`` of what there is of one kind."""
    return _operation(f"list-{name}", f"AUTOMATIC1111's {name}.", _any({}), _READ)


def set_options_operation() -> Schema:
    """``POST /sdapi/v1/options``."""
    return _operation(
        "set-options",
        "Keeps `sd_model_checkpoint`, `sd_vae` and `CLIP_stop_at_last_layers` for this key; takes "
        "all else as it is.",
        openapi.json_answer("Done.", {}),
        _BODY,
        **openapi.body(_OBJECT, form=False),
    )


def png_info_operation() -> Schema:
    """``POST /sdapi/v1/png-info``."""
    schema = {"type": "object", "properties": {"image": _TEXT}, "required": ["image"]}
    fields = {"info": _TEXT, "items": _OBJECT, "parameters": _OBJECT}
    return _operation(
        "png-info",
        "What a picture's file says about how it was drawn.",
        openapi.json_answer("The text, the chunks, and the text's parts.", fields),
        _BODY,
        **openapi.body(schema, form=False),
    )


def detect_operation(readers: Mapping[str, Reader]) -> Schema:
    """``POST /controlnet/detect``."""
    schema = {"type": "object", "properties": {n: r.schema() for n, r in readers.items()}}
    fields = {"images": {"type": "array", "items": _TEXT}, "info": _TEXT}
    return _operation(
        "controlnet-detect",
        "Maps that a module makes of pictures.",
        openapi.json_answer("As PNG in base64.", fields),
        _BODY,
        **openapi.body(schema, form=False),
    )


def _any(schema: Schema) -> Schema:
    return {"description": "As named.", "content": {"application/json": {"schema": schema}}}


def _operation(
    id: str, summary: str, answer: Schema, errors: tuple[int, ...], **rest: Any
) -> Schema:
    made = openapi.operation(f"sdapi-{id}", summary, answer, errors=errors, **rest)
    for code, error in made["responses"].items():
        if code >= 400:
            error["content"] = {"application/json": {"schema": _ERROR}}
    return made

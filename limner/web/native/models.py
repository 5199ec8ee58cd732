"""The library of models: its list, and the pictures that lie beside them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from limner import pools
from limner.engine.checkpoints import ways
from limner.engine.checkpoints.inspection import DESCRIPTIONS
from limner.models.entries import Entry
from limner.models.facts import UNREADABLE
from limner.web import openapi
from limner.web.answers import Json
from limner.web.application import Application
from limner.web.drawing import Api

_TEXT: dict[str, Any] = {"type": "string"}
_FLAG: dict[str, Any] = {"type": "boolean"}
_TEXTS: dict[str, Any] = {"type": "array", "items": _TEXT}
_MAYBE: dict[str, Any] = {"type": ["string", "null"]}
_COUNT: dict[str, Any] = {"type": ["integer", "null"]}
_FIELDS: dict[str, Any] = {
    "name": {**_TEXT, "description": "By which a request names it; no other has it."},
    "kind": {**_TEXT, "enum": [*DESCRIPTIONS, UNREADABLE]},
    "base": {**_TEXT, "description": "The family of checkpoints that it is, or is for."},
    "library": {**_TEXT, "description": "The folder of models that it lies in, by its last name."},
    "path": {**_TEXT, "description": "Inside that folder."},
    "bytes": {"type": "integer"},
    "sha256": {
        **_MAYBE,
        "description": "Null until it is known; a request may name a model by it.",
    },
    "source_sha256": {**_MAYBE, "description": "Of the file that it was imported from."},
    "prediction": {**_MAYBE, "description": "Of a checkpoint: epsilon or v-prediction."},
    "network": {**_MAYBE, "description": "Of a LoRA: LoRA, LoCon, LoHa, ...; of an upscaler."},
    "parts": {**_TEXTS, "description": "That a LoRA changes: unet, text_encoder."},
    "vectors": {**_COUNT, "description": "Of an embedding: places of a prompt that it takes."},
    "scale": {**_COUNT, "description": "Of an upscaler: how many times larger it makes pictures."},
    "trigger_words": _TEXTS,
    "notes": _TEXTS,
    "licence": _MAYBE,
    "pickled": _FLAG,
    "usable": {**_FLAG, "description": "Whether this server could draw with it."},
    "needs_vae": {**_FLAG, "description": "Of a checkpoint without a VAE: name one beside it."},
    "reason": {**_MAYBE, "description": "Why not."},
    "resident": {**_FLAG, "description": "Whether it is in memory, and draws at once."},
    "preview": {
        "oneOf": [{**_TEXT, "format": "uri"}, {"type": "boolean", "enum": [False]}],
        "description": "URL of the picture beside it, to be asked for with the key.",
    },
}
_HEADERS = {"Cache-Control": "private, max-age=3600", "X-Content-Type-Options": "nosniff"}


def install(app: Application, api: Api) -> None:
    """Add the routes."""
    library, base = api.services.models, f"{api.settings.public_url}/api/models"

    async def models(_: Request) -> Response:
        resident = {model.sha256 for model in api.services.engine.status().resident}

        def listed() -> Response:
            return Json([_shown(entry, base, resident) for entry in library.entries()])

        return await pools.MODELS.run(listed)

    async def preview(request: Request) -> Response:
        data, media_type = await pools.MODELS.run(library.preview, request.path_params["id"])
        return Response(data, headers=_HEADERS, media_type=media_type)

    told = "Folder by folder; what cannot be read says why."
    answer = openapi.list_answer(told, _FIELDS, sometimes=("needs_vae",))
    app.add_api_route(
        "/api/models",
        models,
        methods=["GET"],
        **openapi.operation("library", "The library of models.", answer, errors=(401, 403, 500)),
    )
    app.add_api_route("/api/models/{id}/preview", preview, methods=["GET"], **_preview_operation())


def _shown(entry: Entry, base: str, resident: Collection[str]) -> dict[str, Any]:
    preview = f"{base}/{entry.id}/preview" if entry.picture else False
    row = entry.as_dict()
    told = {
        "notes": [ways.over_http(note) for note in row["notes"]],
        "reason": row["reason"] and ways.over_http(row["reason"]),
    }
    return row | told | {"resident": entry.sha256 in resident, "preview": preview}


def _preview_operation() -> dict[str, Any]:
    kinds = ("image/png", "image/jpeg", "image/webp")
    schema = {"schema": {"type": "string", "format": "binary"}}
    answer = {"description": "The picture.", "content": dict.fromkeys(kinds, schema)}
    return openapi.operation(
        "model-preview",
        "The picture beside a model.",
        answer,
        errors=(401, 403, 404, 500),
        parameters=[openapi.in_path("id", "As in the URL that the list gives.")],
    )

"""The library: pictures found, starred, put into folders, removed and brought back, exported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from limner.domain.params import SEED_MAX, SIDE_MAX
from limner.errors import InvalidInput
from limner.settings import Settings
from limner.store.finding import Cursor, Found, Marks, Wanted
from limner.usecases.pictures.gallery import PAGE_MAX
from limner.web import openapi
from limner.web.answers import Handler, Json
from limner.web.application import Application
from limner.web.drawing import Api
from limner.web.native import exporting
from limner.web.native.gallery import PATH as PICTURE
from limner.web.native.gallery import PICTURE_ID
from limner.web.reading import body
from limner.web.reading.fields import Flag, Items, Reader, Text, Whole, read, shown
from limner.web.stored import as_time, picture_json

PATH = "/api/pictures"
MARKED_MAX = 1000
FOLDER_MAX = 120
WORDS_MAX = 20


@dataclass(frozen=True)
class Moment:
    """A day or a moment as ISO 8601 writes it, UTC where no zone is said; seconds since 1970."""

    def read(self, field: str, value: Any) -> float:
        try:
            moment = datetime.fromisoformat(str(value))
            return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
        except (ValueError, OverflowError) as error:
            rule = "it must be a day or a moment, such as 2026-01-31 or 2026-01-31T12:00:00Z"
            raise InvalidInput(field, f"{field} is {shown(value)}; {rule}") from error

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "examples": ["2026-01-31", "2026-01-31T12:00:00Z"]}


@dataclass(frozen=True)
class Size:
    """``WIDTHxHEIGHT`` in pixels."""

    def read(self, field: str, value: Any) -> tuple[int, int]:
        side, parts = Whole(1, SIDE_MAX * 8), str(value).lower().split("x")
        try:
            width, height = (side.read(field, part) for part in parts)
        except (ValueError, InvalidInput) as error:
            rule = "it must be WIDTHxHEIGHT, such as 512x768"
            raise InvalidInput(field, f"{field} is {shown(value)}; {rule}") from error
        return width, height

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": r"^\d+x\d+$"}


@dataclass(frozen=True)
class After:
    """``next`` of the page before: the moment and the id of its last picture."""

    def read(self, field: str, value: Any) -> Cursor:
        moment, _, id = str(value).partition("_")
        try:
            return float(moment), id
        except ValueError as error:
            rule = "it must be next of the page before, as it is"
            raise InvalidInput(field, f"{field} is {shown(value)}; {rule}") from error

    def schema(self) -> dict[str, Any]:
        return {"type": "string"}


_SEARCH: dict[str, tuple[Reader, str]] = {
    "q": (Text(0, 500), "Words, all of which stand in the prompts, styles, LoRAs or the model."),
    "style": (Text(1, 200), "Drawn with this entry of the style catalogue."),
    "model": (Text(1, 500), "Drawn with this model: its name or SHA-256, or its first ten digits."),
    "seed": (Whole(0, SEED_MAX), "Drawn with this seed."),
    "size": (Size(), "Of this size, as `WIDTHxHEIGHT`."),
    "starred": (Flag(), "Only those with a star, or with false those without."),
    "folder": (Text(0, FOLDER_MAX), "In this folder; empty: in none."),
    "since": (Moment(), "Drawn then or later."),
    "until": (Moment(), "Drawn before then."),
    "removed": (Flag(), "Those that were removed and can be brought back, in place of the others."),
}
_PAGE: dict[str, tuple[Reader, str]] = {
    "limit": (Whole(1, PAGE_MAX), "How many."),
    "after": (After(), "`next` of the page before."),
}
_IDS = Items(Text(1, 100), MARKED_MAX)
_MARKS: Mapping[str, Reader] = {
    "ids": _IDS,
    "starred": Flag(),
    "folder": Text(0, FOLDER_MAX),
    "removed": Flag(),
}


def install(app: Application, api: Api) -> None:
    """Add the routes."""
    for path, verb, handler, operation in (
        (PATH, "GET", _find(api), _find_operation()),
        (PATH, "PATCH", _mark(api), _mark_operation()),
        ("/api/folders", "GET", _folders(api), _folders_operation()),
        (f"{PICTURE}/lineage", "GET", _lineage(api), _lineage_operation()),
    ):
        app.add_api_route(path, handler, methods=[verb], **operation)
    exporting.install(app, api)


def _find(api: Api) -> Handler:
    readers = {name: reader for name, (reader, _) in (_SEARCH | _PAGE).items()}

    async def find(request: Request) -> Response:
        asked, _ = read(readers, {}, request.query_params)
        number, after = asked.pop("limit", 50), asked.pop("after", None)
        words = tuple(asked.pop("q", "").split()[:WORDS_MAX])
        found = await api.services.gallery.pictures(
            request.state.caller, Wanted(words=words, **asked), after=after, number=number
        )
        last = found[-1].picture if len(found) == number else None
        return Json(
            {
                "pictures": [_json(api.settings, each) for each in found],
                "next": None if last is None else f"{last.created_at:.17g}_{last.id}",
            }
        )

    return find


def _mark(api: Api) -> Handler:
    async def mark(request: Request) -> Response:
        settings = api.settings
        fields = await body.read_object(
            request, max_bytes=settings.body_max_bytes, max_s=settings.body_max_s
        )
        said, ignored = read(_MARKS, {}, fields)
        ids = said.pop("ids", [])
        if not ids:
            raise InvalidInput("ids", f"ids is missing; it must be 1 to {MARKED_MAX} pictures' ids")
        if ignored or not said:
            rule = f"beside ids only {', '.join(name for name in _MARKS if name != 'ids')}"
            raise InvalidInput("ids", f"{'; '.join(ignored) or 'Nothing is to change'}: {rule}")
        await api.services.gallery.mark(request.state.caller, ids, Marks(**said))
        return Json({"changed": len(set(ids))})

    return mark


def _folders(api: Api) -> Handler:
    async def folders(request: Request) -> Response:
        found = await api.services.gallery.folders(request.state.caller)
        return Json({"folders": [{"name": n, "pictures": count} for n, count in found.items()]})

    return folders


def _lineage(api: Api) -> Handler:
    async def lineage(request: Request) -> Response:
        caller, id = request.state.caller, request.path_params["id"]
        parents, children = await api.services.gallery.lineage(caller, id)
        return Json(
            {
                "from": [_json(api.settings, each) for each in parents],
                "into": [_json(api.settings, each) for each in children],
            }
        )

    return lineage


def _json(settings: Settings, found: Found) -> dict[str, Any]:
    picture, receipt = found.picture, found.picture.receipt
    return {
        **picture_json(settings, picture),
        "request_id": picture.request_id,
        "created_at": as_time(picture.created_at),
        "prompt": (receipt.get("prompts") or {}).get("positive", ""),
        "model": found.model or (receipt.get("model") or {}).get("name"),
        "model_sha256": (receipt.get("model") or {}).get("sha256"),
        "surface": found.surface,
        "starred": picture.starred,
        "folder": picture.folder,
        "removed_at": as_time(picture.removed_at),
    }


_TEXT: dict[str, Any] = {"type": "string"}
_MAYBE_TEXT: dict[str, Any] = {"type": ["string", "null"]}
_INTEGER = {"type": "integer"}
_PICTURE: dict[str, Any] = {
    **dict.fromkeys(("id", "request_id", "created_at", "prompt", "surface"), _TEXT),
    **dict.fromkeys(("index", "seed", "width", "height"), _INTEGER),
    **dict.fromkeys(("model", "model_sha256", "folder", "removed_at"), _MAYBE_TEXT),
    "starred": {"type": "boolean"},
    "urls": {"type": "object"},
}
_PICTURES = {"type": "array", "items": {"type": "object", "properties": _PICTURE}}
_ERRORS = (400, 401, 403, 404, 500)


def _find_operation() -> dict[str, Any]:
    return openapi.operation(
        "pictures",
        "Stored pictures of this key's account, newest first: all, or those that are asked for.",
        openapi.json_answer(
            "`next` goes into `after` for more.", {"pictures": _PICTURES, "next": _MAYBE_TEXT}
        ),
        errors=_ERRORS,
        parameters=[
            openapi.in_query(name, about, reader.schema())
            for name, (reader, about) in (_SEARCH | _PAGE).items()
        ],
    )


def _mark_operation() -> dict[str, Any]:
    fields = {name: reader.schema() for name, reader in _MARKS.items()}
    schema = {"type": "object", "properties": fields, "required": ["ids"]}
    return openapi.operation(
        "mark-pictures",
        "Star pictures, put them into a folder (empty: into none), remove them or bring them back.",
        openapi.json_answer("How many.", {"changed": {"type": "integer"}}),
        errors=(*openapi.BODY_ERRORS, 404),
        **openapi.body(schema, form=False),
    )


def _folders_operation() -> dict[str, Any]:
    folder = {"name": _TEXT, "pictures": {"type": "integer"}}
    listed = {"type": "array", "items": {"type": "object", "properties": folder}}
    return openapi.operation(
        "folders",
        "The folders that pictures were put into.",
        openapi.json_answer("By name.", {"folders": listed}),
        errors=_ERRORS,
    )


def _lineage_operation() -> dict[str, Any]:
    return openapi.operation(
        "lineage",
        "The stored pictures that one was drawn from, and those that were drawn from it.",
        openapi.json_answer("Oldest first.", {"from": _PICTURES, "into": _PICTURES}),
        errors=_ERRORS,
        parameters=[PICTURE_ID],
    )

"""Many pictures as one ZIP file, each with its receipt, sent while it is written."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import AsyncIterator, Sequence

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from limner.errors import InvalidInput, LimnerError
from limner.store.finding import Marks
from limner.store.keys import Key
from limner.usecases.drawing.orders import StoredPicture
from limner.web import openapi
from limner.web.answers import Handler
from limner.web.application import Application
from limner.web.drawing import Api
from limner.web.reading import body
from limner.web.reading.fields import Items, Text, read

EXPORTED_MAX = 500
WORDS_MAX = 40
_IDS = Items(Text(1, 100), EXPORTED_MAX)
_HEADERS = {"Content-Disposition": 'attachment; filename="pictures.zip"'}


def install(app: Application, api: Api) -> None:
    """Add the route."""
    schema = {"type": "object", "properties": {"ids": _IDS.schema()}, "required": ["ids"]}
    binary = {"schema": {"type": "string", "format": "binary"}}
    operation = openapi.operation(
        "export-pictures",
        f"Up to {EXPORTED_MAX} pictures as a ZIP file: for each a PNG and its receipt as JSON.",
        {"description": "The file.", "content": {"application/zip": binary}},
        errors=(*openapi.BODY_ERRORS, 404),
        **openapi.body(schema, form=False),
    )
    app.add_api_route("/api/pictures/export", _export(api), methods=["POST"], **operation)


def _export(api: Api) -> Handler:
    async def export(request: Request) -> Response:
        settings, caller = api.settings, request.state.caller
        fields = await body.read_object(
            request, max_bytes=settings.body_max_bytes, max_s=settings.body_max_s
        )
        ids = list(dict.fromkeys(read({"ids": _IDS}, {}, fields)[0].get("ids", ())))
        if not ids:
            raise InvalidInput("ids", f"ids is missing; it must be 1 to {EXPORTED_MAX} ids")
        await api.services.gallery.mark(
            caller, ids, Marks()
        )  # all are the caller's, or nothing is sent
        return StreamingResponse(
            _zip(api, caller, ids), media_type="application/zip", headers=_HEADERS
        )

    return export


async def _zip(api: Api, caller: Key, ids: Sequence[str]) -> AsyncIterator[bytes]:
    sink = _Sink()
    with zipfile.ZipFile(sink, "w") as file:  # PNGs are compressed as they are
        for place, id in enumerate(ids, start=1):
            try:
                picture = await api.services.gallery.picture(caller, id)
            except LimnerError as error:  # deleted meanwhile, or damaged: the others still come
                file.writestr(f"{place:03d}_{id}.txt", f"{error}\n")
            else:
                name = f"{place:03d}_{_words(picture)}_{picture.seed}"
                file.writestr(f"{name}.png", picture.png)
                file.writestr(f"{name}.json", json.dumps(picture.receipt, indent=1))
            yield sink.take()
    yield sink.take()


def _words(picture: StoredPicture) -> str:
    """The prompt's first words, as any file system takes them."""
    prompt = str((picture.receipt.get("prompts") or {}).get("positive", ""))
    return re.sub(r"[^0-9a-z]+", "-", prompt.lower())[:WORDS_MAX].strip("-") or "picture"


class _Sink(io.RawIOBase):
    """What a ZIP file is written into that cannot be gone back in; taken piece by piece."""

    def __init__(self) -> None:
        super().__init__()
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._pieces.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        """What was written since the last time."""
        taken, self._pieces = b"".join(self._pieces), []
        return taken

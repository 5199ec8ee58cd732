"""Files that are answered from memory: made once, compressed once, and sent only when changed."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from starlette.requests import Request
from starlette.responses import Response

PACKED = ("text/", "application/json", "image/svg")
PACKED_MIN_BYTES = 1024


@dataclass(frozen=True)
class File:
    """A file as it is sent."""

    data: bytes
    media_type: str

    @cached_property
    def digest(self) -> str:
        """Changes with its bytes."""
        return hashlib.sha256(self.data).hexdigest()[:20]

    @cached_property
    def packed(self) -> bytes | None:
        """The bytes in gzip; None where that saves nothing."""
        if len(self.data) < PACKED_MIN_BYTES or not self.media_type.startswith(PACKED):
            return None
        return gzip.compress(self.data, mtime=0)


def answer(request: Request, file: File, headers: Mapping[str, str]) -> Response:
    """The file, or 304 where the client has it: it asks every time, and an upgrade shows."""
    packed = file.packed if _takes_gzip(request) else None
    etag = f'"{file.digest}"' if packed is None else f'"{file.digest}-gz"'
    headers = {**headers, "ETag": etag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
    known = request.headers.get("if-none-match", "")
    if etag in (tag.strip().removeprefix("W/") for tag in known.split(",")):
        return Response(status_code=304, headers=headers)
    if packed is not None:
        headers["Content-Encoding"] = "gzip"
    return Response(packed or file.data, headers=headers, media_type=file.media_type)


def _takes_gzip(request: Request) -> bool:
    codings = request.headers.get("accept-encoding", "").lower().split(",")
    parts = (coding.partition(";") for coding in codings)
    asked = {name.strip(): rest.replace(" ", "") for name, _, rest in parts}
    return "gzip" in asked and asked["gzip"] not in ("q=0", "q=0.0", "q=0.00", "q=0.000")

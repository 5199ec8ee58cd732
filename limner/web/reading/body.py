"""Reading a request's body: bounded in size, time, depth, and strict about its form."""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from limner import pools
from limner.errors import (
    Aborted,
    BodyTooLarge,
    EncodedBody,
    MalformedBody,
    Unavailable,
    WrongContentType,
)
from limner.web.reading.fields import cut
from limner.web.streams import STOPPING, Streams

DEPTH_MAX = 32
PARTS_MAX = 200
DIGITS_MAX = 400
FORM_PIECE = 64 << 10
MARKS_MAX = 200_000  # a bound on JSON's values: millions of them would hold up every other caller
CHARSETS = ("utf-8", "utf8", "us-ascii", "iso-8859-1")


async def read_object(request: Request, *, max_bytes: int, max_s: float) -> dict[str, Any]:
    """The body as an object: of JSON, or of ``multipart/form-data`` (text, and bytes of files).

    Raises ``WrongContentType``, ``BodyTooLarge``, ``MalformedBody``, ``Unavailable`` for a body
    that is too slow, or ``Aborted`` when the client leaves before its end.
    """
    kind = content_type(request)
    if kind not in ("application/json", "multipart/form-data"):
        raise WrongContentType("Invalid content type")
    body = await read_bytes(request, max_bytes=max_bytes, max_s=max_s)
    if kind == "multipart/form-data":
        return await _form(request, body, max_bytes)
    return await pools.BODIES.run(parse_json, body)


def content_type(request: Request) -> str:
    """The media type without its parameters, in lower case."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def read_bytes(request: Request, *, max_bytes: int, max_s: float) -> bytearray:
    """The whole body, or an error once it is longer, or slower, than allowed, or the server ends.

    Raises ``EncodedBody`` before it is read where it would have to be decoded first.
    """
    _check_encoding(request.headers)
    declared = request.headers.get("content-length", "")
    _check_length(int(declared[:20]) if declared.isdigit() else 0, max_bytes)
    streams: Streams = request.app.state.streams
    try:
        async with asyncio.timeout(max_s) as limit:
            with streams.body(limit):
                body = await _arrived(request, max_bytes)
    except TimeoutError as error:
        late = f"The body did not arrive within {max_s:g} seconds, the limit; send it again"
        raise Unavailable(STOPPING if streams.stopping else late, 2) from error
    except ClientDisconnect as error:
        raise Aborted("The client left before its request was complete") from error
    request.state.room.keep(len(body))
    return body


async def _arrived(request: Request, max_bytes: int) -> bytearray:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        _check_length(len(body), max_bytes)
    return body


def _check_length(length: int, max_bytes: int) -> None:
    if length > max_bytes:
        raise BodyTooLarge(f"The body is longer than the {max_bytes:,} bytes this server reads")


def _check_encoding(headers: Headers) -> None:
    """Raises ``EncodedBody`` where a body is not sent as it is; its chunks are the server's."""
    for name, plain in (("content-encoding", "identity"), ("transfer-encoding", "chunked")):
        codings = [each.strip().lower() for each in ",".join(headers.getlist(name)).split(",")]
        if other := [coding for coding in codings if coding not in ("", plain)]:
            raise EncodedBody(
                f"{name.title()} is {cut(ascii(other[0]))}; this server reads bodies only as they "
                "are: leave the header out and send the body uncompressed"
            )


def parse_json(body: bytes | bytearray) -> dict[str, Any]:
    """A JSON object; no duplicate names, no NaN, nothing too deep, no NUL, no lone surrogate.

    A ``bytearray`` is emptied once it is text: of a long body two copies at a time are enough.
    """
    if sum(body.count(mark) for mark in b",[{") > MARKS_MAX:
        raise MalformedBody(f"The body holds more than {MARKS_MAX:,} commas and opening brackets")
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise MalformedBody(f"The body is not UTF-8 (at byte {error.start})") from error
    if isinstance(body, bytearray):
        body.clear()
    value = _loaded(text)
    del text
    if not isinstance(value, dict):
        raise MalformedBody('The body must be a JSON object such as {"prompt": "a knight"}')
    check(value)
    return value


def _loaded(text: str) -> Any:
    try:
        return json.loads(
            text,
            object_pairs_hook=_without_duplicates,
            parse_constant=_no_constant,
            parse_float=_finite,
            parse_int=_bounded_int,
        )
    except json.JSONDecodeError as error:
        line = f"line {error.lineno}, " if "\n" in error.doc else ""
        what = error.msg.removesuffix(" at")
        raise MalformedBody(
            f"The body is not JSON: {what} at {line}column {error.colno}"
        ) from error
    except RecursionError as error:
        raise _too_deep() from error


async def digest_of(request: Request, body: Mapping[str, Any]) -> str:
    """``digest`` of what was read of a request; that of a long body is made on a thread."""
    path = request.url.path
    if request.state.room.size:
        return await pools.BODIES.run(digest, path, body)
    return digest(path, body)


def digest(path: str, body: Mapping[str, Any]) -> str:
    """SHA-256 over the path and the parsed body, whatever the order of its names."""
    made = hashlib.sha256(f"{path}\n".encode())
    # In pieces, of which the longest is a picture: all of it at once would be there three times.
    for piece in _PLAIN.iterencode(body):
        made.update(piece.encode())
    return made.hexdigest()


async def _form(request: Request, body: bytearray, max_bytes: int) -> dict[str, Any]:
    places = iter(range(0, len(body), FORM_PIECE) or [0])

    async def receive() -> Message:
        await asyncio.sleep(0)  # a long form takes seconds: others have a turn after each piece
        place = next(places)
        piece = bytes(memoryview(body)[place : place + FORM_PIECE])
        return {
            "type": "http.request",
            "body": piece,
            "more_body": place + FORM_PIECE < len(body),
        }

    boundary = _boundary(request.headers["content-type"])
    scope = {"type": "http", "headers": request.scope["headers"]}
    limits = {"max_files": PARTS_MAX, "max_fields": PARTS_MAX, "max_part_size": max_bytes}
    try:
        async with Request(scope, receive).form(**limits) as form:
            pairs = [(name, await _part(value)) for name, value in form.multi_items()]
    except MultiPartException as error:
        raise MalformedBody(f"The form cannot be read: {error.message}") from error
    # The parser gives up without a word the field that the body ends in.
    if pairs and b"--" + boundary + b"--" not in body:
        raise MalformedBody("The form is cut off: the boundary that closes it is missing")
    values = _without_duplicates(pairs)
    check(values)
    return values


def _boundary(kind: str) -> bytes:
    """The boundary that a form's content type names; its charset must be one of few.

    Python knows hundreds of charsets, some of which raise, or take minutes, on a stranger's bytes.
    """
    _, options = parse_options_header(kind)
    charset = options.get(b"charset", b"utf-8").decode("latin-1").lower()
    if charset not in CHARSETS:
        allowed = ", ".join(CHARSETS)
        raise MalformedBody(f"The form's charset is {cut(ascii(charset))}; read are {allowed}")
    return options.get(b"boundary", b"")


async def _part(value: UploadFile | str) -> str | bytes:
    return value if isinstance(value, str) else await value.read()


def _without_duplicates(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in pairs:
        if name in values:
            raise MalformedBody(
                f"The name {cut(ascii(name))} stands more than once in the body; it may stand once"
            )
        values[name] = value
    return values


def _no_constant(name: str) -> None:
    raise MalformedBody(f"{name} is not a JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise MalformedBody(f"The number {cut(text)} is too large")
    return value


def _bounded_int(text: str) -> int:
    if len(text) > DIGITS_MAX:
        raise MalformedBody(f"The number {cut(text)} is too large")
    return int(text)


def check(value: Mapping[str, Any]) -> None:
    """Walk everything, without recursion, for depth and for characters no text may hold.

    Raises ``MalformedBody``.
    """
    level: list[Any] = [value]
    for _ in range(DEPTH_MAX):
        below: list[Any] = []
        for item in level:
            if isinstance(item, Mapping):
                below += [*item.keys(), *item.values()]
            elif isinstance(item, list):
                below += item
            elif isinstance(item, str):
                _check_text(item)
        level = below
        if not level:
            return
    raise _too_deep()


def _check_text(text: str) -> None:
    if "\0" in text:
        raise MalformedBody(f"The text {cut(ascii(text))} holds a NUL character, U+0000")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise MalformedBody(
            f"The text {cut(ascii(text))} holds half of a surrogate pair at character {error.start}"
        ) from error


def _too_deep() -> MalformedBody:
    return MalformedBody(f"The body is nested deeper than {DEPTH_MAX} levels")


def _file_digest(value: Any) -> str:
    return "sha256:" + hashlib.sha256(value).hexdigest()


_PLAIN = json.JSONEncoder(sort_keys=True, separators=(",", ":"), default=_file_digest)

"""An answer as it is recorded: without what differs between two runs by nature.

* ids and secrets are named for the call in which they first appear, so that it still shows which
  answers speak of the same one;
* times, durations and what is left of a minute become a word, and so does whether a request that
  is open has been begun;
* versions and the machine in receipts become a word;
* pictures become their format, size, digest of pixels, texts and receipt, and 8 x 8 colours.
  Of lossy files, and of those that a model drew, only the colours are kept, since machines and
  libraries differ in the last bits.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from email.parser import BytesParser
from typing import Any

import httpx
from PIL import Image

from limner.imaging import read_metadata

HEADERS = ("content-type", "allow", "cache-control", "location", "retry-after", "www-authenticate")
IDS = re.compile(r"\b(?:[a-z]+_[0-9a-f]{24,32}|SG_[0-9a-f]{32})\b")
TIMES = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00)")
# Fields and headers whose values are times, durations, or places in a minute.
MOMENTS = {
    "created", "created_at", "finished_at", "expires_at", "revoked_at", "next",
    "infer_time", "inference_time", "queue_time", "total_time",
    "drawing_s", "eta_relative", "job_timestamp", "retry-after", "etag",
    "x-generation-time", "x-rate-limit-remaining", "x-rate-limit-reset-at-utc",
}  # fmt: skip
MACHINES = {"machine", "processor", "threads", "versions", "version"}
RANDOM = {"begins"}  # the first letters of a secret
OPEN = ("QUEUED", "PROCESSING")
BEGUN = {"started_at", "position", "estimate_s"}  # there or not, as a request has been begun
LOOK = 8
LONG = 6000  # characters of a text that is recorded as a digest


class Normal:
    """Turns answers into what is recorded; remembers whose ids it has seen.

    ``exact``: pixels are the same on every machine.
    """

    def __init__(self, url: str, *, exact: bool) -> None:
        self._url, self._exact = url, exact
        self._ids: dict[str, str] = {}

    def answer(self, name: str, answer: httpx.Response) -> dict[str, Any]:
        """The recorded form of the answer to the call ``name``."""
        headers = {
            key: self._value(key, value, name)
            for key, value in sorted(answer.headers.items())
            if key in HEADERS or key.startswith("x-")
        }
        return {"status": answer.status_code, "headers": headers, "body": self._body(answer, name)}

    def _body(self, answer: httpx.Response, name: str) -> Any:
        kind = answer.headers.get("content-type", "")
        if kind.startswith("image/"):
            return self._picture(answer.content, name)
        if kind.startswith("multipart/mixed"):
            return [self._part(part, name) for part in _parts(kind, answer.content)]
        if kind.startswith("text/event-stream"):
            return [self._event(text, name) for text in answer.text.split("\n\n") if text.strip()]
        if kind.startswith("application/json") and answer.content:
            return self._value("", answer.json(), name)
        return self._text(answer.text, name)

    def _part(self, part: Any, name: str) -> Any:
        headers = {key.lower(): self._text(value, name) for key, value in part.items()}
        headers.pop("content-length", None)  # the versions in the receipt are of any length
        return {"headers": headers, "body": self._picture(part.get_payload(decode=True), name)}

    def _event(self, text: str, name: str) -> Any:
        lines = dict(line.partition(": ")[::2] for line in text.splitlines())
        data = json.loads(lines.get("data", "null"))
        return {"event": lines.get("event"), "data": self._value("", data, name)}

    def _value(self, key: str, value: Any, name: str) -> Any:
        """A JSON value that stands under ``key``."""
        if key == "status" and value in OPEN:
            return "<open>"
        varies = key in MACHINES | BEGUN or (not self._exact and key == "rgb_sha256")
        if varies or (value is not None and key in MOMENTS | RANDOM):
            return f"<{key}>"
        if isinstance(value, dict):
            return {each: self._value(each, value[each], name) for each in sorted(value)}
        if isinstance(value, list):
            return [self._value(key, each, name) for each in value]
        return self._text(value, name) if isinstance(value, str) else value

    def _text(self, text: str, name: str) -> Any:
        if (picture := _picture_in(text)) is not None:
            return self._picture(picture, name)
        if text[:1] == "{" and text[-1:] == "}":
            try:
                return {"json": self._value("", json.loads(text), name)}
            except ValueError:
                pass
        text = text.replace(self._url, "http://server")
        text = IDS.sub(lambda found: self._named(found[0], name), TIMES.sub("<time>", text))
        text = re.sub(r"boundary=\S+", "boundary=<boundary>", text)
        text = re.sub(r"Version: [^,\n]+", "Version: <version>", text)
        return text if len(text) <= LONG else f"{len(text)} characters, {_digest(text.encode())}"

    def _named(self, found: str, name: str) -> str:
        if found not in self._ids:
            kind, number = found.split("_")[0], 1
            while (named := f"{kind}:{name}:{number}") in self._ids.values():
                number += 1
            self._ids[found] = named
        return self._ids[found]

    def _picture(self, data: bytes, name: str) -> dict[str, Any]:
        with Image.open(io.BytesIO(data)) as opened:
            format, mode, size = opened.format, opened.mode, list(opened.size)
            image = opened.convert("RGB")
        metadata = read_metadata(data)
        small = image.resize((LOOK, LOOK), Image.Resampling.BOX)
        told = {"format": format, "mode": mode, "size": size, "look": small.tobytes().hex()}
        told["parameters"] = metadata.parameters and self._text(metadata.parameters, name)
        told["receipt"] = self._value("", metadata.receipt, name)
        if self._exact and format == "PNG":
            told["pixels"] = _digest(image.tobytes())
        return told


def _picture_in(text: str) -> bytes | None:
    """The bytes of a picture in base64, with or without ``data:``; None for other texts."""
    if len(text) < 60 or " " in text[:60]:
        return None
    try:
        data = base64.b64decode(text.rpartition("base64,")[2], validate=True)
    except ValueError:
        return None
    magic = (b"\x89PNG", b"\xff\xd8\xff", b"RIFF", b"GIF8")
    return data if data.startswith(magic) else None


def _parts(kind: str, content: bytes) -> list[Any]:
    message = BytesParser().parsebytes(f"content-type: {kind}\n\n".encode() + content)
    return list(message.get_payload())


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()[:16]}"

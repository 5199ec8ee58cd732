"""What is asked of the library and the queue: pictures found and marked, requests moved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict
from urllib.parse import urlencode

from limner.client.steps import Ask


class Wanted(TypedDict, total=False):
    """Which pictures; what is not named is not asked about.

    ``q``: words of prompts, styles, LoRAs or the model's name. ``size``: ``"512x768"``. ``folder``:
    a name, or "" for those in none. ``since`` and ``until``: days or moments as ISO 8601 has them.
    ``removed``: those that can be brought back, in place of the others. ``limit``: 1 to 200 (50).
    ``after``: ``next`` of the page before.
    """

    q: str
    style: str
    model: str
    seed: int
    size: str
    starred: bool
    folder: str
    since: str
    until: str
    removed: bool
    limit: int
    after: str


class Marks(TypedDict, total=False):
    """What is said of pictures: a star, a folder ("" for none), removed or brought back."""

    starred: bool
    folder: str
    removed: bool


def find(wanted: Wanted) -> Ask:
    """A page of pictures."""
    said = {n: str(v).lower() if isinstance(v, bool) else v for n, v in wanted.items()}
    return Ask("GET", f"/api/pictures?{urlencode(said)}")


def mark(picture_ids: Sequence[str], marks: Marks) -> Ask:
    """Say something of pictures."""
    body: dict[str, Any] = {"ids": list(picture_ids), **marks}
    return Ask("PATCH", "/api/pictures", body)


def folders() -> Ask:
    """Every folder."""
    return Ask("GET", "/api/folders")


def lineage(picture_id: str) -> Ask:
    """What a picture was drawn from, and what was drawn from it."""
    return Ask("GET", f"/api/pictures/{picture_id}/lineage")


def export(picture_ids: Sequence[str]) -> Ask:
    """Pictures and receipts as a ZIP file."""
    return Ask("POST", "/api/pictures/export", {"ids": list(picture_ids)})


def move(request_id: str, before: str | None, after: str | None) -> Ask:
    """Let a request that waits stand beside another."""
    beside = {"before": before} if before is not None else {"after": after}
    return Ask("POST", "/api/queue/move", {"id": request_id, **beside})

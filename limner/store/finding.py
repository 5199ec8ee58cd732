"""Finding pictures of an account, and what is said of them: star, folder, removed."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select, tuple_, update

from limner.domain.finding import folded, style_word
from limner.store.images import Picture, columns, from_row
from limner.store.schema import pictures, requests
from limner.store.sql import clock

_SUM = re.compile("[0-9a-f]{10}|[0-9a-f]{64}")
_JOINED = pictures.join(requests, requests.c.id == pictures.c.request_id)
# Drawn to be compared with another, and looked at beside it.
_SHOWN = requests.c.surface != "replay"


@dataclass(frozen=True)
class Wanted:
    """What is looked for; what is None is not asked about.

    ``words``: all of them, anywhere in prompts, styles or names of models. ``model``: a name, or
    the SHA-256 of it or of the author's file, whole or its first ten digits. ``folder``: a name,
    or "" for none. Moments are seconds since the epoch, ``since`` with and ``until`` without that
    moment. ``removed``: those that are out of sight, in place of others.
    """

    words: tuple[str, ...] = ()
    style: str | None = None
    model: str | None = None
    seed: int | None = None
    size: tuple[int, int] | None = None
    starred: bool | None = None
    folder: str | None = None
    since: float | None = None
    until: float | None = None
    removed: bool = False


@dataclass(frozen=True)
class Marks:
    """What is said of pictures; None leaves it as it is. ``folder`` "" takes them out of any."""

    starred: bool | None = None
    folder: str | None = None
    removed: bool | None = None


@dataclass(frozen=True)
class Found:
    """A picture, and the model and surface of its request."""

    picture: Picture
    model: str | None
    surface: str


Cursor = tuple[float, str]


def search(
    conn: Connection, account_id: str, wanted: Wanted, *, after: Cursor | None, number: int
) -> list[Found]:
    """Pictures of an account, newest first; ``after``: moment and id of the last one known."""
    order = pictures.c.created_at, pictures.c.id
    query = (
        select(*columns(), requests.c.model, requests.c.surface)
        .select_from(_JOINED)
        .where(requests.c.account_id == account_id, _SHOWN, *_conditions(wanted))
        .order_by(*(each.desc() for each in order))
        .limit(number)
    )
    if after is not None:
        query = query.where(tuple_(*order) < tuple_(*after))
    return [_found(row) for row in conn.execute(query)]


def by_source(conn: Connection, account_id: str, sha256: str) -> list[Found]:
    """Pictures of an account that were drawn from the pixels with this SHA-256, oldest first."""
    return _related(conn, account_id, pictures.c.source_sha256 == sha256)


def by_pixels(conn: Connection, account_id: str, sha256: str) -> list[Found]:
    """Pictures of an account with these pixels, oldest first."""
    return _related(conn, account_id, pictures.c.rgb_sha256 == sha256)


def owned(conn: Connection, account_id: str, picture_ids: Collection[str]) -> set[str]:
    """Which of these are pictures of the account."""
    query = select(pictures.c.id).select_from(_JOINED)
    mine = requests.c.account_id == account_id, pictures.c.id.in_(picture_ids)
    return set(conn.execute(query.where(*mine)).scalars())


def mark(conn: Connection, picture_ids: Collection[str], marks: Marks) -> None:
    """Say something of pictures."""
    values: dict[str, Any] = {}
    if marks.starred is not None:
        values["starred"] = marks.starred
    if marks.folder is not None:
        values["folder"] = marks.folder or None
    if marks.removed is not None:
        values["removed_at"] = clock(conn) if marks.removed else None
    if values:
        conn.execute(update(pictures).where(pictures.c.id.in_(picture_ids)).values(**values))


def folders(conn: Connection, account_id: str) -> dict[str, int]:
    """The account's folders by name, with how many pictures in sight each holds."""
    query = (
        select(pictures.c.folder, func.count())
        .select_from(_JOINED)
        .where(requests.c.account_id == account_id, pictures.c.folder.is_not(None))
        .where(pictures.c.removed_at.is_(None))
        .group_by(pictures.c.folder)
        .order_by(pictures.c.folder)
    )
    return {name: int(count) for name, count in conn.execute(query)}


def removed_before(conn: Connection, moment: float, *, number: int) -> list[tuple[str, str]]:
    """Request and id of pictures that are out of sight since before a moment."""
    both = pictures.c.request_id, pictures.c.id
    query = select(*both).where(pictures.c.removed_at < moment).order_by(*both).limit(number)
    return [(request_id, picture_id) for request_id, picture_id in conn.execute(query)]


def _related(conn: Connection, account_id: str, related: ColumnElement[bool]) -> list[Found]:
    query = (
        select(*columns(), requests.c.model, requests.c.surface)
        .select_from(_JOINED)
        .where(requests.c.account_id == account_id, related, _SHOWN)
        .where(pictures.c.removed_at.is_(None))
        .order_by(pictures.c.created_at, pictures.c.id)
        .limit(200)
    )
    return [_found(row) for row in conn.execute(query)]


def _conditions(wanted: Wanted) -> list[ColumnElement[bool]]:
    removed, words = pictures.c.removed_at.is_not(None), pictures.c.words
    made: list[ColumnElement[bool]] = [removed if wanted.removed else ~removed]
    made += [words.contains(folded(word), autoescape=True) for word in wanted.words]
    made += [condition(value) for condition, value in _asked(wanted) if value is not None]
    return made


def _asked(wanted: Wanted) -> list[tuple[Callable[[Any], ColumnElement[bool]], Any]]:
    """Each condition, and what is asked of it."""
    of = pictures.c
    return [
        (lambda style: of.words.contains(f"\n{style_word(style)}", autoescape=True), wanted.style),
        (_of_model, wanted.model),
        (lambda seed: of.seed == str(seed), wanted.seed),
        (lambda size: and_(of.width == size[0], of.height == size[1]), wanted.size),
        (of.starred.is_, wanted.starred),
        (lambda name: of.folder == name if name else of.folder.is_(None), wanted.folder),
        (lambda moment: of.created_at >= moment, wanted.since),
        (lambda moment: of.created_at < moment, wanted.until),
    ]


def _of_model(name: str) -> ColumnElement[bool]:
    """A request is bound to what was said over its model's files too, which a receipt tells."""
    named = func.lower(requests.c.model) == name.lower()
    if not _SUM.fullmatch(name.lower()):
        return named
    drew = pictures.c.model_sums.contains(f"\n{name.lower()}")
    return or_(named, drew, requests.c.model_sha256 == name.lower())


def _found(row: Any) -> Found:
    fields = dict(row._mapping)
    model, surface = fields.pop("model"), fields.pop("surface")
    return Found(from_row(fields), model, surface)

"""Rows of pictures and of what they started from; their bytes are in ``store/files``.

A file is written before its row and deleted after it: a crash leaves a file without a row,
which the sweeper removes, never a row without a file.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Connection, delete, func, insert, select, union, union_all

from limner.domain import finding
from limner.store.schema import pictures, requests, sources
from limner.store.sql import clock


@dataclass(frozen=True)
class Picture:
    """One stored picture; ``file`` is the key of its lossless file.

    ``source_sha256``: of the pixels that it was drawn from. ``removed_at``: when it was taken out
    of sight, to be deleted.
    """

    id: str
    request_id: str
    index: int
    seed: int
    width: int
    height: int
    rgb_sha256: str
    receipt: dict[str, Any]
    file: str
    bytes: int
    price_micro: int
    created_at: float
    source_sha256: str | None
    starred: bool
    folder: str | None
    removed_at: float | None


def add(conn: Connection, **fields: Any) -> None:
    """Insert the row of a picture whose file is written."""
    receipt = fields["receipt"]
    values = {
        **fields,
        "seed": str(fields["seed"]),
        "created_at": clock(conn),
        "words": finding.words_of(receipt),
        "source_sha256": finding.source_of(receipt),
        "model_sums": finding.model_sums(receipt),
    }
    conn.execute(insert(pictures).values(**values))


def find(conn: Connection, picture_id: str) -> Picture | None:
    """A picture by its id."""
    row = conn.execute(select(*columns()).where(pictures.c.id == picture_id)).one_or_none()
    return None if row is None else from_row(row._mapping)


def of_request(conn: Connection, request_id: str) -> list[Picture]:
    """The pictures of a request that are in sight, by index."""
    query = select(*columns()).where(
        pictures.c.request_id == request_id, pictures.c.removed_at.is_(None)
    )
    return [from_row(row._mapping) for row in conn.execute(query.order_by(pictures.c.index))]


def has_any(conn: Connection, request_id: str) -> bool:
    """Whether a request has pictures, in sight or not."""
    query = select(pictures.c.id).where(pictures.c.request_id == request_id).limit(1)
    return conn.execute(query).scalar() is not None


def find_by_pixels(conn: Connection, rgb_sha256: str, account_id: str) -> str | None:
    """Id of an account's picture with this digest of its pixels."""
    query = select(pictures.c.id).join(requests, requests.c.id == pictures.c.request_id)
    mine = pictures.c.rgb_sha256 == rgb_sha256, requests.c.account_id == account_id
    return conn.execute(query.where(*mine).limit(1)).scalar()


def remove(conn: Connection, picture_ids: Collection[str]) -> list[str]:
    """Delete rows of pictures; returns the files, to be deleted after the commit."""
    statement = delete(pictures).where(pictures.c.id.in_(picture_ids)).returning(pictures.c.file)
    return list(conn.execute(statement).scalars())


def remove_of_requests(conn: Connection, request_ids: Collection[str]) -> list[str]:
    """Delete all rows of pictures and sources of requests; returns the files to delete."""
    found: list[str] = []
    for table in (pictures, sources):
        statement = delete(table).where(table.c.request_id.in_(request_ids))
        found += conn.execute(statement.returning(table.c.file)).scalars()
    return sorted(set(found))


def add_sources(
    conn: Connection, request_id: str, sha256s: Collection[str], file: str, size: int
) -> None:
    """Say that ``file`` holds the pixels of these SHA-256s for a request."""
    common = {"request_id": request_id, "file": file, "created_at": clock(conn)}
    for position, sha256 in enumerate(sorted(sha256s)):
        # The file is counted once in the bytes that are kept.
        row = {**common, "sha256": sha256, "bytes": 0 if position else size}
        conn.execute(insert(sources).values(**row))


def source_file(
    conn: Connection, sha256: str, *, account_id: str | None = None, request_id: str | None = None
) -> str | None:
    """A file that holds the pixels with this SHA-256, within an account or a request."""
    query = select(sources.c.file).where(sources.c.sha256 == sha256)
    if request_id is not None:
        query = query.where(sources.c.request_id == request_id)
    if account_id is not None:
        query = query.join(requests, requests.c.id == sources.c.request_id)
        query = query.where(requests.c.account_id == account_id)
    return conn.execute(query.limit(1)).scalar()


def kept_bytes(conn: Connection) -> dict[str, int]:
    """Bytes of the files of finished requests, by account."""
    kept = _files()
    query = (
        select(requests.c.account_id, func.sum(kept.c.bytes))
        .join(requests, requests.c.id == kept.c.request_id)
        .where(requests.c.finished_at.is_not(None))
        .group_by(requests.c.account_id)
    )
    return {account_id: int(total) for account_id, total in conn.execute(query)}


def waiting_source_bytes(conn: Connection, account_id: str) -> int:
    """Bytes of the source pictures of an account's requests that have not ended."""
    query = (
        select(func.coalesce(func.sum(sources.c.bytes), 0))
        .join(requests, requests.c.id == sources.c.request_id)
        .where(requests.c.account_id == account_id, requests.c.finished_at.is_(None))
    )
    return int(conn.execute(query).scalar_one())


def sizes(conn: Connection, account_id: str, *, number: int) -> dict[str, int]:
    """Bytes kept for an account's finished requests that have files, the longest finished first."""
    kept = _files()
    query = (
        select(kept.c.request_id, func.sum(kept.c.bytes))
        .join(requests, requests.c.id == kept.c.request_id)
        .where(requests.c.finished_at.is_not(None), requests.c.account_id == account_id)
        .group_by(kept.c.request_id, requests.c.finished_at)
        .order_by(requests.c.finished_at, kept.c.request_id)
        .limit(number)
    )
    return {request_id: int(total) for request_id, total in conn.execute(query)}


def known(conn: Connection, files: Collection[str]) -> set[str]:
    """Which of these files have a row."""
    found: set[str] = set()
    for table in (pictures, sources):
        found |= set(conn.execute(select(table.c.file).where(table.c.file.in_(files))).scalars())
    return found


def all_pictures(conn: Connection) -> Iterator[Picture]:
    """Every picture, by id."""
    for row in conn.execute(select(*columns()).order_by(pictures.c.id)):
        yield from_row(row._mapping)


def all_files(conn: Connection) -> list[str]:
    """The file of every picture and of every request's sources, in order."""
    both = (select(table.c.file) for table in (pictures, sources))
    return sorted(conn.execute(union(*both)).scalars())


def _files() -> Any:
    """Request and bytes of every file that has a row."""
    both = (select(table.c.request_id, table.c.bytes) for table in (pictures, sources))
    return union_all(*both).subquery()


def columns() -> list[Column[Any]]:
    """What ``from_row`` makes a ``Picture`` of."""
    return [column for column in pictures.c if column.name not in ("words", "model_sums")]


def from_row(fields: Mapping[Any, Any]) -> Picture:
    """A picture of its columns."""
    return Picture(**{**fields, "seed": int(fields["seed"])})

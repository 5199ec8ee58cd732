"""Pictures: rows in the database, lossless files in a folder, and what they started from.

A file is written before its row and deleted after it: a crash leaves a file without a row,
which the sweeper removes, never a row without a file.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, union_all

from limner.errors import NotFound
from limner.store.db import Database
from limner.store.schema import folders, pictures, requests, sources
from limner.store.sql import clock, insert_once


@dataclass(frozen=True)
class Picture:
    """One stored picture; ``file`` is relative to the folder of ``PictureFiles``."""

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


class PictureFiles:
    """A folder of files that appear whole or not at all.

    With a ``database`` it is told to the others of that database, and what it lacks is looked
    for in theirs, which must be seen from here: on this machine, or on a shared file system.
    """

    def __init__(self, folder: Path, database: Database | None = None) -> None:
        self.folder = folder
        self._database = database
        folder.mkdir(parents=True, exist_ok=True)
        if database is not None:
            with database.begin() as conn:
                insert_once(conn, folders, {"path": str(folder.resolve())})

    def write(self, name: str, data: bytes) -> str:
        """Write ``data`` durably; returns the file's name within the folder."""
        file = f"{name[4:6]}/{name}"  # ids are a prefix, "_" and hex: 256 shelves
        path = self.folder / file
        path.parent.mkdir(exist_ok=True)
        temporary = path.with_name(f".{secrets.token_hex(8)}")
        try:
            with temporary.open("wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)
        return file

    def keep(self, file: str, data: bytes) -> None:
        """Write again a file of ours that has gone missing meanwhile."""
        if not (self.folder / file).exists():
            self.write(Path(file).name, data)

    def read(self, file: str) -> bytes:
        """The bytes of a file. Raises ``NotFound``."""
        for folder in self._folders():
            with suppress(FileNotFoundError, PermissionError):
                return (folder / file).read_bytes()
        raise NotFound(
            f"The file of picture {Path(file).stem} is missing: it is neither in this server's "
            "data_dir nor in one of its siblings' that can be read from here"
        )

    def delete(self, file: str) -> None:
        """Remove a file; one that is gone already is fine."""
        for folder in self._folders():
            with suppress(FileNotFoundError, PermissionError):
                (folder / file).unlink()
                return

    def _folders(self) -> Iterator[Path]:
        """Our own, then, for who is still looking, those of the others."""
        yield self.folder
        if self._database is None:
            return
        with self._database.read() as conn:
            paths = conn.execute(select(folders.c.path)).scalars().all()
        yield from (Path(path) for path in paths if Path(path) != self.folder.resolve())

    def older_than(self, seconds: float) -> Iterator[str]:
        """Names of the files (temporary ones included) not written to for so long."""
        limit = time.time() - seconds
        for path in self.folder.glob("*/*"):
            try:
                if path.stat().st_mtime < limit:
                    yield f"{path.parent.name}/{path.name}"
            except FileNotFoundError:
                continue


def add(conn: Connection, **fields: Any) -> None:
    """Insert the row of a picture whose file is written."""
    values = {**fields, "seed": str(fields["seed"]), "created_at": clock(conn)}
    conn.execute(insert(pictures).values(**values))


def find(conn: Connection, picture_id: str) -> Picture | None:
    """A picture by its id."""
    row = conn.execute(select(pictures).where(pictures.c.id == picture_id)).one_or_none()
    return None if row is None else _picture(row)


def of_request(conn: Connection, request_id: str) -> list[Picture]:
    """The pictures of a request, by index."""
    query = select(pictures).where(pictures.c.request_id == request_id)
    return [_picture(row) for row in conn.execute(query.order_by(pictures.c.index))]


def find_by_pixels(conn: Connection, rgb_sha256: str, account_id: str) -> str | None:
    """Id of an account's picture with this digest of its pixels."""
    query = select(pictures.c.id).join(requests, requests.c.id == pictures.c.request_id)
    mine = pictures.c.rgb_sha256 == rgb_sha256, requests.c.account_id == account_id
    return conn.execute(query.where(*mine).limit(1)).scalar()


def listing(conn: Connection, account_id: str, *, before: float, number: int) -> list[Picture]:
    """An account's pictures stored before a moment, newest first."""
    query = (
        select(pictures)
        .join(requests, requests.c.id == pictures.c.request_id)
        .where(requests.c.account_id == account_id, pictures.c.created_at < before)
        .order_by(pictures.c.created_at.desc(), pictures.c.index.desc())
        .limit(number)
    )
    return [_picture(row) for row in conn.execute(query)]


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
    for row in conn.execute(select(pictures).order_by(pictures.c.id)):
        yield _picture(row)


def _files() -> Any:
    """Request and bytes of every file that has a row."""
    both = (select(table.c.request_id, table.c.bytes) for table in (pictures, sources))
    return union_all(*both).subquery()


def _picture(row: Row[Any]) -> Picture:
    fields = dict(row._mapping)
    return Picture(**{**fields, "seed": int(fields["seed"])})


def _sync_folder(folder: Path) -> None:
    """Make a rename outlive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

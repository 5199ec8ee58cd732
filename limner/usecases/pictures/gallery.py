"""What an account has drawn: to look at, to fetch again, to delete."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from limner.engine.batching.ticket import Pixels
from limner.errors import LimnerError, NotFound
from limner.store import images, jobs
from limner.store.images import Picture
from limner.store.jobs import Job
from limner.store.keys import Key
from limner.usecases.drawing import sources
from limner.usecases.drawing.orders import StoredPicture
from limner.usecases.drawing.worker import Worker

PAGE_MAX = 200
LINK_S = 600.0  # whoever has a link has the picture: no longer than a download may need


class Gallery:
    """The stored pictures and requests of a caller's account; those of others are not found."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    async def picture(self, caller: Key, picture_id: str) -> StoredPicture:
        """A picture with its lossless file. Raises ``NotFound``."""
        row = await self._worker.read(_owned, caller, picture_id)
        try:
            return await self._worker.in_store(self._worker.open_picture, row)
        except LimnerError:
            await self._worker.read(_owned, caller, picture_id)  # or it was deleted meanwhile
            raise

    async def receipt(self, caller: Key, picture_id: str) -> dict[str, Any]:
        """A picture's receipt, whatever has become of its file. Raises ``NotFound``."""
        return (await self._worker.read(_owned, caller, picture_id)).receipt

    async def link(self, caller: Key, picture_id: str) -> str | None:
        """A URL that gives the lossless file for ``LINK_S``, if it lies where clients can come.

        Raises ``NotFound``.
        """
        row = await self._worker.read(_owned, caller, picture_id)
        return self._worker.files.link(row.file, LINK_S)

    async def source(self, caller: Key, sha256: str) -> Pixels:
        """A picture or mask that a kept request started from. Raises ``Gone``."""
        worker, account_id = self._worker, caller.account_id
        return await worker.in_store(sources.one, worker.database, worker.files, account_id, sha256)

    async def pictures(
        self, caller: Key, *, before: float | None = None, number: int = 50
    ) -> list[Picture]:
        """Pictures stored before a moment (seconds since the epoch), newest first."""
        number = min(max(1, number), PAGE_MAX)
        moment = float("inf") if before is None else before
        return await self._worker.read(
            lambda conn: images.listing(conn, caller.account_id, before=moment, number=number)
        )

    async def requests(
        self, caller: Key, *, before: float | None = None, number: int = 50
    ) -> list[Job]:
        """Requests stored before a moment, newest first."""
        number = min(max(1, number), PAGE_MAX)
        moment = float("inf") if before is None else before
        return await self._worker.read(
            lambda conn: jobs.listing(conn, caller.account_id, before=moment, number=number)
        )

    async def delete(self, caller: Key, picture_id: str) -> None:
        """Delete one picture for good; with the last one its request expires."""
        files = await self._worker.write(_delete, caller, picture_id)
        await self._worker.in_store(self._worker.delete_files, files)

    async def delete_all(self, caller: Key) -> int:
        """Delete every picture, source and prompt of the account's finished requests.

        Returns how many requests had something to delete. The ledger keeps its amounts.
        """
        forgotten = 0
        while True:
            ids, files = await self._worker.write(_delete_some, caller)
            await self._worker.in_store(self._worker.delete_files, files)
            forgotten += len(ids)
            if not ids:
                return forgotten


def forget(conn: Connection, request_ids: list[str]) -> list[str]:
    """Expire finished requests with all they hold; returns the files to delete afterwards."""
    jobs.lock(conn, request_ids)
    files = images.remove_of_requests(conn, request_ids)
    jobs.expire(conn, request_ids)
    return files


def _owned(conn: Connection, caller: Key, picture_id: str) -> Picture:
    picture = images.find(conn, picture_id)
    job = None if picture is None else jobs.find(conn, picture.request_id)
    if picture is None or job is None or job.account_id != caller.account_id:
        raise NotFound(f"Picture {picture_id} not found")
    return picture


def _delete(conn: Connection, caller: Key, picture_id: str) -> list[str]:
    picture = _owned(conn, caller, picture_id)
    # First, as everywhere: the sweeper may be about to forget the request, and who deletes its
    # other picture at the same time must not take this one for the last.
    jobs.lock(conn, [picture.request_id])
    files = images.remove(conn, [picture_id])
    if not images.of_request(conn, picture.request_id):
        files += forget(conn, [picture.request_id])
    return files


def _delete_some(conn: Connection, caller: Key) -> tuple[list[str], list[str]]:
    ids = jobs.finished_before(conn, float("inf"), number=500, account_id=caller.account_id)
    return ids, forget(conn, ids)

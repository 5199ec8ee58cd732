"""What an account has drawn: to find, to look at, to sort, to fetch again, to delete."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from limner.engine.batching.ticket import Pixels
from limner.errors import LimnerError, NotFound
from limner.store import finding, images, jobs
from limner.store.finding import Cursor, Found, Marks, Wanted
from limner.store.images import Picture
from limner.store.jobs import Job
from limner.store.keys import Key
from limner.usecases.drawing import sources
from limner.usecases.drawing.orders import StoredPicture
from limner.usecases.drawing.worker import Worker

PAGE_MAX = 200
UNDO_S = 600.0  # how long what was removed can be brought back
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
        self,
        caller: Key,
        wanted: Wanted | None = None,
        *,
        after: Cursor | None = None,
        number: int = 50,
    ) -> list[Found]:
        """Pictures that are ``wanted`` (None: all in sight), newest first; ``after``: the last."""
        number, wanted = min(max(1, number), PAGE_MAX), wanted or Wanted()
        return await self._worker.read(
            lambda conn: finding.search(conn, caller.account_id, wanted, after=after, number=number)
        )

    async def lineage(self, caller: Key, picture_id: str) -> tuple[list[Found], list[Found]]:
        """Pictures that one was drawn from, and those that were drawn from it, oldest first.

        Raises ``NotFound``.
        """
        return await self._worker.read(_lineage, caller, picture_id)

    async def folders(self, caller: Key) -> dict[str, int]:
        """The folders that pictures were put into, each with how many it holds."""
        return await self._worker.read(finding.folders, caller.account_id)

    async def mark(self, caller: Key, picture_ids: Sequence[str], marks: Marks) -> None:
        """Star pictures, put them into a folder, take them out of sight or bring them back.

        What is removed is deleted after ``UNDO_S``. Raises ``NotFound`` for the first that is not
        the caller's, and changes none then.
        """

        def change(conn: Connection) -> None:
            mine = finding.owned(conn, caller.account_id, picture_ids)
            for other in (each for each in picture_ids if each not in mine):
                raise NotFound(f"Picture {other} not found")
            finding.mark(conn, picture_ids, marks)

        await self._worker.write(change)

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
        await self._worker.delete(files)

    async def delete_all(self, caller: Key) -> int:
        """Delete every picture, source and prompt of the account's finished requests.

        Returns how many requests had something to delete. The ledger keeps its amounts.
        """
        forgotten = 0
        while True:
            ids, files = await self._worker.write(_delete_some, caller)
            await self._worker.delete(files)
            forgotten += len(ids)
            if not ids:
                return forgotten


def _lineage(conn: Connection, caller: Key, picture_id: str) -> tuple[list[Found], list[Found]]:
    picture, account_id = _owned(conn, caller, picture_id), caller.account_id
    started = picture.source_sha256
    parents = [] if started is None else finding.by_pixels(conn, account_id, started)
    return parents, finding.by_source(conn, account_id, picture.rgb_sha256)


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
    return discard(conn, picture.request_id, [picture_id])


def discard(conn: Connection, request_id: str, picture_ids: list[str]) -> list[str]:
    """Delete pictures of a request, and with the last one forget it; returns the files."""
    # First, as everywhere: the sweeper may be about to forget the request, and who deletes its
    # other picture at the same time must not take this one for the last.
    jobs.lock(conn, [request_id])
    files = images.remove(conn, picture_ids)
    if not images.has_any(conn, request_id):
        files += forget(conn, [request_id])
    return files


def _delete_some(conn: Connection, caller: Key) -> tuple[list[str], list[str]]:
    ids = jobs.finished_before(conn, float("inf"), number=500, account_id=caller.account_id)
    return ids, forget(conn, ids)

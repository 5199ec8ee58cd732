"""What is kept for how long: by age, by room, removed or not, and nothing that no row knows."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from contextlib import suppress

from limner.store import finding, images, jobs
from limner.store.sql import now
from limner.usecases.drawing.worker import Worker
from limner.usecases.pictures.gallery import UNDO_S, discard, forget

log = logging.getLogger(__name__)

DAY_S = 86_400.0
SWEEP_S = 60.0
ORPHAN_SWEEP_S = 3600.0
# A file is written before its row: one without a row may be of a picture being stored.
ORPHAN_AGE_S = 3600.0
BATCH = 500


class Retention:
    """Sweeps once a minute: results past ``keep_days``; then, beyond ``keep_max_mib``, the oldest
    of the accounts that keep most.

    Several processes may sweep one database; orphans are looked for in their own folders.
    """

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Sweep now and then every minute, in the background."""
        self._task = asyncio.create_task(self._main(), name="limner-retention")

    async def close(self) -> None:
        """Sweep no more."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def sweep(self) -> int:
        """Forget what is too old or too much; returns how many requests. Blocks."""
        self._sweep_removed()
        return self._sweep_old() + self._sweep_large()

    def sweep_orphans(self, age_s: float = ORPHAN_AGE_S) -> int:
        """Delete files that no row names, such as a crash leaves; returns how many. Blocks.

        Spares what is younger than ``age_s`` seconds, or than the oldest open request.
        """
        with self._worker.database.read() as conn:
            # Files are written before their rows: those of a request still open may be its own.
            age_s = max(age_s, jobs.age_of_oldest_open(conn))
        swept, old = 0, self._worker.files.older_than(age_s)
        while batch := list(itertools.islice(old, BATCH)):
            with self._worker.database.read() as conn:
                orphans = set(batch) - images.known(conn, batch)
            self._worker.delete_files(sorted(orphans))
            swept += len(orphans)
        return swept

    def _sweep_old(self) -> int:
        swept = 0
        while True:
            with self._worker.database.begin() as conn:
                oldest = now(conn) - self._worker.settings.keep_days * DAY_S
                ids = jobs.finished_before(conn, oldest, number=BATCH)
                files = forget(conn, ids)
            self._worker.delete_files(files)
            swept += len(ids)
            if len(ids) < BATCH:
                return swept

    def _sweep_removed(self) -> None:
        """Delete the pictures that nobody has brought back in time."""
        while True:
            files: list[str] = []
            with self._worker.database.begin() as conn:
                removed = finding.removed_before(conn, now(conn) - UNDO_S, number=BATCH)
                for request_id, group in itertools.groupby(removed, key=lambda row: row[0]):
                    files += discard(conn, request_id, [picture_id for _, picture_id in group])
            self._worker.delete_files(files)
            if len(removed) < BATCH:
                return

    def _sweep_large(self) -> int:
        swept = 0
        while True:
            with self._worker.database.begin() as conn:
                account_id, excess = self._fullest(images.kept_bytes(conn))
                ids = _oldest(images.sizes(conn, account_id, number=BATCH), excess)
                files = forget(conn, ids)
            self._worker.delete_files(files)
            swept += len(ids)
            if not ids:
                return swept

    def _fullest(self, kept: dict[str, int]) -> tuple[str, int]:
        """The account that keeps most, and how many bytes it is to free before looking again.

        It makes room for all until it keeps no more than the next: nobody loses a picture to
        somebody who keeps more.
        """
        excess = sum(kept.values()) - (self._worker.settings.keep_max_mib << 20)
        most, second, *_ = [*sorted(kept.items(), key=lambda item: -item[1]), ("", 0), ("", 0)]
        return most[0], min(excess, max(1, most[1] - second[1]))

    async def _main(self) -> None:
        orphans_at = 0.0
        while True:
            try:
                await self._worker.in_store(self.sweep)
                if time.monotonic() >= orphans_at:
                    await self._worker.in_store(self.sweep_orphans)
                    orphans_at = time.monotonic() + ORPHAN_SWEEP_S
            except Exception:
                log.exception("the sweeper failed")
            await asyncio.sleep(SWEEP_S)


def _oldest(sizes: dict[str, int], excess: int) -> list[str]:
    """The first requests that together free ``excess`` bytes."""
    chosen: list[str] = []
    for request_id, size in sizes.items():
        if excess <= 0:
            break
        chosen.append(request_id)
        excess -= size
    return chosen

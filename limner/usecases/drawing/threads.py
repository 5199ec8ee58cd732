"""Bounded thread pools, so that nothing blocks the event loop and no kind of work the other."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from limner import machine, pools
from limner.errors import DatabaseUnavailable
from limner.store.db import Database
from limner.store.sqlite import BUSY_TIMEOUT_S

READERS = 2
WRITES_EACH = 2  # of a key at a time: while one waits or is written, the loop brings the next
ENCODERS_MAX = 4
SUBMITTERS = 16  # they wait for replicas most of the time
T = TypeVar("T")


class Threads:
    """Threads for the store, for those who only look, for the engine, and for encoding pictures.

    Who writes into the database has threads apart, on which keys take turns (ADR 0025). SQLite
    takes one writer at a time, so there are two: one writes, and the next is ready.
    """

    def __init__(self, database: Database, store_threads: int) -> None:
        self.database = database
        writers = 2 if database.one_writer else store_threads
        self._writers = pools.Pool("limner-write", writers, WRITES_EACH)
        self._store = ThreadPoolExecutor(store_threads, "limner-store")
        self._readers = ThreadPoolExecutor(READERS, "limner-read")
        self._submitters = ThreadPoolExecutor(SUBMITTERS, "limner-submit")
        self._encoders = ThreadPoolExecutor(min(ENCODERS_MAX, machine.cores()), "limner-encode")

    def shut_down(self) -> None:
        """Finish what is begun, but for pictures not yet encoded, and take no more."""
        self._writers.shut_down()
        self._store.shutdown()
        self._readers.shutdown()
        self._submitters.shutdown()
        self._encoders.shutdown(cancel_futures=True)

    async def in_store(self, work: Callable[..., T], *arguments: Any) -> T:
        """Run a blocking function on a store thread."""
        return await _run(self._store, work, *arguments)

    async def to_engine(self, work: Callable[..., T], *arguments: Any) -> T:
        """Submit to the engine: a busy replica takes its time, and transactions go on meanwhile."""
        return await _run(self._submitters, work, *arguments)

    def in_encoder(self, work: Callable[..., T], *arguments: Any) -> asyncio.Future[T]:
        """Begin a function on an encoder thread."""
        return asyncio.get_running_loop().run_in_executor(self._encoders, work, *arguments)

    async def write(self, work: Callable[..., T], *arguments: Any) -> T:
        """Run ``work(connection, *arguments)`` in one writing transaction, in its key's turn.

        Raises ``DatabaseUnavailable`` where that comes after ``BUSY_TIMEOUT_S``.
        """
        return await self._writers.run(self._write_soon, time.monotonic(), work, *arguments)

    async def write_end(self, key_id: str, work: Callable[..., T], *arguments: Any) -> T:
        """``write`` how a request of a key, or (``""``) several of any keys ended.

        In turns apart: what is drawn does not wait for more of its key to be accepted, nor is it
        given up for having waited.
        """
        writing = partial(self._write, None, work, *arguments)
        return await self._writers.run_for(f"{key_id} ended", writing)

    async def read(self, work: Callable[..., T], *arguments: Any) -> T:
        """Run ``work(connection, *arguments)`` in one reading transaction."""
        return await _run(self._store, self._read, time.monotonic(), work, *arguments)

    async def look(self, work: Callable[..., T], *arguments: Any) -> T:
        """Like ``read``, on threads of its own: however many ask, they do not delay the work."""
        return await _run(self._readers, self._read, time.monotonic(), work, *arguments)

    def _write_soon(self, asked_at: float, work: Callable[..., T], *arguments: Any) -> T:
        if time.monotonic() > asked_at + BUSY_TIMEOUT_S:  # its caller may have gone
            raise DatabaseUnavailable(
                f"The database is busy: this waited over {BUSY_TIMEOUT_S:g} s, behind what else "
                "its key asked for; try again"
            )
        return self._write(asked_at, work, *arguments)

    def _write(self, asked_at: float | None, work: Callable[..., T], *arguments: Any) -> T:
        with self.database.begin(asked_at) as conn:
            return work(conn, *arguments)

    def _read(self, asked_at: float, work: Callable[..., T], *arguments: Any) -> T:
        with self.database.read(asked_at) as conn:
            return work(conn, *arguments)


async def _run(pool: Executor, work: Callable[..., T], *arguments: Any) -> T:
    return await asyncio.get_running_loop().run_in_executor(pool, work, *arguments)

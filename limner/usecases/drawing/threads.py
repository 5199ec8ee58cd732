"""Bounded thread pools, so that nothing blocks the event loop and no kind of work the other."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any, TypeVar

from limner import machine
from limner.store.db import Database

READERS = 2
ENCODERS_MAX = 4
T = TypeVar("T")


class Threads:
    """Threads for the store, for those who only look, and for encoding pictures."""

    def __init__(self, database: Database, store_threads: int) -> None:
        self.database = database
        self._store = ThreadPoolExecutor(store_threads, "limner-store")
        self._readers = ThreadPoolExecutor(READERS, "limner-read")
        self._encoders = ThreadPoolExecutor(min(ENCODERS_MAX, machine.cores()), "limner-encode")

    def shut_down(self) -> None:
        """Finish what is begun on store threads, and take no more."""
        self._store.shutdown()
        self._readers.shutdown()
        self._encoders.shutdown(cancel_futures=True)

    async def in_store(self, work: Callable[..., T], *arguments: Any) -> T:
        """Run a blocking function on a store thread."""
        return await _run(self._store, work, *arguments)

    def in_encoder(self, work: Callable[..., T], *arguments: Any) -> asyncio.Future[T]:
        """Begin a function on an encoder thread."""
        return asyncio.get_running_loop().run_in_executor(self._encoders, work, *arguments)

    async def write(self, work: Callable[..., T], *arguments: Any) -> T:
        """Run ``work(connection, *arguments)`` in one writing transaction."""
        return await _run(self._store, self._write, time.monotonic(), work, *arguments)

    async def read(self, work: Callable[..., T], *arguments: Any) -> T:
        """Run ``work(connection, *arguments)`` in one reading transaction."""
        return await _run(self._store, self._read, time.monotonic(), work, *arguments)

    async def look(self, work: Callable[..., T], *arguments: Any) -> T:
        """Like ``read``, on threads of its own: however many ask, they do not delay the work."""
        return await _run(self._readers, self._read, time.monotonic(), work, *arguments)

    def _write(self, asked_at: float, work: Callable[..., T], *arguments: Any) -> T:
        with self.database.begin(asked_at) as conn:
            return work(conn, *arguments)

    def _read(self, asked_at: float, work: Callable[..., T], *arguments: Any) -> T:
        with self.database.read(asked_at) as conn:
            return work(conn, *arguments)


async def _run(pool: Executor, work: Callable[..., T], *arguments: Any) -> T:
    return await asyncio.get_running_loop().run_in_executor(pool, work, *arguments)

"""What SQLite needs: one writer at a time, in order, and waits that end."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, event

from limner.errors import DatabaseUnavailable

BUSY_TIMEOUT_S = 20.0  # many clients read for 30 s, and are to see the answer
# Options of a connection: whether its transaction will write, and how long it waits for others.
WRITES, WAITS_S = "limner_writes", "limner_waits_s"


class Turn:
    """A lock that is handed on in the order of asking; ``threading.Lock`` may starve a thread."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()
        self._taken = False

    @contextmanager
    def before(self, deadline: float) -> Iterator[None]:
        """Hold it. Raises ``DatabaseUnavailable`` where one's turn does not come in time."""
        self._take(deadline)
        try:
            yield
        finally:
            self._give()

    def _take(self, deadline: float) -> None:
        with self._guard:
            if not self._taken:
                self._taken = True
                return
            mine = threading.Lock()
            mine.acquire()
            self._waiting.append(mine)
        if mine.acquire(timeout=max(0.0, deadline - time.monotonic())):
            return
        with self._guard:
            if mine not in self._waiting:  # it came just now
                return
            self._waiting.remove(mine)
        raise DatabaseUnavailable(busy())

    def _give(self) -> None:
        with self._guard:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._taken = False


def busy() -> str:
    """What a caller is told whom another program kept waiting."""
    return (
        "The database is busy: somebody else has been writing to it for over "
        f"{BUSY_TIMEOUT_S:g} s; try again"
    )


def prepare(engine: Engine) -> None:
    """Have every connection opened, and every transaction begun, as it is safe here."""
    event.listen(engine, "connect", _connect)
    event.listen(engine, "begin", _begin)


def _connect(connection: Any, _record: Any) -> None:
    """WAL lets readers pass a writer; FULL makes a commit outlive a power cut, for money's sake."""
    _use_wal(connection)
    for pragma in ("synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")


def _use_wal(connection: Any) -> None:
    """SQLite does not wait for others when it turns a new file to WAL: so we do."""
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _begin(connection: Connection) -> None:
    """Who will write says so first: a later upgrade fails when another wrote meanwhile."""
    options = connection.get_execution_options()
    waits_ms = round(1000 * options.get(WAITS_S, BUSY_TIMEOUT_S))
    connection.exec_driver_sql(f"PRAGMA busy_timeout = {waits_ms}")
    writes = options.get(WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

"""Small helpers over SQLAlchemy Core that both databases understand."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Double,
    Table,
    Text,
    TypeDecorator,
    cast,
    func,
    inspect,
    literal,
    select,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import OperationalError

from limner.errors import DatabaseUnavailable

log = logging.getLogger(__name__)

# Any number that nobody else on the same PostgreSQL server uses.
START_LOCK = 0x11A4E2
LOCK_WAIT_MS = 300  # less than deadlock_timeout, after which PostgreSQL ends one of two
LOCK_PAUSE_S = 0.2
LOCK_MOST_S = 600
_LOCK_NOT_AVAILABLE = "55P03"


class JsonText(TypeDecorator[Any]):
    """JSON kept as text: the same bytes on both databases, and None is SQL's NULL."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> str | None:  # noqa: ARG002
        return None if value is None else json.dumps(value, sort_keys=True)

    def process_result_value(self, value: str | None, dialect: Any) -> Any:  # noqa: ARG002
        return None if value is None else json.loads(value)


def clock(conn: Connection) -> float | ColumnElement[float]:
    """Seconds since the epoch by the clock all processes of a database share, as a SQL value."""
    if conn.dialect.name == "sqlite":
        return time.time()
    return cast(func.extract("epoch", func.clock_timestamp()), Double)


def now(conn: Connection) -> float:
    """``clock`` as a number."""
    value = clock(conn)
    return value if isinstance(value, float) else float(conn.execute(select(value)).scalar_one())


def lock_start(conn: Connection) -> None:
    """Let no other process prepare the database until the transaction ends.

    SQLite's writers take turns as they are.
    """
    if conn.dialect.name == "postgresql":
        conn.execute(select(func.pg_advisory_xact_lock(START_LOCK)))


def lock_tables(conn: Connection) -> None:
    """Have every table for oneself until the transaction ends, or none while one has to wait.

    Servers write on meanwhile: who holds some tables and waits for others would, with one of them,
    wait for ever, and PostgreSQL ends one of such two. SQLite has a single writer as it is. Raises
    ``DatabaseUnavailable`` after ``LOCK_MOST_S``.
    """
    names = inspect(conn).get_table_names()
    if conn.dialect.name != "postgresql" or not names:
        return
    deadline, told = time.monotonic() + LOCK_MOST_S, False
    conn.execute(text(f"SET LOCAL lock_timeout = {LOCK_WAIT_MS}"))
    while not _locked(conn, sorted(names)):
        if time.monotonic() > deadline:
            raise DatabaseUnavailable(
                f"it has to be brought up to date, but others have used its tables for "
                f"{LOCK_MOST_S} s without a pause: a backup, or another long transaction"
            )
        if not told:
            log.warning("the database is brought up to date once nobody else uses its tables")
        told = True
        time.sleep(LOCK_PAUSE_S)
    conn.execute(text("SET LOCAL lock_timeout = 0"))


def _locked(conn: Connection, names: list[str]) -> bool:
    """Whether all of them could be had; else none of them is held."""
    listed = ", ".join(map(conn.dialect.identifier_preparer.quote, names))
    try:
        with conn.begin_nested():
            conn.execute(text(f"LOCK TABLE {listed} IN ACCESS EXCLUSIVE MODE"))
    except OperationalError as error:
        if getattr(error.orig, "sqlstate", None) != _LOCK_NOT_AVAILABLE:
            raise
        return False
    return True


def insert_once(conn: Connection, table: Table, values: Mapping[str, Any]) -> bool:
    """Insert a row unless one of the table's unique keys is taken; True when it was inserted.

    A concurrent transaction that is inserting the same key is waited for.
    """
    dialect = sqlite if conn.dialect.name == "sqlite" else postgresql
    statement = dialect.insert(table).values(**values).on_conflict_do_nothing()
    # Not by ``rowcount``: SQLAlchemy does not promise it for an INSERT.
    return conn.execute(statement.returning(literal(1))).one_or_none() is not None

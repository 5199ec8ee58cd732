"""Small helpers over SQLAlchemy Core that both databases understand."""

from __future__ import annotations

import json
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
    literal,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite

# Any number that nobody else on the same PostgreSQL server uses.
START_LOCK = 0x11A4E2


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


def insert_once(conn: Connection, table: Table, values: Mapping[str, Any]) -> bool:
    """Insert a row unless one of the table's unique keys is taken; True when it was inserted.

    A concurrent transaction that is inserting the same key is waited for.
    """
    dialect = sqlite if conn.dialect.name == "sqlite" else postgresql
    statement = dialect.insert(table).values(**values).on_conflict_do_nothing()
    # Not by ``rowcount``: SQLAlchemy does not promise it for an INSERT.
    return conn.execute(statement.returning(literal(1))).one_or_none() is not None

"""A process that tells a database what an older server told one: ``... replaying KIND PLACE N M``.

At the Mth statement of the Nth transaction it says so on standard output, and goes on once it is
told to on standard input. It ends with 1 where a statement fails, or writes another number of rows
than it did then.
"""

from __future__ import annotations

import sqlite3
import sys
from typing import Any

from tests.store.older import Said, life


def connected(kind: str, place: str) -> Any:
    """A connection as that release had them, which prepares each statement at once."""
    if kind == "sqlite":
        return sqlite3.connect(place, isolation_level=None, timeout=60)
    import psycopg

    return psycopg.connect(place, prepare_threshold=0)


def replay(kind: str, place: str, cut: tuple[int, int]) -> None:
    """The whole life, over two connections by turns, as a pool gives them."""
    both = [connected(kind, place) for _ in range(2)]
    for number, transaction in enumerate(life(kind)):
        conn = both[number % 2]
        for place_in, each in enumerate(transaction):
            if (number, place_in) == cut:
                print("there", flush=True)
                sys.stdin.readline()
            if kind == "sqlite" and not place_in:
                writes = any(each.rows is not None for each in transaction)
                conn.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
            say(conn, each)
        conn.commit()


def say(conn: Any, each: Said) -> None:
    cursor = conn.execute(each.sql, each.parameters)
    if each.rows not in (None, cursor.rowcount):
        raise SystemExit(f"{cursor.rowcount} rows, then {each.rows}: {each.sql} {each.parameters}")
    if cursor.description is not None:
        cursor.fetchall()


if __name__ == "__main__":
    replay(*sys.argv[1:3], (int(sys.argv[3]), int(sys.argv[4])))

"""What is wrong with a database, told from what is wrong with a statement of ours.

The first is ``DatabaseUnavailable``: the caller may come again, nobody knows whether the
transaction was committed, and no request is to blame. The second is a fault.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from limner.errors import DatabaseUnavailable
from limner.store import sqlite

log = logging.getLogger(__name__)

POOL_WAIT_S = 30
AWAY = "The database does not answer at the moment; try again"
READ_ONLY = "The database takes no changes at the moment; try again"
FULL = "The database has no room left on its disk; try again later"
DAMAGED = "The database is damaged; its operator has to put it back"
LASTING = {AWAY, READ_ONLY, FULL, DAMAGED}  # unlike one that others keep busy
# SQLSTATEs (PostgreSQL's appendix A) whose class of errors names no cause: psycopg raises
# InternalError for them, as for our own mistakes.
_TAKES_NO_CHANGES = "25006"
_TRANSACTION_ENDED = ("25P03", "25P04")  # it was open for longer than the server allows
_SERVER_BROKEN = "XX"
_SERVER_FULL = "53100"
_FILE_BROKEN = ("SQLITE_CORRUPT", "SQLITE_NOTADB")
_FILE_READ_ONLY = "SQLITE_READONLY"
_FILE_FULL = "SQLITE_FULL"


@contextmanager
def told() -> Iterator[None]:
    """What is wrong with the database, and not with us, as one kind of error."""
    try:
        yield
    except PoolTimeout as error:
        raise DatabaseUnavailable(
            f"All connections to the database were in use for {POOL_WAIT_S} s; try again"
        ) from error
    except DBAPIError as error:
        trouble = _trouble(error)
        if trouble is None:
            raise
        log.warning("the database could not be used: %s", type(error.orig).__name__)
        raise DatabaseUnavailable(trouble) from error


def watch(engine: Engine) -> None:
    """Drop a pool's connections once their server takes no changes.

    After a failover they would lead to the former primary for as long as it lives.
    """
    event.listen(engine, "handle_error", _judge)


def _judge(context: ExceptionContext) -> None:
    if _state(context.original_exception) == _TAKES_NO_CHANGES:
        context.is_disconnect = True


def _trouble(error: DBAPIError) -> str | None:
    """What is wrong with the database, for the caller; None for a mistake of ours."""
    name, state = getattr(error.orig, "sqlite_errorname", ""), _state(error.orig)
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return sqlite.busy()
    if name.startswith(_FILE_READ_ONLY) or state == _TAKES_NO_CHANGES:
        return READ_ONLY
    if name == _FILE_FULL or state == _SERVER_FULL:
        return FULL
    if name.startswith(_FILE_BROKEN) or state.startswith(_SERVER_BROKEN):
        return DAMAGED
    if state in _TRANSACTION_ENDED:
        return AWAY
    # SQLite reports mistakes in SQL, too, as operational errors; PostgreSQL does not.
    return AWAY if isinstance(error, OperationalError) and name != "SQLITE_ERROR" else None


def _state(error: BaseException | None) -> str:
    """The SQLSTATE of a PostgreSQL error."""
    return getattr(error, "sqlstate", None) or ""

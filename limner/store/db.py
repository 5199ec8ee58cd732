"""One database: opened, migrated, and handed out as connections inside transactions.

SQLite by default, PostgreSQL by URL (``postgresql+psycopg://``). Every function of the store
takes a ``Connection``, so that a use case composes one transaction out of several of them.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    NoSuchModuleError,
    OperationalError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout

from limner.errors import DatabaseUnavailable, SettingsError
from limner.store.schema import is_sqlite
from limner.store.sql import lock_start

if TYPE_CHECKING:
    from alembic.config import Config

log = logging.getLogger(__name__)

MIGRATIONS = Path(__file__).parent / "migrations"
BUSY_TIMEOUT_S = 20.0  # many clients read for 30 s, and are to see the answer
POOL_SIZE = 10
POOL_WAIT_S = 30
WRITES, WAITS_S = "limner_writes", "limner_waits_s"


class Database:
    """A pool of connections to one migrated database; safe to share between threads."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        # SQLite takes one writer at a time and makes the others poll. Threads of this process
        # queue here instead, where they are woken in order.
        self._turn = _Turn() if is_sqlite(engine) else None
        self.new = False  # whether its tables were made by this opening

    @classmethod
    def open(cls, url: str, *, pool_size: int = POOL_SIZE) -> Database:
        """Connect to ``url`` and bring its tables up to date.

        Raises ``SettingsError`` for a URL that is malformed or names another kind of database,
        for one where nothing answers, that is damaged or is not Limner's, and for a database
        written by a newer Limner.
        """
        engine = _engine(_parse(url), pool_size)
        database = cls(engine)
        with _opening(engine):
            _migrate(database)
        return database

    @classmethod
    def check(cls, url: str) -> None:
        """Raise what ``open`` would raise for a database that is there, and change nothing."""
        engine = create_engine(_parse(url), hide_parameters=True)
        with _opening(engine), engine.connect() as connection:
            _check_revision(_revision(connection), _scripts())
        engine.dispose()

    @contextmanager
    def begin(self, asked_at: float | None = None) -> Iterator[Connection]:
        """A writing transaction: committed at the end of the block, rolled back by an exception.

        Others who write to SQLite are waited for until ``BUSY_TIMEOUT_S`` after ``asked_at``
        (``time.monotonic()``; now, if absent), in whatever queue it was meanwhile. Raises
        ``DatabaseUnavailable``; then it may be committed or not.
        """
        deadline = _deadline(asked_at)
        turn = nullcontext() if self._turn is None else self._turn.before(deadline)
        connected = self._connected(deadline, writes=True)
        with _troubles(), turn, connected as connection, connection.begin():
            yield connection

    @contextmanager
    def read(self, asked_at: float | None = None) -> Iterator[Connection]:
        """A transaction that only reads; it never waits for writers.

        Raises ``DatabaseUnavailable``, as ``begin`` does.
        """
        with _troubles(), self._connected(_deadline(asked_at)) as connection:
            yield connection

    @contextmanager
    def _connected(self, deadline: float, *, writes: bool = False) -> Iterator[Connection]:
        with self.engine.connect() as connection:
            waits_s = max(0.0, deadline - time.monotonic())
            yield connection.execution_options(**{WRITES: writes, WAITS_S: waits_s})

    def close(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()


def _deadline(asked_at: float | None) -> float:
    return (time.monotonic() if asked_at is None else asked_at) + BUSY_TIMEOUT_S


@contextmanager
def _troubles() -> Iterator[None]:
    """What is wrong with the database, and not with us, as one kind of error."""
    try:
        yield
    except PoolTimeout as error:
        raise DatabaseUnavailable(
            f"All connections to the database were in use for {POOL_WAIT_S} s; try again"
        ) from error
    except OperationalError as error:
        if _is_ours(error):
            raise
        log.warning("the database could not be used: %s", type(error.orig).__name__)
        raise DatabaseUnavailable(_trouble(error)) from error


def _trouble(error: OperationalError) -> str:
    """What is wrong, for the caller."""
    if getattr(error.orig, "sqlite_errorname", "").startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return _busy()
    return "The database does not answer at the moment; try again"


def _busy() -> str:
    return (
        "The database is busy: somebody else has been writing to it for over "
        f"{BUSY_TIMEOUT_S:g} s; try again"
    )


@contextmanager
def _opening(engine: Engine) -> Iterator[None]:
    """Whatever keeps a database from being used, as a sentence for who started the program."""
    try:
        yield
    except (DatabaseUnavailable, SQLAlchemyError) as error:
        engine.dispose()
        place = engine.url.render_as_string(hide_password=True)
        raise SettingsError(f"The database cannot be opened: {_reason(error)} ({place})") from error
    except BaseException:
        engine.dispose()
        raise


def _is_ours(error: OperationalError) -> bool:
    """SQLite reports mistakes in SQL, too, as operational errors; PostgreSQL does not."""
    name = getattr(error.orig, "sqlite_errorname", "")
    return name == "SQLITE_ERROR"


def _reason(error: BaseException) -> str:
    """The first line of what a driver said; it quotes no password."""
    cause = error.__cause__ if isinstance(error, DatabaseUnavailable) else error
    said = cause.orig if isinstance(cause, DBAPIError) else error
    return f"{str(said).strip().partition(chr(10))[0]}."


class _Turn:
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
        raise DatabaseUnavailable(_busy())

    def _give(self) -> None:
        with self._guard:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._taken = False


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
    except (ArgumentError, NoSuchModuleError, ValueError):
        # The URL may hold a password: it is not repeated.
        raise SettingsError(
            "The database URL cannot be read; use sqlite:///FILE or "
            "postgresql+psycopg://USER:PASSWORD@HOST/NAME."
        ) from None
    if backend == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    if backend == "sqlite" and parsed.database not in (None, "", ":memory:"):
        return parsed.set(drivername="sqlite+pysqlite")
    raise SettingsError(
        f"The database URL begins with {parsed.drivername!r}; allowed are sqlite:///FILE "
        "(a file, not memory) and postgresql+psycopg://."
    )


def _engine(url: URL, pool_size: int) -> Engine:
    if url.get_backend_name() != "sqlite":
        return create_engine(
            url,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=POOL_WAIT_S,
            pool_pre_ping=True,
            hide_parameters=True,
        )
    assert url.database is not None
    try:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"The database cannot be opened: {error}.") from error
    engine = create_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=POOL_WAIT_S,
        hide_parameters=True,
        connect_args={"timeout": BUSY_TIMEOUT_S, "isolation_level": None},
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
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


def _begin_sqlite(connection: Connection) -> None:
    """Who will write says so first: a later upgrade fails when another wrote meanwhile."""
    options = connection.get_execution_options()
    waits_ms = round(1000 * options.get(WAITS_S, BUSY_TIMEOUT_S))
    connection.exec_driver_sql(f"PRAGMA busy_timeout = {waits_ms}")
    writes = options.get(WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _migrate(database: Database) -> None:
    from alembic import command

    config = _scripts()
    with database.begin() as connection:
        lock_start(connection)
        found = _revision(connection)
        database.new = found is None
        _check_revision(found, config)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _scripts() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config


def _check_revision(found: str | None, config: Config) -> None:
    from alembic.script import ScriptDirectory

    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found is not None and found not in known:
        raise SettingsError(
            f"The database has revision {found}, which this Limner does not know: "
            "it was written by a newer one. Upgrade Limner, or use another database."
        )


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()

"""One database: opened, migrated, and handed out as connections inside transactions.

SQLite by default, PostgreSQL by URL (``postgresql+psycopg://``). Every function of the store
takes a ``Connection``, so that a use case composes one transaction out of several of them.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, create_engine, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from limner.errors import DatabaseUnavailable, SettingsError
from limner.store import sqlite, troubles
from limner.store.sql import lock_start, lock_tables

if TYPE_CHECKING:
    from alembic.config import Config

MIGRATIONS = Path(__file__).parent / "migrations"
POOL_SIZE = 10


class Database:
    """A pool of connections to one migrated database; safe to share between threads.

    ``failure`` is set by a transaction that meets a database which is away, full, read only or
    damaged, and cleared by the next that is written. A server writes every few seconds.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        # SQLite takes one writer at a time and makes the others poll. Threads of this process
        # queue here instead, where they are woken in order.
        self.one_writer = engine.dialect.name == "sqlite"
        self._turn = sqlite.Turn() if self.one_writer else None
        self.new = False  # whether its tables were made by this opening
        self.failure: DatabaseUnavailable | None = None

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
            _check_revision(_revision(connection))
        engine.dispose()

    @contextmanager
    def begin(self, asked_at: float | None = None) -> Iterator[Connection]:
        """A writing transaction: committed at the end of the block, rolled back by an exception.

        Others who write to SQLite are waited for until ``sqlite.BUSY_TIMEOUT_S`` after ``asked_at``
        (``time.monotonic()``; now, if absent), in whatever queue it was meanwhile. Raises
        ``DatabaseUnavailable``; then it may be committed or not.
        """
        deadline = _deadline(asked_at)
        turn = nullcontext() if self._turn is None else self._turn.before(deadline)
        connected = self._connected(deadline, writes=True)
        with self._noted(), troubles.told(), turn, connected as connection, connection.begin():
            yield connection
        self.failure = None

    @contextmanager
    def read(self, asked_at: float | None = None) -> Iterator[Connection]:
        """A transaction that only reads; it never waits for writers.

        Raises ``DatabaseUnavailable``, as ``begin`` does.
        """
        connected = self._connected(_deadline(asked_at))
        with self._noted(), troubles.told(), connected as connection:
            yield connection

    @contextmanager
    def _noted(self) -> Iterator[None]:
        try:
            yield
        except DatabaseUnavailable as error:
            if str(error) in troubles.LASTING:
                self.failure = error
            raise

    @contextmanager
    def _connected(self, deadline: float, *, writes: bool = False) -> Iterator[Connection]:
        with self.engine.connect() as connection:
            waits_s = max(0.0, deadline - time.monotonic())
            yield connection.execution_options(**{sqlite.WRITES: writes, sqlite.WAITS_S: waits_s})

    def close(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()


def _deadline(asked_at: float | None) -> float:
    return (time.monotonic() if asked_at is None else asked_at) + sqlite.BUSY_TIMEOUT_S


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


def _reason(error: BaseException) -> str:
    """The first line of what a driver said; it quotes no password."""
    cause = error.__cause__ if isinstance(error, DatabaseUnavailable) else error
    said = cause.orig if isinstance(cause, DBAPIError) else error
    return f"{str(said).strip().partition(chr(10))[0]}."


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
        engine = create_engine(
            url,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=troubles.POOL_WAIT_S,
            pool_pre_ping=True,
            hide_parameters=True,
        )
        troubles.watch(engine)
        return engine
    assert url.database is not None
    try:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"The database cannot be opened: {error}.") from error
    engine = create_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=troubles.POOL_WAIT_S,
        hide_parameters=True,
        connect_args={"timeout": sqlite.BUSY_TIMEOUT_S, "isolation_level": None},
    )
    sqlite.prepare(engine)
    return engine


def _migrate(database: Database) -> None:
    with database.begin() as connection:
        lock_start(connection)
        found = _revision(connection)
        database.new = found is None
        _check_revision(found)
        if found != _revisions()[0]:
            lock_tables(connection)
            _upgrade(connection)


def _upgrade(connection: Connection) -> None:
    from alembic import command

    config = _scripts()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _scripts() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config


@functools.cache
def _revisions() -> tuple[str, ...]:
    """What a database can have come to, the newest first."""
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory.from_config(_scripts())
    return tuple(script.revision for script in scripts.walk_revisions())


def _check_revision(found: str | None) -> None:
    if found is not None and found not in _revisions():
        raise SettingsError(
            f"The database has revision {found}, which this Limner does not know: "
            "it was written by a newer one. Upgrade Limner, or use another database."
        )


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()

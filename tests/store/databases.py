"""Fixtures: an empty migrated database for each test, on SQLite and on PostgreSQL."""

import functools
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from limner.store import keys
from limner.store.db import Database
from limner.store.schema import metadata

SERVER = os.environ.get("TEST_POSTGRES", "postgresql+psycopg://postgres@127.0.0.1:5432/postgres")
SYSTEM = (
    "INSERT INTO accounts (id, name, kind, created_at) "
    "VALUES ('issued', 'issued', 'system', 0), ('income', 'income', 'system', 0)"
)


# Where a commit does not wait for a disk: the tests make many.
MEMORY = Path("/dev/shm")


@pytest.fixture
def tmp_path():
    """A folder of this test, in memory where the system offers that."""
    with TemporaryDirectory(dir=MEMORY if os.access(MEMORY, os.W_OK) else None) as folder:
        yield Path(folder)


@functools.cache
def empty_bytes() -> bytes:
    """The file of an empty migrated database, migrated once."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "empty.db"
        Database.open(f"sqlite:///{path}").close()
        return path.read_bytes()


@pytest.fixture(scope="session")
def empty_sqlite(tmp_path_factory):
    path = tmp_path_factory.mktemp("sqlite") / "empty.db"
    path.write_bytes(empty_bytes())
    return path


@pytest.fixture(scope="session")
def postgres_url():
    """A database of its own for this session, dropped afterwards."""
    server = create_engine(
        SERVER, isolation_level="AUTOCOMMIT", connect_args={"connect_timeout": 3}
    )
    name = f"limner_test_{secrets.token_hex(6)}"
    try:
        with server.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
            # Nobody pulls the plug on a test: commits need not reach the disk.
            connection.execute(text(f"ALTER DATABASE {name} SET synchronous_commit = off"))
    except OperationalError:
        pytest.skip(f"no PostgreSQL answers at {server.url.host}:{server.url.port}")
    url = server.url.set(database=name).render_as_string(hide_password=False)
    Database.open(url).close()
    yield url
    with server.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    server.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    """The URL of an empty database; the test runs once for each kind."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("empty_sqlite"), tmp_path / "limner.db")
        return f"sqlite:///{tmp_path / 'limner.db'}"
    found = request.getfixturevalue("postgres_url")
    empty(found)
    return found


@pytest.fixture
def database(url) -> Iterator[Database]:
    opened = Database.open(url, pool_size=16)
    yield opened
    opened.close()


def empty(url: str) -> None:
    """Take everything out, past the triggers that forbid it."""
    engine = create_engine(url)
    deletes = "; ".join(f"DELETE FROM {table}" for table in metadata.tables)
    with engine.begin() as connection:
        connection.exec_driver_sql("SET session_replication_role = replica")
        connection.exec_driver_sql(f"{deletes}; {SYSTEM}")
    engine.dispose()


def customer(database: Database, micro: int = 1_000_000, **limits) -> keys.Key:
    """A key with an account of its own that holds ``micro`` micro-credits."""
    with database.begin() as conn:
        return keys.create(conn, name="customer", credits_micro=micro, **limits)[1]

"""A database is brought up to date while a server of an older release goes on with it.

That server is a process that says what one has said (``older``): its own statements, from an empty
database on, over connections that stay open. ``python -m bench.upgrading`` has the server itself.
"""

from __future__ import annotations

import secrets
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from sqlalchemy import Double, MetaData, create_engine, inspect, select, text

from limner.errors import SettingsError
from limner.store import audit, sql
from limner.store.db import Database
from tests.store.databases import SERVER, tmp_path
from tests.store.older import life
from tests.waiting import wait_until

__all__ = ["tmp_path"]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def kind(request):
    if request.param == "postgresql":
        request.getfixturevalue("postgres_url")  # skips where there is none
    return request.param


@contextmanager
def nothing_there(kind, folder):
    """The URL of a database that nobody has used."""
    name = f"limner_test_{secrets.token_hex(6)}"
    if kind == "sqlite":
        yield f"sqlite:///{folder / name}.db"
        return
    server = create_engine(SERVER, isolation_level="AUTOCOMMIT")
    with server.connect() as conn:
        conn.execute(text(f"CREATE DATABASE {name}"))
    try:
        yield server.url.set(database=name).render_as_string(hide_password=False)
    finally:
        with server.connect() as conn:
            conn.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        server.dispose()


def older(kind, url, cut=(-1, -1)):
    """The process, which stops at ``cut`` until it is told to go on."""
    place = url.removeprefix("sqlite:///").replace("postgresql+psycopg", "postgresql")
    command = [sys.executable, "-m", "tests.store.older.replaying", kind, place, *map(str, cut)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, text=True, **pipes)


def ends_well(process):
    _, said = process.communicate("\n", timeout=120)
    assert process.returncode == 0, said


def contents(url, known):
    """What an older server knows of a database, but for moments, which are the clock's."""
    engine = create_engine(url)
    with engine.connect() as conn:
        found = {
            table.name: sorted(
                tuple(map(str, row))
                for row in conn.execute(
                    select(*(c for c in table.columns if not isinstance(c.type, Double)))
                )
            )
            for table in known.tables.values()
        }
    engine.dispose()
    found.pop("alembic_version")
    return found


@pytest.fixture
def alone(kind, tmp_path):
    """What the older server alone makes of a database: its tables, and what is in them."""
    known = MetaData()
    with nothing_there(kind, tmp_path) as url:
        ends_well(older(kind, url))
        engine = create_engine(url)
        known.reflect(engine)
        engine.dispose()
        yield known, contents(url, known)


def cuts(kind):
    """Before it begins a request; and within a settlement, whose rows it holds then."""
    told = life(kind)
    named = [[each.sql.split("(")[0] for each in transaction] for transaction in told]
    accepted = [n for n, each in enumerate(named) if any("INTO holds" in sql for sql in each)]
    settled = [n for n, each in enumerate(named) if any("INTO pictures" in sql for sql in each)]
    place = next(i for i, sql in enumerate(named[settled[1]]) if "INTO pictures" in sql)
    return (accepted[2], 0), (settled[1], place)


@pytest.mark.parametrize("within", [False, True])
def test_an_older_server_goes_on_through_the_upgrade(kind, tmp_path, alone, within):
    known, before = alone
    with nothing_there(kind, tmp_path) as url, ThreadPoolExecutor(1) as pool:
        process = older(kind, url, cuts(kind)[within])
        try:
            assert process.stdout.readline() == "there\n", process.communicate()
            opening = pool.submit(Database.open, url)
            if within:
                wait_until(lambda: kind == "sqlite" or waits(url))
            else:
                wait_until(opening.done)
            ends_well(process)
            new = opening.result()
        finally:
            process.kill()
            process.communicate()
        with new.read() as conn:
            assert audit.check(conn) == []
        new.close()
        assert contents(url, known) == before


@pytest.mark.slow
def test_tables_that_others_keep_are_told_after_a_while(postgres_url, tmp_path, monkeypatch):
    monkeypatch.setattr(sql, "LOCK_MOST_S", 0)
    with nothing_there("postgresql", tmp_path) as url:
        ends_well(older("postgresql", url))
        backup = create_engine(url)
        with backup.connect() as conn:
            conn.execute(text("SELECT * FROM requests")).all()
            with pytest.raises(SettingsError, match="others have used its tables for 0 s"):
                Database.open(url)
        backup.dispose()
        Database.open(url).close()


def waits(url):
    """Whether somebody asks for the tables of this PostgreSQL database alone, and waits."""
    engine = create_engine(url)
    with engine.connect() as conn:
        found = "SELECT count(*) FROM pg_stat_activity WHERE datname = :name AND query LIKE 'LOCK%'"
        seen = conn.execute(text(found), {"name": engine.url.database}).scalar_one()
    engine.dispose()
    return seen


def test_what_an_older_release_knows_is_left_to_it(kind, tmp_path):
    with nothing_there(kind, tmp_path) as url:
        ends_well(older(kind, url))
        engine = create_engine(url)
        before = {name: columns(engine, name) for name in inspect(engine).get_table_names()}
        Database.open(url).close()
        for name, former in before.items():
            now = columns(engine, name)
            assert former.keys() <= now.keys(), name
            for column, its in former.items():
                assert str(now[column]["type"]) == str(its["type"]), (name, column)
                assert now[column]["nullable"] or not its["nullable"], (name, column)
            for column in now.keys() - former.keys():
                may_be_absent = now[column]["nullable"] or now[column]["default"] is not None
                assert may_be_absent, f"{name}.{column}: an older server writes rows without it"
        engine.dispose()


def columns(engine, table):
    return {each["name"]: each for each in inspect(engine).get_columns(table)}

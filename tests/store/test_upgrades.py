"""A database is brought up to date while servers of the release before go on with it."""

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import MetaData, create_engine, inspect, select

from limner.store import audit, db, images, jobs
from limner.store.db import Database
from tests.store.databases import tmp_path

__all__ = ["tmp_path"]

BEFORE = db._revisions()[1]
ZEROS = {"available_micro": 0, "held_micro": 0}


@pytest.fixture
def old(tmp_path):
    """What a server of the release before has open: its engine, and its tables as it knows them."""
    url = f"sqlite:///{tmp_path / 'limner.db'}"
    engine, config, known = create_engine(url), Config(), MetaData()
    config.set_main_option("script_location", str(db.MIGRATIONS))
    with engine.begin() as conn:
        config.attributes["connection"] = conn
        command.upgrade(config, BEFORE)
    known.reflect(engine)
    yield url, engine, known
    engine.dispose()


def columns(engine, table):
    return {each["name"]: each for each in inspect(engine).get_columns(table)}


def test_what_the_release_before_knows_is_left_to_it(old):
    url, engine, known = old
    before = {name: columns(engine, name) for name in known.tables}
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


def row(table, **values):
    """A row as an older server writes it, zero or a text where nothing is said."""
    made = dict(values)
    for column in table.columns:
        wanted = not column.nullable and column.server_default is None
        if wanted and column.name not in made:
            made[column.name] = "[]" if column.type.python_type is str else 0
    return made


def test_an_older_server_goes_on_writing_and_the_new_one_reads_it(old):
    url, engine, known = old
    tables = known.tables
    with engine.connect() as open_since_before:
        open_since_before.execute(select(tables["accounts"])).all()
        open_since_before.rollback()
        new = Database.open(url)
        own = {"key_id": "key", "account_id": "acc", "request_id": "req"}
        with open_since_before.begin():
            for name, values in (
                ("accounts", {"id": "acc", "name": "n", "kind": "customer", **ZEROS}),
                ("keys", {"id": "key", "account_id": "acc", "hash": "h", "scopes": "draw"}),
                ("requests", {"id": "req", "status": "QUEUED", "samples": 1, **own}),
                ("pictures", {"id": "pic", "index": 0, "seed": "1", "file": "f", **own}),
            ):
                table = tables[name]
                named = {key: value for key, value in values.items() if key in table.columns}
                open_since_before.execute(table.insert().values(row(table, **named)))
    with new.read() as conn:
        assert jobs.find(conn, "req").status == "QUEUED"
        assert [each.id for each in images.of_request(conn, "req")] == ["pic"]
        assert audit.check(conn) is not None
    new.close()

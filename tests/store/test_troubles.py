"""A database that fails is told from a statement that does."""

import sqlite3

import pytest
from sqlalchemy import event, insert, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from limner.errors import DatabaseUnavailable
from limner.store import sqlite
from limner.store.db import Database
from limner.store.schema import accounts
from limner.store.troubles import AWAY, DAMAGED, FULL, READ_ONLY

ROW = {"name": "n", "kind": "customer", "available_micro": 1, "held_micro": 0, "created_at": 0}


def add(conn, id):
    conn.execute(insert(accounts).values(id=id, **ROW))


def told(database, *statements):
    """The sentence for the caller where statements meet the database as it is."""

    def work():
        with database.begin() as conn:
            for statement in statements:
                conn.execute(text(statement))
            add(conn, "acc_1")

    with pytest.raises(DatabaseUnavailable) as error:
        work()
    return str(error.value)


def test_one_that_takes_no_changes(database):
    """As PostgreSQL's standby, or a disk that was mounted anew to be read only."""
    if database.engine.dialect.name == "sqlite":
        assert told(database, "PRAGMA query_only = ON") == READ_ONLY
        return
    assert told(database, "SET TRANSACTION READ ONLY") == READ_ONLY
    made = []
    event.listen(database.engine, "connect", lambda *_: made.append(1))
    with database.begin() as conn:
        add(conn, "acc_1")
    assert made, "a new connection may lead to the new primary"


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
@pytest.mark.parametrize(
    ("code", "sentence"), [("XX001", DAMAGED), ("25P03", AWAY), ("53100", FULL), ("57P01", AWAY)]
)
def test_states_of_a_server(database, code, sentence):
    raised = f"DO $$ BEGIN RAISE EXCEPTION 'planted' USING ERRCODE = '{code}'; END $$"
    assert told(database, raised) == sentence


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_file_that_is_damaged_while_it_is_used(url, tmp_path):
    file = tmp_path / "limner.db"
    database = Database.open(url)
    database.close()
    pages = bytearray(file.read_bytes())
    pages[4096:] = b"\xa5" * (len(pages) - 4096)
    whole = file.read_bytes()
    file.write_bytes(pages)
    assert database.failure is None
    assert told(database) == DAMAGED
    assert str(database.failure) == DAMAGED
    database.close()
    file.write_bytes(whole)
    with database.begin() as conn:
        add(conn, "acc_1")
    assert database.failure is None
    database.close()


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_one_that_others_keep_busy_is_no_failure(database, monkeypatch):
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_S", 0.01)
    with sqlite3.connect(database.engine.url.database) as other:
        other.execute("BEGIN IMMEDIATE")
        assert told(database) == sqlite.busy()
    assert database.failure is None


def test_mistakes_of_ours_stay_faults(database):
    with database.begin() as conn:
        add(conn, "acc_1")
    with pytest.raises(IntegrityError), database.begin() as conn:
        add(conn, "acc_1")
    with pytest.raises(DBAPIError), database.begin() as conn:
        conn.execute(text("SELECT nothing FROM nowhere"))

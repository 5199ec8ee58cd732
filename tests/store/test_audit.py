"""``check`` finds every kind of planted fault, and nothing in sound books."""

from contextlib import contextmanager

import pytest
from sqlalchemy import text

from limner.store import audit, images, jobs, keys, leases, ledger
from limner.store.audit import RULES
from tests.store.databases import customer


@pytest.fixture
def history(database):
    """One completed request with a picture, one failed, one running, one queued."""
    key = customer(database, 1000)
    with database.begin() as conn:
        lease = leases.open(conn, ttl_s=600)
        for name, status in (
            ("done", "PROCESSING"),
            ("failed", "PROCESSING"),
            ("running", "PROCESSING"),
            ("queued", "QUEUED"),
        ):
            assert jobs.insert(
                conn,
                id=f"req_{name}",
                key_id=key.id,
                account_id=key.account_id,
                slug="s",
                surface="test",
                body_sha256="0" * 64,
                adjustments=[],
                samples=2 if name == "done" else 1,
                asynchronous=status == "QUEUED",
                status=status,
                hold_id=f"hold_{name}",
                price_micro=100,
            )
            keys.reserve(conn, key.id, 100)
            lease_id = None if status == "QUEUED" else lease
            ledger.hold(conn, key.account_id, 100, id=f"hold_{name}", lease_id=lease_id)
        ledger.capture(conn, "hold_done", 50)
        keys.give_back(conn, key.id, 50)
        jobs.finish(conn, "req_done", "COMPLETED", cost_micro=50, drawn=1)
        images.add(
            conn,
            id="pic_1",
            request_id="req_done",
            index=0,
            seed=1,
            width=64,
            height=64,
            rgb_sha256="0" * 64,
            receipt={},
            file="f",
            bytes=1,
            price_micro=50,
        )
        ledger.release(conn, "hold_failed")
        keys.give_back(conn, key.id, 100)
        jobs.finish(conn, "req_failed", "FAILED")
    return key, lease


@contextmanager
def unguarded(database):
    """A transaction past the schema's own rules, as a fault of the disk or of a hand would be.

    It is rolled back, rules and all.
    """
    with database.engine.connect() as conn:
        if conn.dialect.name == "sqlite":
            conn.exec_driver_sql("ROLLBACK")  # pragmas act outside a transaction
            conn.exec_driver_sql("PRAGMA ignore_check_constraints = ON")
            conn.exec_driver_sql("PRAGMA foreign_keys = OFF")
            conn.exec_driver_sql("BEGIN IMMEDIATE")
            triggers = text("SELECT name FROM sqlite_master WHERE type = 'trigger'")
            for name in conn.execute(triggers).scalars().all():
                conn.exec_driver_sql(f"DROP TRIGGER {name}")
        else:
            conn.execute(text("SET LOCAL session_replication_role = replica"))
            checks = text(
                "SELECT conrelid::regclass, conname FROM pg_constraint "
                "WHERE contype = 'c' AND connamespace = 'public'::regnamespace"
            )
            for table, name in conn.execute(checks).all():
                conn.execute(text(f"ALTER TABLE {table} DROP CONSTRAINT {name}"))
        yield conn
        conn.rollback()
        conn.invalidate()


def test_sound_books_have_no_faults(database, history):
    with database.read() as conn:
        assert audit.check(conn) == []


FAULTS = {
    "unbalanced": [
        "DELETE FROM entries WHERE transfer_id = 'hold_done' AND side = 1",
        "UPDATE entries SET amount_micro = 99 WHERE transfer_id = 'hold_done'",
        "UPDATE transfers SET amount_micro = 99 WHERE id = 'hold_done/capture'",
    ],
    "unequal sums": ["DELETE FROM entries WHERE transfer_id = 'hold_done' AND side = 1"],
    "stray entry": [
        "DELETE FROM transfers WHERE id = 'hold_done/release'",
        "INSERT INTO entries VALUES ('nothing', 1, 'income', 'income', 1)",
    ],
    "wrong pocket": [
        "UPDATE entries SET pocket = 'held' WHERE transfer_id = 'hold_done/capture' AND side = 1",
        "UPDATE entries SET account_id = 'issued' WHERE pocket = 'income'",
        "UPDATE transfers SET kind = 'withdraw' WHERE kind = 'grant'",
    ],
    "wrong balance": [
        "UPDATE accounts SET available_micro = available_micro + 1 WHERE kind = 'customer'",
        "UPDATE accounts SET held_micro = 0 WHERE kind = 'customer'",
    ],
    "negative balance": ["UPDATE accounts SET available_micro = -1 WHERE kind = 'customer'"],
    "unresolved": [
        "DELETE FROM holds WHERE id = 'hold_running'",
        "DELETE FROM resolutions WHERE hold_id = 'hold_done'",
        "INSERT INTO holds (id) VALUES ('hold_done')",
    ],
    "no hold": [
        "INSERT INTO holds (id) VALUES ('hold_done/capture')",
        "INSERT INTO resolutions VALUES ('nothing', 'release', 0)",
    ],
    "wrong resolution": [
        "UPDATE resolutions SET outcome = 'expire' WHERE hold_id = 'hold_done'",
        "UPDATE transfers SET amount_micro = 49 WHERE id = 'hold_done/release'",
        "DELETE FROM transfers WHERE id = 'hold_done/release'",
        "UPDATE transfers SET kind = 'expire' WHERE id = 'hold_failed/release'",
        "UPDATE transfers SET account_id = 'issued' WHERE id = 'hold_done/release'",
    ],
    "lost hold": [
        "UPDATE leases SET expires_at = 1",
        "DELETE FROM leases",
        "UPDATE holds SET lease_id = NULL WHERE id = 'hold_running'",
        "DELETE FROM requests WHERE id = 'req_queued'",
        "DELETE FROM requests WHERE id = 'req_running'",
        "UPDATE requests SET status = 'QUEUED' WHERE id = 'req_running'",
    ],
    "stuck request": [
        "UPDATE requests SET status = 'PROCESSING' WHERE id = 'req_failed'",
        "UPDATE requests SET status = 'FAILED' WHERE id = 'req_running'",
    ],
    "wrong cost": [
        "UPDATE requests SET cost_micro = 51 WHERE id = 'req_done'",
        "UPDATE requests SET status = 'FAILED' WHERE id = 'req_done'",
        "UPDATE requests SET status = 'COMPLETED' WHERE id = 'req_failed'",
    ],
    "wrong price": [
        "UPDATE requests SET price_micro = 101 WHERE id = 'req_done'",
        "UPDATE requests SET hold_id = 'nothing' WHERE id = 'req_failed'",
        "UPDATE requests SET account_id = 'issued' WHERE id = 'req_done'",
        "UPDATE keys SET account_id = 'issued'",
    ],
    "unpaid picture": [
        "UPDATE pictures SET request_id = 'req_failed'",
        "UPDATE pictures SET request_id = 'nothing'",
        "INSERT INTO pictures SELECT 'pic_2', request_id, 1, seed, width, height, rgb_sha256, "
        "receipt, 'g', bytes, created_at, price_micro, words, source_sha256, starred, folder, "
        "removed_at, model_sums FROM pictures",
        "UPDATE pictures SET price_micro = 51",
        "UPDATE pictures SET price_micro = 0",
    ],
    "wrong bill": [
        "UPDATE pictures SET price_micro = 49",
        "UPDATE requests SET drawn = 0 WHERE id = 'req_done'",
    ],
    "missing picture": ["DELETE FROM pictures"],
    "wrong spending": [
        "UPDATE keys SET spent_micro = spent_micro + 1",
        "DELETE FROM requests WHERE id = 'req_done'",
    ],
}


def test_every_kind_of_fault_is_planted():
    assert set(FAULTS) == {*RULES, "unequal sums"}


@pytest.mark.parametrize("kind", FAULTS)
def test_a_planted_fault_is_found(database, history, kind):
    with unguarded(database) as conn:
        assert audit.check(conn) == []
        for statement in FAULTS[kind]:
            planting = conn.begin_nested()
            assert conn.execute(text(statement)).rowcount >= 1
            found = audit.check(conn)
            planting.rollback()
            assert kind in {fault.kind for fault in found}, statement
            assert all(fault.subject and fault.detail for fault in found)
        assert audit.check(conn) == []

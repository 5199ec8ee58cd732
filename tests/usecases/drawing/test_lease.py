"""The lease of a process: renewed, lost, and what happens to its work then."""

import asyncio
import time

import pytest
from sqlalchemy import select, text

from limner.errors import DatabaseUnavailable
from limner.store import jobs, keys, leases, ledger
from limner.usecases.drawing import settlement
from tests.store.databases import customer
from tests.usecases.services import balance, generation, order, started
from tests.waiting import HeldEngine, until


@pytest.fixture
def often(monkeypatch):
    """A lease that looks ten times a second, though its lease is a minute long."""
    monkeypatch.setattr("limner.usecases.drawing.lease.RENEWALS", 600)


def expiry(database):
    """When the only lease ends, in seconds since 1970."""
    with database.read() as conn:
        return conn.execute(select(leases.leases.c.expires_at)).scalar()


def status_of(database, request_id):
    with database.read() as conn:
        return jobs.find(conn, request_id).status


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_lease_is_renewed_while_its_process_lives(database, tmp_path, often):
    key = customer(database, 100_000)

    async def story():
        engine = HeldEngine()
        async with started(database, tmp_path, engine=engine) as generate:
            drawing = asyncio.create_task(generate.run(key, order()))
            first = expiry(database)
            await until(lambda: expiry(database) > first)
            second = expiry(database)
            await until(lambda: expiry(database) > second)
            engine.release()
            assert (await drawing).cost_micro

    asyncio.run(story())


def test_a_lost_lease_stops_the_work_and_bills_nothing(database, tmp_path, often):
    """As after a suspended process wakes up: others may have its work by then."""
    key = customer(database, 100_000)

    async def story():
        engine = HeldEngine()
        async with started(database, tmp_path, engine=engine) as generate:
            lost = generate.worker.lease.id
            task = asyncio.create_task(generate.run(key, order()))
            await until(lambda: engine.status().running)
            with database.begin() as conn:
                leases.close(conn, lost)
            with pytest.raises(
                settlement.Interrupted, match="could not reach its database in time"
            ):
                await task
            engine.release()
            await until(lambda: not engine.status().running)
            await until(lambda: generate.worker.lease._id not in (None, lost))
            assert balance(database, key).available_micro == 100_000
            assert (await generate.run(key, order())).cost_micro == 4

    asyncio.run(story())


def test_between_two_leases_nothing_is_accepted(database, tmp_path, often, monkeypatch):
    """As on a full disk: the next lease cannot be had at once, and must not be named before."""
    key = customer(database, 100_000)
    opened, fails = leases.open, [True]

    def open_once_there_is_room(conn, **options):
        lease_id = opened(conn, **options)
        if fails:
            raise DatabaseUnavailable("planted: its commit is refused")
        return lease_id

    async def story():
        async with started(database, tmp_path) as generate:
            lost = generate.worker.lease.id
            monkeypatch.setattr(leases, "open", open_once_there_is_room)
            with database.begin() as conn:
                leases.close(conn, lost)
            await until(lambda: generate.worker.lease._id is None)
            with pytest.raises(DatabaseUnavailable, match="did not answer for long"):
                await generate.run(key, order())
            fails.clear()
            await until(lambda: generate.worker.lease._id)
            assert (await generate.run(key, order())).cost_micro == 4

    asyncio.run(story())


def test_a_late_process_cannot_capture_what_others_gave_back(database, tmp_path):
    key = customer(database, 100_000)

    async def story():
        engine = HeldEngine()
        async with started(database, tmp_path, engine=engine) as generate:
            task = asyncio.create_task(generate.run(key, order(steps=20)))
            await until(lambda: engine.status().running)
            request_id = next(iter(generate.worker.running))
            with database.begin() as conn:
                hold_id = jobs.find(conn, request_id).hold_id
                ledger.carry(conn, hold_id, leases.open(conn, ttl_s=0.0))
            await asyncio.sleep(0.01)
            with database.begin() as conn:
                settlement.recover(conn, hold_id)
            engine.release()
            with pytest.raises(settlement.Interrupted, match="could not reach its database"):
                await task
            assert status_of(database, request_id) == "FAILED"

    asyncio.run(story())
    assert balance(database, key).available_micro == 100_000


def test_a_request_whose_settlement_failed_is_found_again(database, tmp_path, monkeypatch, often):
    key = customer(database, 1000)

    def broken(*_):
        raise OSError("the database is away")

    async def story():
        async with started(database, tmp_path) as generate:
            monkeypatch.setattr("limner.usecases.drawing.lease.UNSEEN_S", 0.0)
            with monkeypatch.context() as patched:
                patched.setattr(settlement, "settle", broken)
                with pytest.raises(Exception, match="not finite"):
                    await generate.run(key, order("!black"))
            await until(lambda: balance(database, key).held_micro == 0)

    asyncio.run(story())
    assert balance(database, key).available_micro == 1000


def test_the_holds_of_a_dead_process_come_back_at_the_next_start(database, tmp_path):
    key = customer(database, 1000)
    with database.begin() as conn:
        dead = leases.open(conn, ttl_s=0.0)
        for name, asynchronous in (("a", False), ("b", True)):
            jobs.insert(
                conn,
                id=f"req_{name}",
                key_id=key.id,
                account_id=key.account_id,
                slug="s",
                surface="test",
                body_sha256="0" * 64,
                lines=[{"generation": generation().model_dump(mode="json"), "each_micro": 4}],
                adjustments=[],
                samples=1,
                asynchronous=asynchronous,
                status="PROCESSING",
                hold_id=f"hold_{name}",
                price_micro=4,
            )
            keys.reserve(conn, key.id, 4)
            ledger.hold(conn, key.account_id, 4, id=f"hold_{name}", lease_id=dead)
    time.sleep(0.01)

    async def story():
        async with started(database, tmp_path, empty=False):
            assert status_of(database, "req_a") == "FAILED"
            assert status_of(database, "req_b") == "QUEUED"
            assert balance(database, key).held_micro == 4

    asyncio.run(story())


def test_recovery_does_not_stand_in_the_way_of_new_holds(database):
    """Found by killing servers: both need the lease's row, and each had what the other wanted."""
    key = customer(database, 1000)
    with database.begin() as conn:
        lease = leases.open(conn, ttl_s=60)
        ledger.hold(conn, key.account_id, 4, id="hold_old", lease_id=lease)
    if database.engine.dialect.name == "sqlite":
        return  # one writer at a time
    with database.begin() as recovering, database.begin() as accepting:
        accepting.execute(text("SET lock_timeout = '30s'"))
        assert leases.is_dead(recovering, "hold_old", time.time() + 3600)
        ledger.hold(accepting, key.account_id, 4, id="hold_new", lease_id=lease)

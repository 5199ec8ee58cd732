"""A clock that was set back by an hour: what was written before it has times to come.

The tests move what is written, not the clock, so that they hold for the database's clock as well.
"""

import asyncio

import pytest
from sqlalchemy import text

from limner.errors import EngineFault, LimitExceeded
from limner.store import jobs, keys, leases, ledger
from limner.store.sql import now
from limner.usecases.accounts import Accounts
from limner.usecases.drawing import settlement
from limner.usecases.pictures.gallery import Gallery
from limner.usecases.queueing import position
from tests.store.databases import customer
from tests.usecases.services import finished, order, queue_of


def set_back(database):
    """As if the clock had been set back after everything was written."""
    with database.begin() as conn:
        for table, columns in {
            "requests": ("created_at", "started_at", "finished_at"),
            "pictures": ("created_at",),
            "keys": ("created_at", "served_at"),
            "leases": ("opened_at", "expires_at"),
        }.items():
            later = ", ".join(f"{column} = {column} + 3600" for column in columns)
            conn.execute(text(f"UPDATE {table} SET {later}"))


def test_a_keys_minute_begins_anew(database, tmp_path):
    key = customer(database, requests_per_minute=2)

    async def story():
        async with queue_of(database, tmp_path, works=False, empty=False) as queue:
            for seed in range(2):
                await queue.submit(key, order(seed=seed))
            with pytest.raises(LimitExceeded):
                await queue.submit(key, order(seed=2))
            set_back(database)
            standing = await Accounts(queue.worker.settings, database).standing(key)
            assert standing.requests_left == 2
            for seed in range(2):
                await queue.submit(key, order(seed=seed))
            with pytest.raises(LimitExceeded):
                await queue.submit(key, order(seed=2))

    asyncio.run(story())


def test_keys_still_take_turns(database, tmp_path):
    """Who is served after the change is not always the one who was served longest ago."""
    one, two = customer(database), customer(database)

    async def story():
        async with queue_of(database, tmp_path, works=False, empty=False) as queue:
            for key in (one, two) * 3:
                await queue.submit(key, order())
        with database.begin() as conn:
            conn.execute(text("UPDATE keys SET served_at = created_at"))
        set_back(database)
        served = []
        for _ in range(6):
            with database.begin() as conn:
                job = jobs.claim(conn, leases.open(conn))
                served.append(job.key_id)
                settlement.abandon(conn, job.id, "CANCELLED", EngineFault("only claimed"))
        assert served == [one.id, two.id] * 3

    asyncio.run(story())


def test_a_dead_lease_does_not_last_for_the_hour(database):
    key = customer(database)
    with database.begin() as conn:
        short, long = leases.open(conn, ttl_s=5), leases.open(conn, ttl_s=600)
        ledger.hold(conn, key.account_id, 4, id="hold_1", lease_id=short)
        ledger.hold(conn, key.account_id, 4, id="hold_2", lease_id=long)
    set_back(database)
    with database.begin() as conn:
        moment = now(conn)
        leases.bound(conn, moment)
        assert leases.dead_holds(conn, moment) == []
        assert leases.dead_holds(conn, moment + 6) == ["hold_1"]
        assert leases.dead_holds(conn, moment + 601) == ["hold_1", "hold_2"]
        assert leases.renew(conn, short, ttl_s=5)


def test_what_was_drawn_before_is_still_listed_and_took_no_less_than_nothing(database, tmp_path):
    key = customer(database)

    async def story():
        async with queue_of(database, tmp_path) as queue:
            accepted = await queue.submit(key, order())
            await finished(queue, key, accepted.job.id)
            set_back(database)
            with database.begin() as conn:
                conn.execute(text("UPDATE requests SET finished_at = finished_at - 3600"))
            [status] = await queue.recent(key)
            assert status.total_s == 0.0
            gallery = Gallery(queue.worker)
            assert len(await gallery.pictures(key)) == len(await gallery.requests(key)) == 1
            with database.read() as conn:
                assert position.speed(jobs.spans(conn, 0.0)) is None
                assert keys.get(conn, key.id)

    asyncio.run(story())

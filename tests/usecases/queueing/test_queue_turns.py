"""Whose request is next: turns between keys, caps, and a flood beside the queue."""

import asyncio

import pytest

from limner.errors import EngineFault, LimitExceeded, QueueFull
from limner.store import jobs, leases
from limner.usecases.drawing import settlement
from limner.usecases.queueing.queue import WAITING_MAX
from tests.store.databases import customer
from tests.usecases.services import finished, order, queue_emptied, queue_of
from tests.waiting import HeldEngine, until


def test_keys_take_turns(database, tmp_path):
    """One key's flood does not stand before another's single request."""
    flood, modest = customer(database), customer(database)

    async def story():
        async with queue_of(database, tmp_path, works=False, empty=False) as queue:
            for i in range(6):
                await queue.submit(flood, order(f"flood {i}"))
            only = await queue.submit(modest, order())
        served = []
        with database.begin() as conn:
            lease = leases.open(conn)
            for _ in range(3):
                job = jobs.claim(conn, lease)
                served.append(job.key_id)
                settlement.abandon(conn, job.id, "CANCELLED", EngineFault("only claimed"))
        assert only.job.key_id in served[:2]
        await queue_emptied(database)

    asyncio.run(story())


@pytest.mark.slow
def test_a_flood_that_is_waited_for_does_not_stop_the_queue(database, tmp_path):
    """What waits in the engine without having come through the queue takes no room in it."""
    flooding, others = customer(database), [customer(database) for _ in range(3)]
    engine = HeldEngine(max_rows=2)

    async def story():
        async with queue_of(database, tmp_path, engine=engine) as queue:
            calls = [queue._generate.run(flooding, order("flood")) for _ in range(2 * WAITING_MAX)]
            flood = [asyncio.create_task(call) for call in calls]
            await until(lambda: engine.status().waiting > WAITING_MAX)
            names = [(await queue.submit(key, order())).job.id for key in others]
            # The engine is held, so the flood still waits when these are claimed.
            await until(lambda: set(names) <= queue.worker.running.keys())
            engine.release()
            for key, name in zip(others, names, strict=True):
                assert (await finished(queue, key, name)).job.status == "COMPLETED"
            await asyncio.gather(*flood)

    asyncio.run(story())


def test_no_two_that_were_tried_before_are_drawn_together(database, tmp_path):
    """One of them may have ended its engine: it must not take the other along each time."""
    keys = [customer(database) for _ in range(3)]

    async def story():
        async with queue_of(database, tmp_path, works=False, empty=False) as queue:
            accepted = [await queue.submit(key, order()) for key in keys]
        first, second, fresh = (status.job.id for status in accepted)
        with database.begin() as conn:
            tried = jobs.requests.c.id.in_((first, second))
            conn.execute(jobs.requests.update().where(tried).values(tries=1))
            lease = leases.open(conn)
            claimed = [jobs.claim(conn, lease) for _ in range(3)]
            assert {job.id for job in claimed if job} == {first, fresh}
            settlement.abandon(conn, first, "CANCELLED", EngineFault("only claimed"))
            assert jobs.claim(conn, lease).id == second
        await queue_emptied(database)

    asyncio.run(story())


def test_a_key_that_is_full_gets_no_more(database, tmp_path):
    full, other = customer(database), customer(database)

    async def story():
        async with queue_of(database, tmp_path, works=False, empty=False) as queue:
            for key in (full, full, other):
                await queue.submit(key, order())
        with database.begin() as conn:
            lease = leases.open(conn)
            job = jobs.claim(conn, lease, [full.id])
            assert job.key_id == other.id
            assert jobs.claim(conn, lease, [full.id]) is None
            settlement.abandon(conn, job.id, "CANCELLED", EngineFault("only claimed"))
        await queue_emptied(database)

    asyncio.run(story())


def test_what_was_tried_before_waits_behind_what_was_not(database, tmp_path):
    """Servers killed again and again do not use up the tries of the same few requests."""
    key = customer(database)

    async def story():
        async with queue_of(database, tmp_path, works=False, empty=False) as queue:
            names = [(await queue.submit(key, order(f"p {i}"))).job.id for i in range(3)]
        claimed = []
        with database.begin() as conn:
            lease = leases.open(conn)
            for _ in range(7):
                job = jobs.claim(conn, lease)
                claimed.append(job.id)
                settlement.settle(conn, job.id, lease, EngineFault("lost"))
        assert claimed[:6] == [*names, *names]
        await queue_emptied(database)

    asyncio.run(story())


def test_a_keys_concurrency_holds_in_the_queue(database, tmp_path):
    key = customer(database, concurrency=2)

    async def story():
        async with queue_of(database, tmp_path, works=False, empty=False) as queue:
            for i in range(5):
                await queue.submit(key, order(f"picture {i}"))
        with database.begin() as conn:
            lease = leases.open(conn)
            claimed = [jobs.claim(conn, lease) for _ in range(3)]
            assert [job is None for job in claimed] == [False, False, True]
            for job in claimed[:2]:
                settlement.abandon(conn, job.id, "CANCELLED", EngineFault("only claimed"))
        await queue_emptied(database)

    asyncio.run(story())


def test_caps_of_the_queue(database, tmp_path):
    key, other = customer(database), customer(database)
    settings = {"key_max_concurrent": 2, "queue_max_requests": 3}

    async def story():
        async with queue_of(database, tmp_path, works=False, empty=False, **settings) as queue:
            for _ in range(2):
                await queue.submit(key, order())
            with pytest.raises(LimitExceeded, match="2 requests waiting"):
                await queue.submit(key, order())
            await queue.submit(other, order())
            with pytest.raises(QueueFull, match="3 requests wait"):
                await queue.submit(other, order())
        await queue_emptied(database)

    asyncio.run(story())

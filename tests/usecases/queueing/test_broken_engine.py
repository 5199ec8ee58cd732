"""An engine that breaks costs no request anything."""

import asyncio

import pytest
from sqlalchemy import select

from limner.engine.batching import faults
from limner.engine.batching.fake import FakeEngine
from limner.errors import EngineBroken
from limner.store import jobs
from limner.store.schema import requests
from tests.store.databases import customer
from tests.usecases.services import balance, order, queue_of, started
from tests.waiting import until

pytestmark = pytest.mark.rarely_postgresql


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(faults, "PAUSE_S", 0.0)


def breaking(after):
    """An engine whose steps fail after some that went well."""
    engine, made = FakeEngine(), []
    step = engine.fake.step

    def fail(images):
        if len(made) >= after:
            raise RuntimeError("a planted fault of the device")
        made.append(images)
        step(images)

    engine.fake.step = fail
    return engine


async def until_broken(queue):
    """Until the engine has given up and everything claimed is settled."""

    def open_jobs():
        with queue.worker.database.read() as conn:
            return jobs.count(conn, "PROCESSING")

    async with asyncio.timeout(60):
        while queue.worker.engine.failure is None or await asyncio.to_thread(open_jobs):
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("after", [0, 1, 5])
def test_queued_requests_lose_no_try(database, tmp_path, after):
    """But for those that were drawn when an engine broke that had worked before."""
    key = customer(database)

    async def story():
        engine = breaking(after)
        async with queue_of(database, tmp_path, engine=engine, empty=False) as queue:
            orders = [order(seed=10 * n, steps=4, samples=2) for n in range(12)]
            accepted = await queue.submit_all(key, orders)
            await until_broken(queue)
        with database.read() as conn:
            found = [jobs.find(conn, status.job.id) for status in accepted]
        left = [job for job in found if job.status != "COMPLETED"]
        assert left
        assert {job.status for job in left} == {"QUEUED"}
        tries = {job.tries for job in left}
        assert tries == {0, 1} if after else tries == {0}

    asyncio.run(story())


def poisoned():
    """An engine that has worked, and breaks for good at the second step of a certain prompt."""
    engine, dead = FakeEngine(prove=True), []
    step = engine.fake.step

    def fail(images):
        if dead or any(i.request.generation.prompt == "poison" and i.evaluation for i in images):
            dead.append(True)
            raise RuntimeError("a planted fault of the device")
        step(images)

    engine.fake.step = fail
    return engine


@pytest.mark.slow
def test_what_breaks_every_engine_is_failed_in_the_end_and_nothing_else(database, tmp_path):
    key, other = customer(database), customer(database)
    before = balance(database, key).available_micro

    async def life(orders=()):
        async with queue_of(database, tmp_path, engine=poisoned(), empty=False) as queue:
            await queue.submit_all(key, orders)
            if orders:
                await queue.submit_all(other, [order(seed=n, steps=4) for n in range(9)])

            def settled():
                left = open_requests(database)
                return not left or (queue.worker.engine.failure and "PROCESSING" not in left)

            await until(settled)

    asyncio.run(life([order("poison", steps=4), *(order(seed=n, steps=4) for n in range(9))]))
    lives = 1
    while open_requests(database):
        asyncio.run(life())
        lives += 1
    assert lives == 3
    with database.read() as conn:
        [failed] = [job for job in every(conn) if job.status != "COMPLETED"]
    assert failed.lines[0].generation["prompt"] == "poison"
    assert (failed.status, failed.tries) == ("FAILED", 3)
    assert "broke 3 times while it drew this" in failed.error
    spent = 9 * failed.price_micro
    assert balance(database, key).available_micro == before - spent


def every(conn):
    return [jobs.find(conn, id) for id in conn.execute(select(requests.c.id)).scalars()]


def open_requests(database):
    with database.read() as conn:
        return [job.status for job in every(conn) if job.open]


def test_a_waiting_call_is_not_billed_and_may_come_again(database, tmp_path):
    key = customer(database)

    async def story():
        async with started(database, tmp_path, engine=breaking(1)) as generate:
            with pytest.raises(EngineBroken) as refused:
                await generate.run(key, order(steps=4))
        assert refused.value.retry_after_s > 0

    asyncio.run(story())

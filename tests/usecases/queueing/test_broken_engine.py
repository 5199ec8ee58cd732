"""An engine that breaks costs no request anything."""

import asyncio

import pytest

from limner.engine.batching import faults
from limner.engine.batching.fake import FakeEngine
from limner.errors import EngineBroken
from limner.store import jobs
from tests.store.databases import customer
from tests.usecases.house import house, order, queue_of


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
        assert {(job.status, job.tries) for job in left} == {("QUEUED", 0)}

    asyncio.run(story())


def test_a_waiting_call_is_not_billed_and_may_come_again(database, tmp_path):
    key = customer(database)

    async def story():
        async with house(database, tmp_path, engine=breaking(1)) as generate:
            with pytest.raises(EngineBroken) as refused:
                await generate.run(key, order(steps=4))
        assert refused.value.retry_after_s > 0

    asyncio.run(story())

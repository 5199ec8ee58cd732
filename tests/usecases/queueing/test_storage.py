"""While nothing can be stored nothing is drawn, and no request is to blame for it."""

import asyncio

import pytest

from limner.errors import DatabaseUnavailable, StorageUnavailable
from limner.usecases.drawing import storage
from tests.store.databases import customer
from tests.store.files.broken import BrokenFiles
from tests.usecases.services import balance, finished, order, queue_of
from tests.waiting import LONG_S


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr(storage, "AGAIN_S", 0.01)


def broken(queue):
    files = queue.worker.files
    place = files._files = BrokenFiles(files._files)
    place.error = OSError(28, "No space left on device")
    return place


async def stands_still(queue, place):
    """Wait until nothing was drawn between five failures and the next; how many were before."""
    async with asyncio.timeout(LONG_S):
        drawn = None
        while drawn != (drawn := queue.worker.engine.status().stats.images):
            failed = place.failed
            await until(lambda: place.failed > failed + 5)  # noqa: B023
    return drawn


async def until(true):
    async with asyncio.timeout(LONG_S):
        while not true():
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_the_queue_stands_still_and_loses_no_try(database, tmp_path):
    key = customer(database)

    async def story():
        async with queue_of(database, tmp_path) as queue:
            place = broken(queue)
            accepted = await queue.submit_all(key, [order(seed=seed) for seed in range(3)])
            await until(lambda: place.failed > 3)
            assert await stands_still(queue, place) <= 3
            stands = [await queue.status(key, one.job.id) for one in accepted]
            assert {one.job.status for one in stands} == {"QUEUED"}
            assert {one.job.tries for one in stands} == {0}
            place.error = None
            return [await finished(queue, key, one.job.id) for one in accepted]

    done = asyncio.run(story())
    assert {one.job.status for one in done} == {"COMPLETED"}
    assert balance(database, key).held_micro == 0


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_who_waits_is_told_and_the_next_is_refused_before_anything_is_drawn(database, tmp_path):
    key = customer(database)

    async def story():
        async with queue_of(database, tmp_path) as queue:
            place, generate = broken(queue), queue._generate
            before = balance(database, key)
            for _ in range(2):
                with pytest.raises(StorageUnavailable, match="No space left on device"):
                    await generate.run(key, order())
            assert "No space left on device" in generate.trouble()
            assert queue.worker.engine.status().stats.images == 1
            assert balance(database, key) == before
            place.error = None
            await until(lambda: queue.worker.files.failure is None)
            assert len((await generate.run(key, order())).pictures) == 1

    asyncio.run(story())


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_database_that_fails_is_told_until_it_can_be_written(database, tmp_path):
    async def story():
        async with queue_of(database, tmp_path, lease_s=1) as queue:
            generate = queue._generate
            assert generate.trouble() is None
            database.failure = DatabaseUnavailable("The database is damaged")
            assert generate.trouble() == "The database is damaged"
            await until(lambda: generate.trouble() is None)  # the lease is renewed meanwhile

    asyncio.run(story())

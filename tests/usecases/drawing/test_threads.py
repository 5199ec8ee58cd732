"""What waits on which thread."""

import asyncio
import threading
import time
from functools import partial

import pytest

from limner.engine.batching.fake import FakeEngine
from limner.errors import DatabaseUnavailable
from limner.pools import WHOSE
from limner.store import leases
from limner.usecases.drawing import threads
from tests.store.databases import customer
from tests.usecases.services import order, started
from tests.waiting import LONG_S, until

pytestmark = pytest.mark.rarely_postgresql


class Hesitant(FakeEngine):
    """Accepts nothing before it may, as replicas that are busy do."""

    def __init__(self):
        super().__init__()
        self.asked, self.may = [], threading.Event()

    def submit(self, ticket, sink):
        self.asked.append(ticket.id)
        assert self.may.wait(3 * LONG_S)
        super().submit(ticket, sink)


def test_the_store_does_not_wait_for_an_engine_that_hesitates(database, tmp_path):
    key, engine = customer(database, 1000), Hesitant()

    async def story():
        options = {"engine": engine, "database_pool_size": 2}
        async with started(database, tmp_path, **options) as generate:
            drawing = [asyncio.create_task(generate.run(key, order(seed=n))) for n in range(4)]
            try:
                await until(lambda: len(engine.asked) == len(drawing))
                lease = generate.worker.lease.id
                async with asyncio.timeout(LONG_S):
                    await generate.worker.write(leases.renew, lease)
            finally:
                engine.may.set()
            assert len({outcome.request_id for outcome in await asyncio.gather(*drawing)}) == 4

    asyncio.run(story())


def test_writes_of_one_key_do_not_keep_others_waiting(database, tmp_path):
    begun, free, served = threading.Event(), threading.Event(), []

    def hold(_conn):
        begun.set()
        assert free.wait(LONG_S)

    async def story():
        async with started(database, tmp_path, database_pool_size=1) as generate:
            worker = generate.worker

            async def write(key, write=worker.write):
                WHOSE.set(key)
                await write(lambda _conn: served.append(key))

            async def end(_work):
                await worker.write_end("flood", lambda _conn: served.append("end"))

            held = asyncio.create_task(worker.write(hold))
            await until(begun.is_set)
            flood = [asyncio.create_task(write("flood")) for _ in range(20)]
            await asyncio.sleep(0)
            others = [asyncio.create_task(write(key)) for key in ("other", "")]
            others.append(asyncio.create_task(write("flood", end)))
            await asyncio.sleep(0)
            free.set()
            await asyncio.wait_for(asyncio.gather(held, *flood, *others), LONG_S)

    asyncio.run(story())
    # Of the flood two were in the line before, for the rest its key has to wait.
    assert served[:2] == ["flood"] * 2
    assert set(served[2:5]) == {"other", "", "end"}
    assert served[5:] == ["flood"] * 18


def test_what_waited_too_long_behind_its_own_key_is_refused_and_ends_are_not(
    database, tmp_path, monkeypatch
):
    monkeypatch.setattr(threads, "BUSY_TIMEOUT_S", 0.05)
    done = []

    async def story():
        async with started(database, tmp_path, database_pool_size=1) as generate:
            worker = generate.worker
            sleep = partial(worker.write, lambda _conn: time.sleep(0.2))
            held = [asyncio.create_task(sleep()) for _ in range(threads.WRITES_EACH)]
            await asyncio.sleep(0)
            late = asyncio.create_task(worker.write(lambda _conn: done.append("late")))
            end = asyncio.create_task(worker.write_end("", lambda _conn: done.append("end")))
            with pytest.raises(DatabaseUnavailable, match="behind what else its key asked for"):
                await late
            await asyncio.gather(*held, end, return_exceptions=True)

    asyncio.run(story())
    assert done == ["end"]

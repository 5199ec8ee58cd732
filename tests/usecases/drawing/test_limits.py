"""What is not drawn for a caller: limits, a licence, an engine that loads or is full."""

import asyncio
import threading
from dataclasses import replace

import pytest

from limner.domain.licences import RAIL_M
from limner.engine.batching.fake import FAKE_MODEL, FakeEngine
from limner.errors import (
    IdempotencyMismatch,
    InsufficientCredits,
    LicenceNotAccepted,
    LimitExceeded,
    ModelLoading,
    NotFinite,
    QueueFull,
    WaitedTooLong,
)
from limner.settings import Settings
from limner.store import keys
from limner.store.db import Database
from limner.usecases.drawing import sources
from limner.usecases.drawing.generate import Generate
from limner.usecases.drawing.worker import Worker
from tests.store.databases import customer
from tests.usecases.services import all_jobs, balance, order, started
from tests.waiting import HeldEngine, until

# Euler, 2 steps, guidance 2: two evaluations of two branches over one tile.
PRICE = 4


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_waiting_has_a_limit(database, tmp_path):
    key = customer(database, 100_000)

    async def story():
        engine = HeldEngine()
        async with started(database, tmp_path, engine=engine, wait_max_s=0.2) as generate:
            with pytest.raises(WaitedTooLong, match=r"0\.2 s"):
                await generate.run(key, order())
            engine.release()
            await until(lambda: not engine.status().running)

    asyncio.run(story())
    assert balance(database, key).available_micro == 100_000


@pytest.mark.parametrize("limit", ["requests_per_minute", "concurrency"])
def test_a_key_has_one_limit_at_two_processes_together(database, url, tmp_path, limit):
    most, asked = 3, 10
    key = customer(database, **{limit: most})
    other = Database.open(url, pool_size=16)

    async def story():
        engines = HeldEngine(), HeldEngine()
        async with (
            started(database, tmp_path, engine=engines[0]) as one,
            started(other, tmp_path, engine=engines[1]) as two,
        ):
            calls = [
                asyncio.create_task(each.run(key, order(seed=seed)))
                for seed in range(asked // 2)
                for each in (one, two)
            ]
            await until(lambda: sum(call.done() for call in calls) == asked - most)
            for engine in engines:
                engine.release()
            return await asyncio.gather(*calls, return_exceptions=True)

    ended = asyncio.run(story())
    other.close()
    refused = [each for each in ended if isinstance(each, LimitExceeded)]
    assert len(refused) == asked - most
    assert len([each for each in ended if not isinstance(each, Exception)]) == most


def test_rate_limit(database, tmp_path):
    key = customer(database, requests_per_minute=2)

    async def story():
        async with started(database, tmp_path) as generate:
            for _ in range(2):
                await generate.run(key, order(key=None))
            with pytest.raises(LimitExceeded, match="2 requests a minute") as caught:
                await generate.run(key, order())
            assert 50 <= caught.value.retry_after_s <= 61

    asyncio.run(story())


async def all_but_two_refused(generate, engine, key):
    """Six calls at once on a held engine, released once four have been answered."""
    calls = [asyncio.create_task(generate.run(key, order())) for _ in range(6)]
    await until(lambda: sum(call.done() for call in calls) == 4)
    engine.release()
    return await asyncio.gather(*calls, return_exceptions=True)


def test_concurrency_limit(database, tmp_path):
    key = customer(database, concurrency=2)

    async def story():
        engine = HeldEngine()
        async with started(database, tmp_path, engine=engine) as generate:
            done = await all_but_two_refused(generate, engine, key)
            refused = [one for one in done if isinstance(one, LimitExceeded)]
            assert len(refused) == 4
            assert "2 requests running" in str(refused[0])

    asyncio.run(story())


def test_spending_cap(database, tmp_path):
    key = customer(database, 1000, spend_cap_micro=2 * PRICE)

    async def story():
        async with started(database, tmp_path) as generate:
            with pytest.raises(NotFinite):  # not billed, so not counted
                await generate.run(key, order("!black"))
            for _ in range(2):
                await generate.run(key, order())
            with pytest.raises(InsufficientCredits, match=r"^Insufficient credits: this key"):
                await generate.run(key, order())

    asyncio.run(story())
    assert balance(database, key).available_micro == 1000 - 2 * PRICE


def test_a_licence_has_to_be_accepted(database, tmp_path):
    key = customer(database)
    model = replace(FAKE_MODEL, licence=RAIL_M.id, licence_needs_acceptance=True)

    async def story():
        async with started(database, tmp_path, engine=FakeEngine(model=model)) as generate:
            with pytest.raises(LicenceNotAccepted, match="/license"):
                await generate.run(key, order())
            with database.begin() as conn:
                keys.accept_licence(conn, key.id, RAIL_M.id, "an older version")
            with pytest.raises(LicenceNotAccepted):
                await generate.run(key, order())
            with database.begin() as conn:
                keys.accept_licence(conn, key.id, RAIL_M.id, RAIL_M.version)
            await generate.run(key, order())

    asyncio.run(story())


def waiting_for(engine, database, tmp_path):
    """A ``Generate`` of an engine that may still load."""
    settings = Settings(data_dir=tmp_path)
    return Generate(Worker(settings, database, engine, sources.open_sources(settings, database)))


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_loading_model_takes_nothing(database, tmp_path):
    key, gate = customer(database, 100), threading.Event()

    async def story():
        engine = FakeEngine(hold=gate)
        generate = waiting_for(engine, database, tmp_path)
        await generate.start()
        with pytest.raises(ModelLoading):
            await generate.run(key, order())
        gate.set()
        await asyncio.to_thread(engine.wait_ready)
        await generate.run(key, order())
        await generate.close()
        engine.close()

    asyncio.run(story())
    assert all_jobs(database, "FAILED") == 0


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_while_a_model_loads_what_was_drawn_is_found_and_money_comes_first(database, tmp_path):
    key, poor, gate = customer(database, 100), customer(database, 1), threading.Event()

    async def story():
        async with started(database, tmp_path) as generate:
            first = await generate.run(key, order(key="k"))
        engine = FakeEngine(hold=gate)
        generate = waiting_for(engine, database, tmp_path)
        await generate.start()
        again = await generate.run(key, order(key="k"))
        assert (again.request_id, again.replayed) == (first.request_id, True)
        with pytest.raises(IdempotencyMismatch):
            await generate.run(key, order("another", key="k"))
        with pytest.raises(InsufficientCredits):
            await generate.run(poor, order())
        gate.set()
        await generate.close()
        engine.close()

    asyncio.run(story())


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_full_engine_gives_the_hold_back(database, tmp_path):
    key = customer(database, 1000)

    async def story():
        engine = HeldEngine(max_queue=2)
        async with started(database, tmp_path, engine=engine) as generate:
            done = await all_but_two_refused(generate, engine, key)
            assert len([one for one in done if isinstance(one, QueueFull)]) == 4

    asyncio.run(story())

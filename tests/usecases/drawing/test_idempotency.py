"""One idempotency key is one picture, whoever asks, wherever and how often."""

import asyncio

import numpy as np
import pytest

from limner.domain.params import Source
from limner.errors import (
    IdempotencyMismatch,
    InvalidInput,
    NotFinite,
)
from limner.store import jobs
from limner.usecases.drawing import sources
from limner.usecases.pictures.gallery import Gallery
from tests.store.databases import customer
from tests.usecases.services import all_jobs, balance, order, started
from tests.waiting import LONG_S, HeldEngine, until

# Euler, 2 steps, guidance 2: two evaluations of two branches over one tile.
PRICE = 4


def test_with_an_idempotency_key_the_work_goes_on_without_its_client(database, tmp_path):
    key = customer(database, 100_000)

    async def story():
        engine, told = HeldEngine(), []
        async with started(database, tmp_path, engine=engine) as generate:
            task = asyncio.create_task(generate.run(key, order(steps=20, key="k")))
            await until(lambda: engine.status().running)
            task.cancel()
            follows = order(steps=20, key="k", on_event=told.append)
            joining = asyncio.create_task(generate.run(key, follows))
            await until(lambda: engine.watched)  # the second caller has joined
            engine.release()
            joined = await joining
            again = await generate.run(key, order(steps=20, key="k"))
            assert joined.replayed
            assert again.replayed
            assert joined.pictures == again.pictures

    asyncio.run(story())
    assert all_jobs(database, "COMPLETED") == 1
    assert balance(database, key).available_micro == 100_000 - 40


def test_a_storm_with_one_idempotency_key_is_one_picture(database, tmp_path):
    key = customer(database, 100)

    async def story():
        async with started(database, tmp_path) as generate:
            outcomes = await asyncio.gather(
                *(generate.run(key, order(key="storm")) for _ in range(30))
            )
            assert (
                len({tuple((p.id, p.png) for p in outcome.pictures) for outcome in outcomes}) == 1
            )
            assert [outcome.replayed for outcome in outcomes].count(False) == 1

    asyncio.run(story())
    assert balance(database, key).available_micro == 100 - PRICE


def test_two_processes_share_idempotency(database, tmp_path):
    """Two servers on one database: the second finds what the first is drawing."""
    key = customer(database, 100)

    async def story():
        held = HeldEngine()
        async with (
            started(database, tmp_path, engine=held) as one,
            started(database, tmp_path) as two,
        ):
            first = asyncio.create_task(one.run(key, order(key="k", samples=2)))
            await until(lambda: held.status().running)
            second = await released_while_waiting(held, two, key, order(key="k", samples=2))
            assert second.replayed
            assert second.pictures == (await first).pictures

    asyncio.run(story())
    assert balance(database, key).available_micro == 100 - 2 * PRICE


async def released_while_waiting(held, other, key, wanted):
    """What another process finds of a request whose engine is held until it waits for it."""
    asked, look = asyncio.Event(), other.worker.look

    async def looking(*arguments):
        asked.set()
        return await look(*arguments)

    other.worker.look = looking
    finding = asyncio.create_task(other.run(key, wanted))
    await asyncio.wait_for(asked.wait(), LONG_S)
    held.release()
    return await finding


def test_processes_with_folders_of_their_own_find_each_others_files(database, tmp_path):
    key, name = customer(database), "0" * 64
    pixels = {name: np.zeros((64, 64, 3), np.uint8)}
    wanted = order(key="k", source=Source(sha256=name, strength=1.0), pixels=pixels)

    async def story():
        async with (
            started(database, tmp_path / "one") as one,
            started(database, tmp_path / "two") as two,
        ):
            drawn = await one.run(key, wanted)
            again = await two.run(key, wanted)
            assert again.replayed
            assert again.pictures == drawn.pictures
            await Gallery(two.worker).delete_all(key)
            assert [path for path in tmp_path.rglob("*.*") if path.is_file()] == database_files

    database_files = [path for path in tmp_path.rglob("*.*") if path.is_file()]
    asyncio.run(story())


def test_waiting_for_another_process_writes_its_sources_once(database, tmp_path, monkeypatch):
    key, name = customer(database), "0" * 64
    pixels = {name: np.zeros((64, 64, 3), np.uint8)}
    wanted = order(key="k", source=Source(sha256=name, strength=1.0), pixels=pixels)

    async def story():
        held = HeldEngine()
        async with (
            started(database, tmp_path, engine=held) as one,
            started(database, tmp_path) as two,
        ):
            first = asyncio.create_task(one.run(key, wanted))
            await until(lambda: held.status().running)
            packed = []
            monkeypatch.setattr(sources, "pack", lambda some: packed.append(some) or b"")
            assert (await released_while_waiting(held, two, key, wanted)).replayed
            assert len(packed) <= 2  # to ask, and to ask again once the first is done
            await first

    asyncio.run(story())


def test_the_same_key_with_another_body_is_refused(database, tmp_path):
    key, other = customer(database), customer(database)

    async def story():
        async with started(database, tmp_path) as generate:
            await generate.run(key, order(key="k"))
            with pytest.raises(IdempotencyMismatch):
                await generate.run(key, order("another", key="k"))
            # The key's scope is the API key.
            assert not (await generate.run(other, order("another", key="k"))).replayed

    asyncio.run(story())


def test_after_its_time_an_idempotency_key_is_new(database, tmp_path):
    key = customer(database)

    async def story():
        async with started(database, tmp_path) as generate:
            first = await generate.run(key, order(key="k"))
            with database.begin() as conn:
                requests = jobs.requests
                conn.execute(requests.update().values(created_at=requests.c.created_at - 86_401))
            second = await generate.run(key, order("another", key="k"))
            assert not second.replayed
            assert second.request_id != first.request_id

    asyncio.run(story())


def test_a_failure_does_not_use_up_the_idempotency_key(database, tmp_path):
    key = customer(database, 100)

    async def story():
        async with started(database, tmp_path) as generate:
            for _ in range(2):
                with pytest.raises(NotFinite):
                    await generate.run(key, order("!black", key="k"))
            assert not (await generate.run(key, order("fine", key="k"))).replayed

    asyncio.run(story())


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("bad", ["", "x" * 256, "tab\t", "nul\0", "é"])
def test_bad_idempotency_keys_are_named(database, tmp_path, bad):
    key = customer(database)

    async def story():
        async with started(database, tmp_path) as generate:
            with pytest.raises(InvalidInput, match="Idempotency-Key"):
                await generate.run(key, order(key=bad))

    asyncio.run(story())

"""Drawing for a caller who waits: stored, billed once, or not at all."""

import asyncio
import hashlib

import numpy as np
import pytest

from limner import imaging
from limner.domain.params import Source
from limner.engine.batching.fake import FakeEngine, fake_pixels
from limner.engine.batching.ticket import Drawn, Failed, Progress, Started
from limner.errors import (
    EngineFault,
    InsufficientCredits,
    InvalidInput,
    NotFinite,
)
from limner.imaging.budget import Budget
from limner.store import images, jobs
from limner.usecases.drawing import sources
from tests.store.databases import customer
from tests.usecases.services import all_jobs, balance, generation, order, started
from tests.waiting import LONG_S, HeldEngine, until

pytestmark = pytest.mark.rarely_postgresql

# Euler, 2 steps, guidance 2: two evaluations of two branches over one tile.
PRICE = 4


def find(database, request_id):
    with database.read() as conn:
        return jobs.find(conn, request_id)


def test_a_picture_is_drawn_stored_and_billed(database, tmp_path):
    key = customer(database, 100)

    async def story():
        async with started(database, tmp_path) as generate:
            outcome = await generate.run(key, order(samples=3, seed=7))
            assert (
                outcome.cost_micro
                == 3 * PRICE
                == (await generate.quote(generation(samples=3))).total_micro
            )
            assert outcome.remaining_micro == 100 - 3 * PRICE
            assert not outcome.replayed
            assert outcome.infer_seconds > 0
            return outcome

    outcome = asyncio.run(story())
    assert [picture.index for picture in outcome.pictures] == [0, 1, 2]
    assert [picture.seed for picture in outcome.pictures] == [7, 8, 9]
    with database.read() as conn:
        rows = images.of_request(conn, outcome.request_id)
    for picture, row in zip(outcome.pictures, rows, strict=True):
        pixels = imaging.read_image(picture.png)
        assert np.array_equal(pixels, fake_pixels("a knight", picture.seed, 64, 64))
        assert row.rgb_sha256 == hashlib.sha256(pixels.tobytes()).hexdigest()
        assert (tmp_path / "pictures" / row.file).read_bytes() == picture.png
        assert imaging.read_metadata(picture.png).receipt == picture.receipt == row.receipt
        assert row.seed == picture.seed
        assert row.bytes == len(picture.png)
    job = find(database, outcome.request_id)
    assert (job.status, job.cost_micro, job.tries, job.asynchronous) == ("COMPLETED", 12, 1, False)


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_the_largest_seed_is_kept_exactly(database, tmp_path):
    key = customer(database)

    async def story():
        async with started(database, tmp_path) as generate:
            outcome = await generate.run(key, order(seed=2**64 - 1, samples=2))
            job = find(database, outcome.request_id)
            again = await generate.worker.load(job, replayed=True)
            assert [p.seed for p in again.pictures] == [2**64 - 1, 0]

    asyncio.run(story())


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_events_reach_the_caller_in_order(database, tmp_path):
    key, events = customer(database), []

    async def story():
        async with started(database, tmp_path) as generate:
            await generate.run(key, order(on_event=events.append))

    asyncio.run(story())
    assert [type(event) for event in events] == [Started, Progress, Progress, Drawn]


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_prompt_adjustments_are_told_and_kept(database, tmp_path):
    key = customer(database)

    async def story():
        async with started(database, tmp_path) as generate:
            outcome = await generate.run(key, order("a knight <nonsense:1>"))
            assert any("nonsense" in told for told in outcome.adjustments)
            assert find(database, outcome.request_id).adjustments == outcome.adjustments

    asyncio.run(story())


@pytest.mark.parametrize(("prompt", "error"), [("a !fault", EngineFault), ("a !black", NotFinite)])
def test_what_is_not_drawn_is_not_billed(database, tmp_path, prompt, error):
    key = customer(database, 100)

    async def story():
        async with started(database, tmp_path) as generate:
            with pytest.raises(error):
                await generate.run(key, order(prompt, samples=2, steps=5))

    asyncio.run(story())
    assert balance(database, key).available_micro == 100
    assert all_jobs(database, "FAILED") == 1


class HalfEngine(FakeEngine):
    """Fails the odd images of every request."""

    def submit(self, ticket, sink):
        def half(event):
            odd = isinstance(event, Drawn) and event.index % 2
            sink(Failed(event.index, EngineFault("half")) if odd else event)

        super().submit(ticket, half)


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_when_some_pictures_come_only_these_are_billed(database, tmp_path):
    key = customer(database, 100)

    async def story():
        async with started(database, tmp_path, engine=HalfEngine()) as generate:
            outcome = await generate.run(key, order(samples=3))
            assert [picture.index for picture in outcome.pictures] == [0, 2]
            assert outcome.cost_micro == 2 * PRICE
            assert "2 of 3 pictures" in outcome.adjustments[-1]
            job = find(database, outcome.request_id)
            assert (
                await generate.worker.load(job, replayed=True)
            ).adjustments == outcome.adjustments

    asyncio.run(story())
    assert balance(database, key).available_micro == 100 - 2 * PRICE


def test_too_little_credit_leaves_nothing_behind(database, tmp_path):
    key = customer(database, PRICE - 1)
    source = np.zeros((64, 64, 3), np.uint8)

    async def story():
        async with started(database, tmp_path) as generate:
            with pytest.raises(
                InsufficientCredits, match=r"^Insufficient credits: .*0\.000003.*0\.000004"
            ):
                await generate.run(key, order(pixels={"0" * 64: source}))

    asyncio.run(story())
    assert all_jobs(database, "FAILED") == 0
    assert [path for path in (tmp_path / "pictures").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_strength_that_leaves_no_step_is_refused(database, tmp_path):
    key = customer(database)
    source = Source(sha256="0" * 64, strength=0.1)

    async def story():
        async with started(database, tmp_path) as generate:
            with pytest.raises(InvalidInput, match="strength"):
                await generate.run(key, order(source=source))

    asyncio.run(story())


def test_source_pixels_are_kept_with_the_request(database, tmp_path):
    key = customer(database)
    picture = np.arange(64 * 64 * 3, dtype=np.uint8).reshape(64, 64, 3)
    mask = np.full((64, 64), 255, np.uint8)
    names = [hashlib.sha256(array.tobytes()).hexdigest() for array in (picture, mask)]
    source = Source(sha256=names[0], mask_sha256=names[1], strength=1.0)

    async def story():
        async with started(database, tmp_path) as generate:
            outcome = await generate.run(
                key, order(source=source, pixels=dict(zip(names, (picture, mask), strict=True)))
            )
            files, drawing = generate.worker.files, generation(source=source)
            with database.read() as conn:
                file = sources.reference_of(conn, outcome.request_id, drawing)
            for found in (
                sources.Sources(files, Budget(0)).read(file, names),
                sources.of_account(database, files, key.account_id, drawing),
            ):
                assert np.array_equal(found[names[0]], picture)
                assert np.array_equal(found[names[1]], mask)

    asyncio.run(story())


def test_a_client_who_leaves_stops_the_work(database, tmp_path):
    key = customer(database, 100_000)

    async def story():
        engine = HeldEngine()
        async with started(database, tmp_path, engine=engine) as generate:
            task = asyncio.create_task(generate.run(key, order()))
            await until(lambda: engine.status().running)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await until(lambda: all_jobs(database, "CANCELLED") == 1)
            engine.release()
            await until(lambda: not engine.status().running)

    asyncio.run(story())
    assert balance(database, key).available_micro == 100_000


def test_a_client_who_leaves_at_once_leaves_no_hold(database, tmp_path):
    key = customer(database, 100_000)

    async def story():
        async with started(database, tmp_path, engine=HeldEngine()) as generate:
            for pause in (0, 0.001, 0.003, 0.01, 0.02):
                task = asyncio.create_task(generate.run(key, order()))
                await asyncio.sleep(pause)
                task.cancel()
            await until(lambda: not generate._tasks)

    asyncio.run(story())
    assert balance(database, key).available_micro == 100_000


def test_closing_gives_everything_back(database, tmp_path):
    key = customer(database, 100_000)

    async def story():
        engine = HeldEngine()
        async with started(database, tmp_path, engine=engine, closes=False) as generate:
            tasks = [asyncio.create_task(generate.run(key, order())) for _ in range(3)]
            await until(lambda: engine.status().running + engine.status().waiting == 3)
            await generate.close()
            for task in tasks:
                with pytest.raises(Exception, match="server is stopping"):
                    await task

    asyncio.run(story())
    assert balance(database, key).available_micro == 100_000


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_draining_lets_running_pictures_finish(database, tmp_path):
    key = customer(database, 100)

    async def story():
        engine = HeldEngine()
        async with started(database, tmp_path, engine=engine, closes=False) as generate:
            task = asyncio.create_task(generate.run(key, order(steps=10)))
            await until(lambda: engine.status().running)
            closing = asyncio.create_task(generate.close(drain_s=LONG_S))
            await asyncio.sleep(0)  # it drains
            engine.release()
            await closing
            assert (await task).cost_micro == 20

    asyncio.run(story())

"""Drawing for a caller who waits: stored, billed once, or not at all."""

import asyncio
import hashlib
import threading
from dataclasses import replace

import numpy as np
import pytest

from limner import imaging
from limner.domain.licences import RAIL_M
from limner.domain.params import Source
from limner.engine.batching.fake import FAKE_MODEL, FakeEngine, fake_pixels
from limner.engine.batching.ticket import Drawn, Failed, Progress, Started
from limner.errors import (
    EngineFault,
    IdempotencyMismatch,
    InsufficientCredits,
    InvalidInput,
    LicenceNotAccepted,
    LimitExceeded,
    ModelLoading,
    NotFinite,
    QueueFull,
    WaitedTooLong,
)
from limner.imaging.budget import Budget
from limner.settings import Settings
from limner.store import images, jobs, keys
from limner.usecases.drawing import sources
from limner.usecases.drawing.generate import Generate
from limner.usecases.drawing.worker import Worker
from limner.usecases.pictures.gallery import Gallery
from tests.store.databases import customer
from tests.usecases.house import balance, generation, house, order
from tests.waiting import LONG_S, HeldEngine, until

# Euler, 2 steps, guidance 2: two evaluations of two branches over one tile.
PRICE = 4


def all_jobs(database, status):
    with database.read() as conn:
        return jobs.count(conn, status)


def find(database, request_id):
    with database.read() as conn:
        return jobs.find(conn, request_id)


def test_a_picture_is_drawn_stored_and_billed(database, tmp_path):
    key = customer(database, 100)

    async def story():
        async with house(database, tmp_path) as generate:
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
        async with house(database, tmp_path) as generate:
            outcome = await generate.run(key, order(seed=2**64 - 1, samples=2))
            job = find(database, outcome.request_id)
            again = await generate.worker.load(job, replayed=True)
            assert [p.seed for p in again.pictures] == [2**64 - 1, 0]

    asyncio.run(story())


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_events_reach_the_caller_in_order(database, tmp_path):
    key, events = customer(database), []

    async def story():
        async with house(database, tmp_path) as generate:
            await generate.run(key, order(on_event=events.append))

    asyncio.run(story())
    assert [type(event) for event in events] == [Started, Progress, Progress, Drawn]


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_prompt_adjustments_are_told_and_kept(database, tmp_path):
    key = customer(database)

    async def story():
        async with house(database, tmp_path) as generate:
            outcome = await generate.run(key, order("a knight <nonsense:1>"))
            assert any("nonsense" in told for told in outcome.adjustments)
            assert find(database, outcome.request_id).adjustments == outcome.adjustments

    asyncio.run(story())


@pytest.mark.parametrize(("prompt", "error"), [("a !fault", EngineFault), ("a !black", NotFinite)])
def test_what_is_not_drawn_is_not_billed(database, tmp_path, prompt, error):
    key = customer(database, 100)

    async def story():
        async with house(database, tmp_path) as generate:
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
        async with house(database, tmp_path, engine=HalfEngine()) as generate:
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
        async with house(database, tmp_path) as generate:
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
        async with house(database, tmp_path) as generate:
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
        async with house(database, tmp_path) as generate:
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
        async with house(database, tmp_path, engine=engine) as generate:
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
        async with house(database, tmp_path, engine=HeldEngine()) as generate:
            for pause in (0, 0.001, 0.003, 0.01, 0.02):
                task = asyncio.create_task(generate.run(key, order()))
                await asyncio.sleep(pause)
                task.cancel()
            await until(lambda: not generate._tasks)

    asyncio.run(story())
    assert balance(database, key).available_micro == 100_000


def test_with_an_idempotency_key_the_work_goes_on_without_its_client(database, tmp_path):
    key = customer(database, 100_000)

    async def story():
        engine, told = HeldEngine(), []
        async with house(database, tmp_path, engine=engine) as generate:
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
        async with house(database, tmp_path) as generate:
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
    """Two houses on one database: the second finds what the first is drawing."""
    key = customer(database, 100)

    async def story():
        held = HeldEngine()
        async with (
            house(database, tmp_path, engine=held) as one,
            house(database, tmp_path) as two,
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
            house(database, tmp_path / "one") as one,
            house(database, tmp_path / "two") as two,
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
            house(database, tmp_path, engine=held) as one,
            house(database, tmp_path) as two,
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
        async with house(database, tmp_path) as generate:
            await generate.run(key, order(key="k"))
            with pytest.raises(IdempotencyMismatch):
                await generate.run(key, order("another", key="k"))
            # The key's scope is the API key.
            assert not (await generate.run(other, order("another", key="k"))).replayed

    asyncio.run(story())


def test_after_its_time_an_idempotency_key_is_new(database, tmp_path):
    key = customer(database)

    async def story():
        async with house(database, tmp_path) as generate:
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
        async with house(database, tmp_path) as generate:
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
        async with house(database, tmp_path) as generate:
            with pytest.raises(InvalidInput, match="Idempotency-Key"):
                await generate.run(key, order(key=bad))

    asyncio.run(story())


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_waiting_has_a_limit(database, tmp_path):
    key = customer(database, 100_000)

    async def story():
        engine = HeldEngine()
        async with house(database, tmp_path, engine=engine, wait_max_s=0.2) as generate:
            with pytest.raises(WaitedTooLong, match=r"0\.2 s"):
                await generate.run(key, order())
            engine.release()
            await until(lambda: not engine.status().running)

    asyncio.run(story())
    assert balance(database, key).available_micro == 100_000


def test_rate_limit(database, tmp_path):
    key = customer(database, requests_per_minute=2)

    async def story():
        async with house(database, tmp_path) as generate:
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
        async with house(database, tmp_path, engine=engine) as generate:
            done = await all_but_two_refused(generate, engine, key)
            refused = [one for one in done if isinstance(one, LimitExceeded)]
            assert len(refused) == 4
            assert "2 requests running" in str(refused[0])

    asyncio.run(story())


def test_spending_cap(database, tmp_path):
    key = customer(database, 1000, spend_cap_micro=2 * PRICE)

    async def story():
        async with house(database, tmp_path) as generate:
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
        async with house(database, tmp_path, engine=FakeEngine(model=model)) as generate:
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
        async with house(database, tmp_path) as generate:
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
        async with house(database, tmp_path, engine=engine) as generate:
            done = await all_but_two_refused(generate, engine, key)
            assert len([one for one in done if isinstance(one, QueueFull)]) == 4

    asyncio.run(story())


def test_closing_gives_everything_back(database, tmp_path):
    key = customer(database, 100_000)

    async def story():
        engine = HeldEngine()
        async with house(database, tmp_path, engine=engine, closes=False) as generate:
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
        async with house(database, tmp_path, engine=engine, closes=False) as generate:
            task = asyncio.create_task(generate.run(key, order(steps=10)))
            await until(lambda: engine.status().running)
            closing = asyncio.create_task(generate.close(drain_s=LONG_S))
            await asyncio.sleep(0)  # it drains
            engine.release()
            await closing
            assert (await task).cost_micro == 20

    asyncio.run(story())

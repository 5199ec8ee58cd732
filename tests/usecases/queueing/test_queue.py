"""The durable queue: accepted once, drawn by whoever has room, cancelled in every state."""

import asyncio
import hashlib

import numpy as np
import pytest

from limner import imaging
from limner.domain.params import Source
from limner.engine.batching.fake import FakeEngine, fake_pixels
from limner.errors import (
    Gone,
    IdempotencyMismatch,
    InsufficientCredits,
    NotFound,
)
from limner.store import images, jobs, leases
from limner.store.schema import requests
from limner.store.sql import now
from limner.usecases.drawing import settlement
from limner.usecases.queueing import following, position
from tests.store.databases import customer
from tests.usecases.services import balance, finished, order, queue_emptied, queue_of
from tests.waiting import LONG_S, HeldEngine, until

PRICE = 4


def test_accepted_then_drawn_then_fetched(database, tmp_path):
    key = customer(database, 100)

    async def story():
        async with queue_of(database, tmp_path) as queue:
            accepted = await queue.submit(key, order(samples=2))
            assert accepted.job.asynchronous
            assert accepted.remaining_micro == 100 - 2 * PRICE
            done = await finished(queue, key, accepted.job.id)
            assert done.job.status == "COMPLETED"
            assert (done.job.tries, done.job.cost_micro) == (1, 2 * PRICE)
            assert 0 <= done.queue_s <= done.total_s
            assert done.position is None
            outcome = await queue.result(key, accepted.job.id)
            assert [picture.id for picture in outcome.pictures] == [p.id for p in done.pictures]
            pixels = imaging.read_image(outcome.pictures[1].png)
            assert np.array_equal(pixels, fake_pixels("a knight", 2, 64, 64))

    asyncio.run(story())


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_synchronous_call_can_be_fetched_later(database, tmp_path):
    key = customer(database)

    async def story():
        async with queue_of(database, tmp_path) as queue:
            outcome = await queue._generate.run(key, order())
            assert (await queue.result(key, outcome.request_id)).pictures == outcome.pictures

    asyncio.run(story())


def test_others_cannot_see_a_request(database, tmp_path):
    key, other = customer(database), customer(database)

    async def story():
        async with queue_of(database, tmp_path, works=False) as queue:
            accepted = await queue.submit(key, order())
            for look in (queue.status, queue.result, queue.cancel):
                with pytest.raises(NotFound, match=f"Request {accepted.job.id} not found"):
                    await look(other, accepted.job.id)
            await queue.cancel(key, accepted.job.id)

    asyncio.run(story())


def test_many_in_one_submission_or_none(database, tmp_path):
    key = customer(database, 3 * PRICE)

    async def story():
        async with queue_of(database, tmp_path) as queue:
            with pytest.raises(InsufficientCredits):
                await queue.submit_all(key, [order(f"picture {i}") for i in range(4)])
            assert balance(database, key).available_micro == 3 * PRICE
            accepted = await queue.submit_all(key, [order(f"picture {i}") for i in range(3)])
            for status in accepted:
                await finished(queue, key, status.job.id)

    asyncio.run(story())
    assert balance(database, key).available_micro == 0


def test_idempotency(database, tmp_path):
    key = customer(database, 100)

    async def story():
        async with queue_of(database, tmp_path) as queue:
            first = await queue.submit(key, order(key="k"))
            again = await asyncio.gather(*(queue.submit(key, order(key="k")) for _ in range(8)))
            assert {status.job.id for status in again} == {first.job.id}
            with pytest.raises(IdempotencyMismatch):
                await queue.submit(key, order("another", key="k"))
            await finished(queue, key, first.job.id)
            waited = await queue._generate.run(key, order(key="k"))
            assert waited.replayed
            assert waited.request_id == first.job.id

    asyncio.run(story())
    assert balance(database, key).available_micro == 100 - PRICE


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_what_is_drawn_at_once_was_queued_when_it_was_accepted(database, tmp_path, monkeypatch):
    key = customer(database, 100)

    async def story():
        async with queue_of(database, tmp_path) as queue:
            accept = queue._generate.accept

            async def drawn_before_it_is_told(*args):
                [(job, new)] = await accept(*args)
                queue._wake.set()
                await finished(queue, key, job.id)
                return [(job, new)]

            monkeypatch.setattr(queue._generate, "accept", drawn_before_it_is_told)
            told = await queue.submit(key, order(key="k"))
            assert (told.job.status, told.pictures) == ("QUEUED", ())
            again = await queue.submit(key, order(key="k"))
            assert (again.job.status, len(again.pictures)) == ("COMPLETED", 1)

    asyncio.run(story())


def test_source_pixels_wait_with_their_request(database, tmp_path):
    key = customer(database)
    picture = np.full((64, 64, 3), 9, np.uint8)
    name = hashlib.sha256(picture.tobytes()).hexdigest()
    seen = []

    async def story():
        async with queue_of(database, tmp_path, works=False, empty=False) as queue:
            source = Source(sha256=name, strength=1.0)
            accepted = await queue.submit(key, order(source=source, pixels={name: picture}))
        async with queue_of(database, tmp_path, works=False) as queue:
            runner = queue.worker.engine.fake
            plan = runner.plan
            runner.plan = lambda request: seen.append(request.pixels[name]) or plan(request)
            await queue.start()
            await finished(queue, key, accepted.job.id)

    # Between the two the hold is open, and belongs to the queue.
    asyncio.run(story())
    assert np.array_equal(seen[0], picture)


def test_position_and_estimate(database, tmp_path):
    busy, modest = customer(database), customer(database)

    async def story():
        async with queue_of(database, tmp_path, works=False) as queue:
            mine = [await queue.submit(busy, order(f"picture {i}")) for i in range(5)]
            theirs = await queue.submit(modest, order())
            again = [await queue.status(busy, status.job.id) for status in mine]
            assert [status.position for status in again] == [1, 3, 4, 5, 6]
            assert theirs.position == 2
            assert theirs.estimate_s is None  # nothing has been measured yet
            await queue.start()
            for status in (*mine, theirs):
                done = await finished(queue, busy if status in mine else modest, status.job.id)
                assert done.job.status == "COMPLETED"
            late = await queue.submit(busy, order())
            assert late.estimate_s is None or late.estimate_s > 0
            await finished(queue, busy, late.job.id)

    asyncio.run(story())


def test_an_estimate_counts_the_time_of_drawing_alone(database, tmp_path):
    """Two requests took 10 s and 2 s, with minutes of rest between: the next takes 6 s."""
    key = customer(database)

    async def story():
        async with queue_of(database, tmp_path) as queue:
            drawn = [(await queue.submit(key, order(seed=n))).job.id for n in range(2)]
            for request_id in drawn:
                await finished(queue, key, request_id)
        with database.begin() as conn:
            moment = now(conn)
            for request_id, start, end in zip(drawn, (-400, -12), (-390, -10), strict=True):
                times = {"started_at": moment + start, "finished_at": moment + end}
                conn.execute(requests.update().where(requests.c.id == request_id).values(times))
        async with queue_of(database, tmp_path, works=False, empty=False) as queue:
            return await queue.submit(key, order(seed=3))

    assert asyncio.run(story()).estimate_s == pytest.approx(6)


def test_time_that_requests_share_counts_once():
    assert position.speed([(6, 0, 4), (2, 1, 2), (4, 3, 6)]) == 2
    assert position.speed([(6, 5, 4)]) is None
    assert position.speed([]) is None


@pytest.mark.parametrize("prompt", ["!fault", "!black"])
def test_a_request_that_cannot_be_drawn_fails_and_is_released(database, tmp_path, prompt):
    key = customer(database, 1000)

    async def story():
        async with queue_of(database, tmp_path) as queue:
            accepted = await queue.submit(key, order(prompt, steps=5))
            done = await finished(queue, key, accepted.job.id)
            assert done.job.status == "FAILED"
            # What is not finite would be so again; any other fault gets three tries.
            assert done.job.tries == (1 if prompt == "!black" else 3)
            assert done.job.error
            with pytest.raises(NotFound, match="FAILED"):
                await queue.result(key, accepted.job.id)

    asyncio.run(story())
    assert balance(database, key).available_micro == 1000


def test_cancel_in_every_state(database, tmp_path):
    key = customer(database, 100_000)

    async def story():
        engine = HeldEngine()
        async with queue_of(database, tmp_path, engine=engine, works=False) as queue:
            queued = await queue.submit(key, order())
            assert (await queue.cancel(key, queued.job.id)).job.status == "CANCELLED"
            assert (await queue.cancel(key, queued.job.id)).job.status == "CANCELLED"
            await queue.start()
            running = await queue.submit(key, order())
            await until(lambda: engine.status().running)
            assert (await queue.cancel(key, running.job.id)).job.status == "CANCELLED"
            engine.release()
            await until(lambda: not engine.status().running)
            assert balance(database, key).available_micro == 100_000
            done = await queue.submit(key, order())
            await finished(queue, key, done.job.id)
            assert (await queue.cancel(key, done.job.id)).job.status == "COMPLETED"
            failed = await queue.submit(key, order("!black"))
            await finished(queue, key, failed.job.id)
            assert (await queue.cancel(key, failed.job.id)).job.status == "FAILED"

    asyncio.run(story())


def test_another_process_can_cancel(database, tmp_path):
    key = customer(database, 100_000)

    async def story():
        engine = HeldEngine()
        async with (
            queue_of(database, tmp_path, engine=engine) as working,
            queue_of(database, tmp_path, works=False) as asking,
        ):
            accepted = await working.submit(key, order())
            await until(lambda: engine.status().running)
            await asking.cancel(key, accepted.job.id)
            await until(lambda: not working.worker.running)
            engine.release()
            await until(lambda: not engine.status().running)

    asyncio.run(story())


def test_two_processes_draw_each_request_once(database, tmp_path):
    key = customer(database)

    async def story():
        engines = [FakeEngine(), FakeEngine()]
        async with (
            queue_of(database, tmp_path, engine=engines[0]) as one,
            queue_of(database, tmp_path, engine=engines[1]) as two,
        ):
            accepted = [await (one, two)[i % 2].submit(key, order(f"p {i}")) for i in range(12)]
            done = [await finished(two, key, status.job.id) for status in accepted]
            assert all((s.job.status, s.job.tries) == ("COMPLETED", 1) for s in done)
            drawn = [engine.status().stats.images for engine in engines]
            assert sum(drawn) == 12

    asyncio.run(story())
    assert balance(database, key).available_micro == 1_000_000 - 12 * PRICE


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_closing_puts_work_back_without_counting_the_try(database, tmp_path):
    key = customer(database, 100_000)

    async def story():
        engine = HeldEngine()
        async with queue_of(database, tmp_path, engine=engine, empty=False) as queue:
            accepted = await queue.submit(key, order())
            await until(lambda: engine.status().running)
        with database.read() as conn:
            job = jobs.find(conn, accepted.job.id)
            assert (job.status, job.tries) == ("QUEUED", 0)
        async with queue_of(database, tmp_path) as queue:
            assert (await finished(queue, key, accepted.job.id)).job.status == "COMPLETED"

    asyncio.run(story())


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("ticks", range(5))
def test_closing_at_the_moment_of_being_woken(database, tmp_path, ticks):
    """A stop that meets a wake, some turns of the event loop after it, is not swallowed."""

    async def story():
        async with queue_of(database, tmp_path) as queue:
            await until(lambda: queue._wake._waiters)  # it waits, with nothing to draw
            queue._wake.set()
            for _ in range(ticks):
                await asyncio.sleep(0)

    asyncio.run(asyncio.wait_for(story(), LONG_S))


def test_what_comes_while_the_queue_is_looked_at_is_not_overlooked(database, tmp_path, monkeypatch):
    """The look found nothing; before it comes back, a request is stored and rings the bell."""
    key = customer(database)
    monkeypatch.setattr("limner.usecases.queueing.queue.POLL_S", 600.0)

    async def story():
        async with queue_of(database, tmp_path) as queue:
            looked, stored = asyncio.Event(), asyncio.Event()
            claim = queue._claim

            async def held_claim():
                found = await claim()
                if found is None and not looked.is_set():
                    looked.set()
                    await stored.wait()
                return found

            monkeypatch.setattr(queue, "_claim", held_claim)
            queue._wake.set()
            await asyncio.wait_for(looked.wait(), LONG_S)
            accepted = await queue.submit(key, order())
            stored.set()
            assert (await finished(queue, key, accepted.job.id)).job.status == "COMPLETED"

    asyncio.run(story())


def test_a_claim_that_meets_a_stop_is_given_back_uncounted(database, tmp_path, monkeypatch):
    key = customer(database)

    async def story():
        async with queue_of(database, tmp_path, empty=False) as queue:
            claim = queue._claim

            async def late_claim():
                found = await claim()
                queue.worker.stopping = queue.worker.stopping or found is not None
                return found

            monkeypatch.setattr(queue, "_claim", late_claim)
            accepted = await queue.submit(key, order())
            await until(lambda: queue.worker.stopping)
            with pytest.raises(settlement.Interrupted, match="stopping"):
                await queue.submit(key, order(seed=2))
        with database.read() as conn:
            job = jobs.find(conn, accepted.job.id)
            assert (job.status, job.tries, job.started_at) == ("QUEUED", 0, None)

    asyncio.run(story())


def test_a_lost_process_leaves_its_request_to_others_three_times(database, tmp_path):
    key = customer(database, 100)

    async def story():
        async with queue_of(database, tmp_path, works=False) as queue:
            accepted = await queue.submit(key, order())
            for turn in (1, 2, 3):
                with database.begin() as conn:
                    lease = leases.open(conn, ttl_s=0.0)
                    assert jobs.claim(conn, lease).id == accepted.job.id
                await asyncio.sleep(0.01)
                await asyncio.to_thread(queue.worker.lease.recover)
                job = (await queue.status(key, accepted.job.id)).job
                assert (job.status, job.tries) == ("QUEUED" if turn < 3 else "FAILED", turn)
            assert "nothing was billed" in job.error

    asyncio.run(story())
    assert balance(database, key).available_micro == 100


def test_expired_results_are_gone(database, tmp_path):
    key = customer(database)

    async def story():
        async with queue_of(database, tmp_path) as queue:
            accepted = await queue.submit(key, order())
            await finished(queue, key, accepted.job.id)
            with database.begin() as conn:
                images.remove_of_requests(conn, [accepted.job.id])
                jobs.expire(conn, [accepted.job.id])
            with pytest.raises(Gone, match=accepted.job.id):
                await queue.result(key, accepted.job.id)
            assert (await queue.status(key, accepted.job.id)).job.generation is None

    asyncio.run(story())


def test_recent_requests_are_ones_own_and_still_kept(database, tmp_path):
    key, other = customer(database), customer(database)

    async def story():
        async with queue_of(database, tmp_path, works=False, empty=False) as queue:
            first = await queue.submit(key, order("first"))
            await queue.submit(other, order("not mine"))
            second = await queue.submit(key, order("second"))
            page = await queue.recent(key)
            assert [status.job.id for status in page] == [second.job.id, first.job.id]
            assert [status.position for status in page] == [3, 1]
            earlier = await queue.recent(key, before=second.job.created_at)
            assert [status.job.id for status in earlier] == [first.job.id]
            assert len(await queue.recent(key, number=1)) == 1
            await queue.remove(key, first.job.id)
            assert len(await queue.recent(key)) == 2
            open_ones = await queue.recent(key, only="unfinished")
            assert [status.job.id for status in open_ones] == [second.job.id]
            await queue.remove(key, first.job.id)
            assert [status.job.id for status in await queue.recent(key)] == [second.job.id]
            await queue_emptied(database)

    asyncio.run(story())


def test_removing_cancels_what_is_open_and_forgets_what_is_finished(database, tmp_path):
    key, other = customer(database, 100), customer(database)

    async def story():
        async with queue_of(database, tmp_path) as queue:
            done = await queue.submit(key, order())
            await finished(queue, key, done.job.id)
            with pytest.raises(NotFound):
                await queue.remove(other, done.job.id)
            removed = await queue.remove(key, done.job.id)
            assert removed.job.status == "COMPLETED"
            assert removed.job.expired_at is not None
            assert removed.pictures == ()
            with pytest.raises(Gone):
                await queue.result(key, done.job.id)
            assert list((tmp_path / "pictures").rglob("*.png")) == []

    asyncio.run(story())
    assert balance(database, key).available_micro == 100 - PRICE


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_what_a_key_has_running_by_surface(database, tmp_path):
    key, other = customer(database), customer(database)

    async def story():
        engine = HeldEngine()
        async with queue_of(database, tmp_path, engine=engine) as queue:
            accepted = await queue.submit(key, order())
            await until(lambda: engine.status().running)
            assert await following.drawn(queue, key, "test") == [accepted.job.id]
            assert await following.drawn(queue, key, "other surface") == []
            assert await following.drawn(queue, other, "test") == []
            await queue.cancel(key, accepted.job.id)

    asyncio.run(story())

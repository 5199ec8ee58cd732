"""Several lines of one call: one request, one hold, one settlement."""

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import text

from limner.errors import (
    Aborted,
    DatabaseUnavailable,
    IdempotencyMismatch,
    InsufficientCredits,
    LimnerError,
)
from limner.store import jobs
from limner.usecases.drawing import settlement
from limner.usecases.drawing.generate import price
from tests.store.databases import customer
from tests.usecases.services import (
    balance,
    files,
    finished,
    generation,
    order,
    queue_of,
    started,
)
from tests.waiting import LONG_S, HeldEngine, until

pytestmark = pytest.mark.rarely_postgresql

# Their prices differ: the second has two prompts, the third twice the steps.
MIXED = (
    generation("one", samples=2),
    generation("two AND three", seed=7),
    generation("four", steps=4, samples=3),
)


def costs(lines):
    return [price(line)[0].each_micro for line in lines for _ in range(line.samples)]


def test_all_lines_are_one_request_with_one_hold(database, tmp_path):
    key = customer(database)

    async def story():
        async with started(database, tmp_path) as generate:
            return await generate.run(key, order(lines=MIXED))

    before = balance(database, key).available_micro
    outcome = asyncio.run(story())
    assert [p.index for p in outcome.pictures] == list(range(6))
    assert [p.seed for p in outcome.pictures] == [1, 2, 7, 1, 2, 3]
    receipts = [picture.receipt for picture in outcome.pictures]
    prompts = [receipt["parameters"]["prompt"] for receipt in receipts]
    assert prompts == ["one"] * 2 + ["two AND three"] + ["four"] * 3
    assert [r["parameters"]["seed"] for r in receipts] == [1, 2, 7, 1, 2, 3]
    assert len({receipt["rgb_sha256"] for receipt in receipts}) == 6
    assert len(set(costs(MIXED))) == 3
    assert outcome.cost_micro == sum(costs(MIXED))
    assert before - balance(database, key).available_micro == outcome.cost_micro
    with database.read() as conn:
        assert conn.execute(text("SELECT count(*) FROM holds")).scalar() == 0
        query = "SELECT count(*) FROM transfers WHERE kind = 'hold'"
        assert conn.execute(text(query)).scalar() == 1
        query = 'SELECT price_micro FROM pictures ORDER BY "index"'
        assert list(conn.execute(text(query)).scalars()) == costs(MIXED)


@pytest.mark.parametrize("broken", ["!black", "!fault"])
def test_a_line_that_fails_is_not_billed_and_stops_nobody(database, tmp_path, broken):
    key = customer(database)
    bad = generation(broken, steps=5, width=128)  # of another size: not in a step with the others
    lines = (MIXED[0], bad, MIXED[2])

    async def story():
        async with started(database, tmp_path) as generate:
            return await generate.run(key, order(lines=lines))

    before = balance(database, key).available_micro
    outcome = asyncio.run(story())
    good = costs((MIXED[0], MIXED[2]))
    assert [p.index for p in outcome.pictures] == [0, 1, 3, 4, 5]
    assert outcome.cost_micro == sum(good)
    assert before - balance(database, key).available_micro == sum(good)
    assert outcome.adjustments[-1].startswith("5 of 6 pictures could be drawn, and only these are")


def test_lines_of_which_none_comes_are_free(database, tmp_path):
    key = customer(database)

    async def story():
        async with started(database, tmp_path) as generate:
            with pytest.raises(LimnerError, match="not finite"):
                await generate.run(key, order(lines=[generation("!black")] * 2, key="k"))

    before = balance(database, key)
    asyncio.run(story())
    assert balance(database, key) == before


def test_an_engine_that_has_no_room_for_the_last_line_keeps_none(database, tmp_path):
    key, engine = customer(database), HeldEngine(max_queue=4)

    async def story():
        async with started(database, tmp_path, engine=engine) as generate:
            with pytest.raises(LimnerError, match="The queue is full"):
                await generate.run(key, order(lines=MIXED))
            engine.release()
            await until(lambda: engine.status().running == 0)

    before = balance(database, key)
    asyncio.run(story())
    assert balance(database, key) == before
    assert files(tmp_path) == []


def test_nothing_is_begun_that_cannot_be_paid_whole(database, tmp_path):
    key = customer(database, sum(costs(MIXED)) - 1)

    async def story():
        async with started(database, tmp_path) as generate:
            with pytest.raises(InsufficientCredits):
                await generate.run(key, order(lines=MIXED))
            assert generate.worker.engine.status().stats.images == 0

    asyncio.run(story())


def test_a_retry_is_the_first_answer_whatever_was_spent(database, tmp_path):
    key = customer(database, sum(costs(MIXED)))

    async def story():
        async with started(database, tmp_path) as generate:
            first = await generate.run(key, order(lines=MIXED, key="k", body="a" * 64))
            assert balance(database, key).available_micro == 0
            again = await generate.recall(key, "k", "a" * 64)
            assert again.pictures == first.pictures
            assert (again.cost_micro, again.taken_micro) == (first.cost_micro, 0)
            assert again.lines == MIXED
            assert await generate.recall(key, "other", "a" * 64) is None
            with pytest.raises(IdempotencyMismatch):
                await generate.recall(key, "k", "b" * 64)

    asyncio.run(story())
    assert balance(database, key).available_micro == 0


def test_a_retry_waits_for_what_is_being_drawn(database, tmp_path):
    key = customer(database)

    async def story():
        begun, engine = asyncio.Event(), HeldEngine()
        async with started(database, tmp_path, engine=engine) as generate:
            wanted = order(lines=MIXED, key="k", body="a" * 64, on_event=lambda _: begun.set())
            first = asyncio.create_task(generate.run(key, wanted))
            async with asyncio.timeout(LONG_S):
                await begun.wait()
                recalling = asyncio.create_task(generate.recall(key, "k", "a" * 64))
                await asyncio.sleep(0)  # it asks
                engine.release()
                again = await recalling
            assert again.replayed
            assert again.pictures == (await first).pictures

    asyncio.run(story())


def test_lines_of_the_queue_are_one_request_too(database, tmp_path):
    key = customer(database)

    async def story():
        async with queue_of(database, tmp_path) as queue:
            status = await queue.submit(key, order(lines=MIXED, key="k", body="a" * 64))
            [found, free] = await queue.recall(key, ["k", "free"], "a" * 64)
            assert (found.job.id, free) == (status.job.id, None)
            done = await finished(queue, key, status.job.id)
            assert done.job.cost_micro == sum(costs(MIXED))
            assert (done.job.drawn, len(done.pictures)) == (6, 6)
            outcome = await queue.result(key, status.job.id)
            assert outcome.lines == MIXED

    asyncio.run(story())


def test_a_cancelled_call_stops_all_its_lines(database, tmp_path):
    key = customer(database)

    async def story():
        begun, engine = asyncio.Event(), HeldEngine()
        async with queue_of(database, tmp_path, engine=engine) as queue:
            generate, names = queue._generate, []
            lines = [generation("one"), generation("two", width=128)]
            wanted = order(lines=lines, on_event=lambda _: begun.set())
            run = generate.run(key, replace(wanted, on_stored=names.append))
            waiting = asyncio.create_task(run)
            async with asyncio.timeout(LONG_S):
                await begun.wait()
                await queue.cancel(key, names[0])
                with pytest.raises(Aborted):
                    await waiting
                engine.release()
                await until(lambda: engine.status().running + engine.status().waiting == 0)

    before = balance(database, key)
    asyncio.run(story())
    assert balance(database, key) == before


def test_a_capture_whose_answer_was_lost_is_answered(database, tmp_path, monkeypatch):
    """The connection breaks after the commit, and the disk too: what was taken is answered."""
    key = customer(database)

    async def story():
        async with started(database, tmp_path) as generate:
            write = generate.worker.write

            async def lose_answer(work, *arguments):
                result = await write(work, *arguments)
                if work is settlement.complete:
                    monkeypatch.setattr(generate.worker.files, "read", broken)
                    raise DatabaseUnavailable("The database does not answer")
                return result

            def broken(_):
                raise OSError("planted: input/output error")

            monkeypatch.setattr(generate.worker, "write", lose_answer)
            return await generate.run(key, order(lines=MIXED))

    before = balance(database, key).available_micro
    outcome = asyncio.run(story())
    assert not outcome.replayed
    assert before - balance(database, key).available_micro == outcome.taken_micro
    assert len(outcome.pictures) == 6
    with database.read() as conn:
        assert jobs.find(conn, outcome.request_id).status == "COMPLETED"

"""Following a request: what is told, what is told again, what another process tells."""

import asyncio
import json

import numpy as np
import pytest
from sqlalchemy import select

from limner.errors import NotFound
from limner.store import followed
from limner.store import schema as tables
from limner.usecases.drawing.events import Note
from limner.usecases.queueing import following, telling
from limner.usecases.queueing.following import follow
from limner.usecases.queueing.telling import Telling, from_json, to_json
from tests.store.databases import customer
from tests.usecases.services import finished, order, queue_emptied, queue_of
from tests.waiting import HeldEngine, until


async def notes_of(*arguments, into=None):
    """All that is told; ``into`` this list as it comes."""
    notes = [] if into is None else into
    async for note in follow(*arguments):
        notes.append(note)
    return notes


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_from_the_queue_to_the_picture(database, tmp_path):
    key, other = customer(database), customer(database)

    async def story():
        engine, told = HeldEngine(), []
        async with queue_of(database, tmp_path, engine=engine, works=False) as queue:
            job = (await queue.submit(key, order(samples=2, steps=10))).job
            with pytest.raises(NotFound):
                await notes_of(queue, other, job.id)
            following = asyncio.create_task(notes_of(queue, key, job.id, into=told))
            await until(lambda: told)
            await queue.start()
            await until(lambda: engine.watched)
            engine.release(steps=2)  # the engine hears of the watcher between the two
            await until(lambda: any(note.preview is not None for note in told))
            engine.release()
            return await following, await notes_of(queue, key, job.id)

    notes, late = asyncio.run(story())
    names = [note.name for note in notes]
    assert names[0] == "queued"
    assert notes[0].data["position"] == 1
    assert names.count("started") == names.count("drawn") == 2
    assert names[-1] == "completed"
    assert len(notes[-1].data["pictures"]) == 2
    assert notes[-1].data["cost"] == "0.00004"
    steps = [
        note.data["step"] for note in notes if note.name == "progress" and not note.data["index"]
    ]
    assert steps == sorted(steps)
    assert any(note.preview is not None for note in notes)
    numbers = [note.number for note in notes if note.number]
    assert numbers == sorted(set(numbers))
    # Who comes late hears of each image's beginning, last progress and end, without previews.
    assert sorted(note.name for note in late[:-1]) == sorted(["started", "progress", "drawn"] * 2)
    assert late[-1] == notes[-1]
    assert all(note.preview is None for note in late)


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_after_a_lost_connection_nothing_is_told_twice(database, tmp_path):
    key = customer(database)

    async def story():
        engine = HeldEngine()
        async with queue_of(database, tmp_path, engine=engine) as queue:
            job = (await queue.submit(key, order())).job
            engine.release(steps=1)
            first = []
            async for note in follow(queue, key, job.id):
                first.append(note)
                if note.name == "progress":
                    break
            engine.release()
            rest = await notes_of(queue, key, job.id, first[-1].number)
            assert min(note.number for note in rest[:-1]) > first[-1].number
            assert [note.name for note in rest[-2:]] == ["drawn", "completed"]

    asyncio.run(story())


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_the_end_of_a_failure_and_of_a_cancellation(database, tmp_path):
    key = customer(database)

    async def story():
        async with queue_of(database, tmp_path, works=False) as queue:
            black = (await queue.submit(key, order("!black"))).job
            gone = (await queue.submit(key, order())).job
            await queue.cancel(key, gone.id)
            await queue.start()
            assert [note.name for note in await notes_of(queue, key, gone.id)] == ["cancelled"]
            last = (await notes_of(queue, key, black.id))[-1]
            assert last.name == "failed"
            assert "not finite" in last.data["error"]

    asyncio.run(story())


@pytest.fixture
def quick(monkeypatch):
    """Processes that look at the database as often as they can, and are asked for long."""
    monkeypatch.setattr(followed, "ASKED_S", 3600.0)
    monkeypatch.setattr(following, "POLL_S", 0.02)
    monkeypatch.setattr(telling, "PERIOD_S", 0.01)


def test_from_another_process_progress_and_previews_are_seen(database, tmp_path, quick):
    key = customer(database)

    async def story():
        engine, told = HeldEngine(), []
        async with (
            queue_of(database, tmp_path, engine=engine) as drawing,
            queue_of(database, tmp_path, works=False) as watching,
        ):
            job = (await drawing.submit(key, order(steps=10))).job
            task = asyncio.create_task(notes_of(watching, key, job.id, into=told))
            await until(lambda: engine.watched)  # the other process has asked for previews
            engine.release(steps=2)  # the engine hears of the watcher between the two
            await until(lambda: any(note.preview is not None for note in told))
            engine.release()
            await task
            return told

    told = asyncio.run(story())
    seen = next(note for note in told if note.preview is not None)
    assert seen.data["index"] == 0
    assert 0 < seen.data["step"] < 10
    assert seen.preview.ndim == 3
    assert max(seen.preview.shape) <= telling.PREVIEW_SIDE_MAX
    assert told[-1].name == "completed"
    numbers = [note.number for note in told if note.number]
    assert numbers == sorted(set(numbers))


def test_nothing_is_told_that_nobody_asks_for(database, tmp_path, quick):
    key = customer(database)

    async def story():
        engine = HeldEngine()
        async with queue_of(database, tmp_path, engine=engine, works=False) as drawing:
            ids = [(await drawing.submit(key, order(seed=seed))).job.id for seed in (1, 2)]
            await drawing.start()
            await until(lambda: len(drawing.worker.running) == 2 and engine.gate.images)
            assert await following.elsewhere(drawing, ids[0]) == []  # asks
            engine.release(steps=1)
            own = Telling(drawing.worker)
            await until(lambda: drawing.worker.logs.get(ids[0]).last)
            await own.look()
            first, second = [await following.elsewhere(drawing, id) for id in ids]
            assert first
            assert not second
            engine.release()
            for request_id in ids:
                await finished(drawing, key, request_id)

    asyncio.run(story())


def test_who_asks_no_more_is_forgotten(database, tmp_path, monkeypatch):
    key = customer(database)

    async def story():
        async with queue_of(database, tmp_path, works=False) as queue:
            first, second = [(await queue.submit(key, order(seed=seed))).job.id for seed in (1, 2)]
            monkeypatch.setattr(followed, "AGAIN_S", 3600.0)
            monkeypatch.setattr(followed, "ASKED_S", 3600.0)
            await following.elsewhere(queue, first)
            with database.read() as conn:
                assert followed.asked(conn, [first, second]) == {first}
                assert followed.told(conn, first) == (False, None)
                monkeypatch.setattr(followed, "ASKED_S", -3600.0)
                assert followed.asked(conn, [first]) == set()
            monkeypatch.setattr(followed, "FORGOTTEN_S", -3600.0)
            await following.elsewhere(queue, second)
            with database.read() as conn:
                left = conn.execute(select(tables.followed.c.request_id)).scalars().all()
            assert left == [second]
            await queue_emptied(database)

    asyncio.run(story())


def test_notes_are_the_same_after_their_way_through_the_database():
    preview = np.arange(64 * 48 * 3, dtype=np.uint8).reshape(64, 48, 3)
    notes = [
        Note(5, "progress", {"index": 0, "step": 1}, preview),
        Note(7, "progress", {"index": 1, "step": 1}, preview[::-1].copy()),
        Note(9, "started", {"index": 2}),
    ]
    back = from_json(json.loads(json.dumps(to_json(notes))), 0)
    assert [(n.number, n.name, n.data) for n in back] == [(n.number, n.name, n.data) for n in notes]
    assert back[0].preview is None  # of several pictures the newest alone
    assert np.array_equal(back[1].preview, notes[1].preview)
    assert [note.number for note in from_json(to_json(notes), 5)] == [7, 9]
    assert from_json(to_json(notes), 9) == from_json(None, 0) == []
    large = from_json(to_json([Note(1, "progress", {}, np.zeros((256, 128, 3), np.uint8))]), 0)
    assert large[0].preview.shape == (64, 32, 3)

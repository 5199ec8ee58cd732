"""Following a request: what is told, what is told again, what another process tells."""

import asyncio

import pytest

from limner.errors import NotFound
from limner.usecases.queueing.following import follow
from tests.store.databases import customer
from tests.usecases.house import order, queue_of
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


def test_from_another_process_the_status_is_seen(database, tmp_path):
    key = customer(database)

    async def story():
        engine, told = HeldEngine(), []
        async with (
            queue_of(database, tmp_path, engine=engine) as drawing,
            queue_of(database, tmp_path, works=False) as watching,
        ):
            job = (await drawing.submit(key, order())).job
            following = asyncio.create_task(notes_of(watching, key, job.id, into=told))
            await until(lambda: told)
            engine.release()
            await following
            assert told[-1].name == "completed"
            assert {note.name for note in told[:-1]} == {"queued"}

    asyncio.run(story())

"""Looking at what was drawn, and deleting it."""

import asyncio

import pytest
from sqlalchemy import text

from limner.errors import Gone, NotFound
from limner.store import images, jobs
from limner.usecases.drawing.pictures import damaged
from limner.usecases.pictures.gallery import Gallery, forget
from tests.store.databases import customer
from tests.usecases.services import balance, files, order, started
from tests.waiting import until


def test_a_gallery_is_newest_first_and_ones_own(database, tmp_path):
    key, other = customer(database), customer(database)

    async def story():
        async with started(database, tmp_path) as generate:
            gallery = Gallery(generate.worker)
            drawn = [await generate.run(key, order(seed=seed)) for seed in range(3)]
            await generate.run(other, order())
            page = await gallery.pictures(key, number=2)
            rest = await gallery.pictures(
                key, after=(page[-1].picture.created_at, page[-1].picture.id)
            )
            assert [found.picture.seed for found in (*page, *rest)] == [2, 1, 0]
            requests = await gallery.requests(key)
            assert [job.id for job in requests] == [one.request_id for one in reversed(drawn)]
            wanted = drawn[1].pictures[0]
            assert await gallery.picture(key, wanted.id) == wanted
            with pytest.raises(NotFound, match=wanted.id):
                await gallery.picture(other, wanted.id)
            with pytest.raises(NotFound, match=wanted.id):
                await gallery.delete(other, wanted.id)
            with pytest.raises(NotFound, match="pic_nothing"):
                await gallery.picture(key, "pic_nothing")

    asyncio.run(story())


def test_deleting_a_picture_deletes_its_file_and_bills_no_less(database, tmp_path):
    key = customer(database, 100)

    async def story():
        async with started(database, tmp_path) as generate:
            gallery = Gallery(generate.worker)
            outcome = await generate.run(key, order(samples=2, key="k"))
            await gallery.delete(key, outcome.pictures[0].id)
            assert len(files(tmp_path)) == 1
            replay = await generate.run(key, order(samples=2, key="k"))
            assert [picture.index for picture in replay.pictures] == [1]
            assert replay.adjustments == ("1 of 2 pictures have been deleted since",)
            await gallery.delete(key, outcome.pictures[1].id)
            assert files(tmp_path) == []
            with pytest.raises(NotFound):
                await gallery.delete(key, outcome.pictures[1].id)
            with pytest.raises(Gone, match=outcome.request_id):
                await generate.run(key, order(samples=2, key="k"))

    asyncio.run(story())
    assert balance(database, key).available_micro == 92


def test_what_is_deleted_while_it_is_read_is_gone_and_not_lost(database, tmp_path, monkeypatch):
    """Between the look for the row and the look for its file."""
    key = customer(database)

    async def story():
        async with started(database, tmp_path) as generate:
            gallery, worker = Gallery(generate.worker), generate.worker
            outcome = await generate.run(key, order(samples=2, key="k"))
            open_picture, ids = worker.open_picture, [p.id for p in outcome.pictures]

            def late(row):
                if ids:
                    with database.begin() as conn:
                        gone = images.remove(conn, [ids.pop()])
                        if not images.of_request(conn, row.request_id):
                            gone += forget(conn, [row.request_id])
                    worker.delete_files(gone)
                return open_picture(row)

            monkeypatch.setattr(worker, "open_picture", late)
            with pytest.raises(Gone, match=outcome.request_id):
                await generate.run(key, order(samples=2, key="k"))
            again = await generate.run(key, order(seed=2))
            ids.append(again.pictures[0].id)
            with pytest.raises(NotFound, match=f"^Picture {again.pictures[0].id} not found"):
                await gallery.picture(key, again.pictures[0].id)

    asyncio.run(story())


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_what_is_deleted_while_files_are_looked_at_is_not_damaged(database, tmp_path, monkeypatch):
    key = customer(database)

    async def story():
        async with started(database, tmp_path) as generate:
            outcome = await generate.run(key, order())
            worker, read = generate.worker, generate.worker.files.read

            def late(file):
                with database.begin() as conn:
                    gone = forget(conn, [outcome.request_id])
                worker.delete_files(gone)
                return read(file)

            monkeypatch.setattr(worker.files, "read", late)
            assert list(damaged(database, worker.files)) == []

    asyncio.run(story())


def test_delete_all_of_mine(database, tmp_path):
    key, other = customer(database), customer(database)

    async def story():
        async with started(database, tmp_path) as generate:
            gallery = Gallery(generate.worker)
            for seed in range(3):
                await generate.run(key, order("a secret", seed=seed))
            kept = await generate.run(other, order())
            assert await gallery.delete_all(key) == 3
            assert await gallery.delete_all(key) == 0
            assert await gallery.pictures(key) == []
            assert all(job.generation is None for job in await gallery.requests(key))
            assert len(files(tmp_path)) == 1
            assert await gallery.picture(other, kept.pictures[0].id) == kept.pictures[0]

    asyncio.run(story())


def test_of_two_who_delete_the_last_pictures_one_forgets_the_request(database, tmp_path):
    key = customer(database)

    async def story():
        async with started(database, tmp_path) as generate:
            gallery = Gallery(generate.worker)
            for seed in range(10):
                outcome = await generate.run(key, order(samples=2, seed=seed))
                await asyncio.gather(*(gallery.delete(key, one.id) for one in outcome.pictures))
            assert all(job.expired_at for job in await gallery.requests(key))

    asyncio.run(story())


def waits_for_a_lock(database):
    """Whether anybody in this PostgreSQL database stands before a row that another holds."""
    waiting = (
        "SELECT 1 FROM pg_stat_activity "
        "WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    with database.read() as conn:
        return conn.execute(text(waiting)).first()


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_deleting_and_sweeping_do_not_wait_in_a_circle(database, tmp_path):
    key = customer(database)

    async def story():
        async with started(database, tmp_path, keep_days=1) as generate:
            outcome = await generate.run(key, order())
            with database.begin() as sweeper:
                jobs.lock(sweeper, [outcome.request_id])
                deleting = asyncio.create_task(
                    Gallery(generate.worker).delete(key, outcome.pictures[0].id)
                )
                await until(lambda: waits_for_a_lock(database))
                assert len(images.remove_of_requests(sweeper, [outcome.request_id])) == 1
            await deleting

    asyncio.run(story())

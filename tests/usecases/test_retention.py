"""The sweeper: age, room, orphans."""

import asyncio
import os
import time

import numpy as np
import pytest

from limner.domain.params import Source
from limner.errors import Aborted, DatabaseUnavailable, Gone, NotFinite
from limner.store import images, jobs
from limner.usecases import books
from limner.usecases.gallery import Gallery
from limner.usecases.retention import Retention
from tests.store.databases import customer
from tests.usecases.house import files, house, order
from tests.waiting import until


def age(database, request_id, days):
    with database.begin() as conn:
        requests = jobs.requests
        past = {"finished_at": requests.c.finished_at - days * 86_400}
        conn.execute(requests.update().where(requests.c.id == request_id).values(**past))


def test_results_expire_with_their_pictures_sources_and_prompts(database, tmp_path):
    key, name = customer(database), "0" * 64

    async def story():
        async with house(database, tmp_path, keep_days=2) as generate:
            pixels = {name: np.zeros((64, 64, 3), np.uint8)}
            source = Source(sha256=name, strength=1.0)
            old = await generate.run(key, order(source=source, pixels=pixels, key="k"))
            with pytest.raises(NotFinite):
                await generate.run(key, order("!black", pixels=pixels))
            failed = (await Gallery(generate.studio).requests(key))[0]
            young = await generate.run(key, order())
            age(database, old.request_id, 2.1)
            age(database, failed.id, 2.1)
            age(database, young.request_id, 1.9)
            retention = Retention(generate.studio)
            assert await asyncio.to_thread(retention.sweep) == 2
            assert await asyncio.to_thread(retention.sweep) == 0
            assert len(files(tmp_path)) == 1
            with pytest.raises(Gone):
                await generate.run(key, order(source=source, pixels=pixels, key="k"))
            assert len(files(tmp_path)) == 1
            kept = {
                job.id: job.generation is not None
                for job in await Gallery(generate.studio).requests(key)
            }
            assert kept == {old.request_id: False, failed.id: False, young.request_id: True}

    asyncio.run(story())


def test_the_oldest_go_when_room_runs_out(database, tmp_path, monkeypatch):
    key = customer(database)

    async def story():
        async with house(database, tmp_path, keep_max_mib=16) as generate:
            drawn = [await generate.run(key, order(seed=seed)) for seed in range(5)]
            with database.begin() as conn:  # as if each were 4 MiB
                conn.execute(images.pictures.update().values(bytes=4 << 20))
            assert await asyncio.to_thread(Retention(generate.studio).sweep) == 1
            left = await Gallery(generate.studio).pictures(key)
            assert {p.request_id for p in left} == {one.request_id for one in drawn[1:]}

    asyncio.run(story())


@pytest.mark.parametrize(
    ("error", "left"), [(Aborted("cancelled"), 0), (DatabaseUnavailable("perhaps stored"), 2)]
)
def test_files_of_what_was_not_billed_do_not_wait_for_the_sweeper(
    database, tmp_path, monkeypatch, error, left
):
    key = customer(database)

    def fail(*_):
        raise error

    async def story():
        async with house(database, tmp_path) as generate:
            monkeypatch.setattr(books, "complete", fail)
            with pytest.raises(type(error)):
                await generate.run(key, order(samples=2))
            assert len(files(tmp_path)) == left

    asyncio.run(story())


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_orphans_are_swept_and_the_young_left_alone(database, tmp_path):
    key = customer(database)

    async def story():
        async with house(database, tmp_path) as generate:
            outcome = await generate.run(key, order())
            pictures = generate.studio.files
            pictures.write("pic_ab_old.png", b"old")
            pictures.write("pic_ab_young.png", b"young")
            long_ago = time.time() - 7200
            for path in files(tmp_path):
                if "young" not in path.name:
                    os.utime(path, (long_ago, long_ago))
            retention = Retention(generate.studio)
            assert await asyncio.to_thread(retention.sweep_orphans) == 1
            assert sorted(path.name for path in files(tmp_path)) == sorted(
                [f"{outcome.pictures[0].id}.png", "pic_ab_young.png"]
            )

    asyncio.run(story())


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_it_sweeps_in_the_background(database, tmp_path):
    key = customer(database)

    async def story():
        async with house(database, tmp_path, keep_days=1) as generate:
            outcome = await generate.run(key, order())
            age(database, outcome.request_id, 2)
            retention = Retention(generate.studio)
            await retention.start()
            await until(lambda: not files(tmp_path))
            await retention.close()

    asyncio.run(story())

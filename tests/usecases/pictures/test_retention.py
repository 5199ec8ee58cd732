"""The sweeper: age, room, orphans."""

import asyncio
import hashlib
import os
import random
import time
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from limner import imaging
from limner.domain.params import Source
from limner.errors import (
    Aborted,
    Damaged,
    DatabaseUnavailable,
    Gone,
    LimitExceeded,
    NotFinite,
)
from limner.store import images, jobs
from limner.store.files import key_of
from limner.usecases.drawing import pictures as made_of
from limner.usecases.drawing import settlement
from limner.usecases.drawing.pictures import damaged
from limner.usecases.pictures.gallery import Gallery
from limner.usecases.pictures.retention import Retention
from tests.store.databases import customer
from tests.usecases.services import files, order, queue_of, started
from tests.waiting import until


def age(database, request_id, days):
    with database.begin() as conn:
        requests = jobs.requests
        past = {"finished_at": requests.c.finished_at - days * 86_400}
        conn.execute(requests.update().where(requests.c.id == request_id).values(**past))


def test_results_expire_with_their_pictures_sources_and_prompts(database, tmp_path):
    key, name = customer(database), "0" * 64

    async def story():
        async with started(database, tmp_path, keep_days=2) as generate:
            pixels = {name: np.zeros((64, 64, 3), np.uint8)}
            source = Source(sha256=name, strength=1.0)
            old = await generate.run(key, order(source=source, pixels=pixels, key="k"))
            with pytest.raises(NotFinite):
                await generate.run(key, order("!black", pixels=pixels))
            failed = (await Gallery(generate.worker).requests(key))[0]
            young = await generate.run(key, order())
            age(database, old.request_id, 2.1)
            age(database, failed.id, 2.1)
            age(database, young.request_id, 1.9)
            retention = Retention(generate.worker)
            assert await asyncio.to_thread(retention.sweep) == 2
            assert await asyncio.to_thread(retention.sweep) == 0
            assert len(files(tmp_path)) == 1
            with pytest.raises(Gone):
                await generate.run(key, order(source=source, pixels=pixels, key="k"))
            assert len(files(tmp_path)) == 1
            kept = {
                job.id: job.generation is not None
                for job in await Gallery(generate.worker).requests(key)
            }
            assert kept == {old.request_id: False, failed.id: False, young.request_id: True}

    asyncio.run(story())


def test_the_oldest_go_when_room_runs_out(database, tmp_path, monkeypatch):
    key = customer(database)

    async def story():
        async with started(database, tmp_path, keep_max_mib=16) as generate:
            drawn = [await generate.run(key, order(seed=seed)) for seed in range(5)]
            with database.begin() as conn:  # as if each were 4 MiB
                conn.execute(images.pictures.update().values(bytes=4 << 20))
            assert await asyncio.to_thread(Retention(generate.worker).sweep) == 1
            left = await Gallery(generate.worker).pictures(key)
            assert {found.picture.request_id for found in left} == {
                one.request_id for one in drawn[1:]
            }

    asyncio.run(story())


def test_room_is_taken_from_the_account_that_fills_it(database, tmp_path):
    small, large = customer(database), customer(database)

    async def story():
        async with started(database, tmp_path, keep_max_mib=16) as generate:
            oldest = await generate.run(small, order(seed=9))
            drawn = [await generate.run(large, order(seed=seed)) for seed in range(4)]
            with database.begin() as conn:  # as if each were 4 MiB
                conn.execute(images.pictures.update().values(bytes=4 << 20))
            assert await asyncio.to_thread(Retention(generate.worker).sweep) == 1
            gallery = Gallery(generate.worker)
            assert [found.picture.request_id for found in await gallery.pictures(small)] == [
                oldest.request_id
            ]
            left = {found.picture.request_id for found in await gallery.pictures(large)}
            assert left == {one.request_id for one in drawn[1:]}

    asyncio.run(story())


@given(kept=st.dictionaries(st.text(min_size=1, max_size=3), st.integers(0, 60), max_size=6))
def test_accounts_below_the_level_lose_nothing(kept):
    """Freed step by step, what is left is within the room, and only those above it gave."""
    left, room = dict(kept), 40
    retention = Retention.__new__(Retention)
    retention._worker = SimpleNamespace(settings=SimpleNamespace(keep_max_mib=room))
    sized = {account: size << 20 for account, size in left.items()}
    while (found := retention._fullest(sized))[1] > 0:
        account, excess = found
        assert sized[account] == max(sized.values())
        sized[account] -= -(-excess >> 20) << 20  # a request is a MiB
    assert sum(sized.values()) <= room << 20
    level = max(sized.values(), default=0)
    for account, size in kept.items():
        if size << 20 < level:
            assert sized[account] == size << 20


def test_sources_of_waiting_requests_push_nobody_out_and_have_a_limit(database, tmp_path):
    victim, other = customer(database), customer(database)
    noise = np.random.default_rng(0).integers(0, 256, (512, 512, 3), np.uint8)
    name = hashlib.sha256(noise.tobytes()).hexdigest()
    source = {"source": Source(sha256=name, strength=1.0), "pixels": {name: noise}}

    async def story():
        options = {"works": False, "keep_max_mib": 16, "sources_max_mib": 1, "empty": False}
        async with queue_of(database, tmp_path, **options) as queue:
            drawn = await queue._generate.run(victim, order())
            await queue.submit(other, order(**source))
            with pytest.raises(LimitExceeded, match="the limit is 1 MiB"):
                await queue.submit(other, order(seed=2, **source))
            with database.begin() as conn:  # as if they were 12 and 8 MiB: who keeps most loses
                conn.execute(images.pictures.update().values(bytes=12 << 20))
                conn.execute(images.sources.update().values(bytes=8 << 20))
            assert await asyncio.to_thread(Retention(queue.worker).sweep) == 0
            kept = await Gallery(queue.worker).pictures(victim)
            assert [found.picture.request_id for found in kept] == [drawn.request_id]

    asyncio.run(story())


def test_a_file_taken_before_its_row_is_written_again(database, tmp_path, monkeypatch):
    key = customer(database)
    write = made_of.write_missing

    def taken_first(folder, made):
        for path in files(tmp_path):
            path.unlink()
        write(folder, made)

    async def story():
        async with started(database, tmp_path) as generate:
            monkeypatch.setattr(made_of, "write_missing", taken_first)
            outcome = await generate.run(key, order(samples=2))
            for picture in outcome.pictures:
                stored = await Gallery(generate.worker).picture(key, picture.id)
                assert stored.png == picture.png

    asyncio.run(story())


def test_no_flipped_or_cut_picture_is_served(database, tmp_path):
    key = customer(database)
    dice = random.Random(5)

    async def story():
        async with started(database, tmp_path) as generate:
            outcome = await generate.run(key, order())
            gallery, [path] = Gallery(generate.worker), files(tmp_path)
            whole = path.read_bytes()
            for case in range(60):
                broken = bytearray(whole[: dice.randrange(len(whole))] if case % 4 == 0 else whole)
                if case % 4:
                    broken[dice.randrange(len(whole))] ^= 1 << dice.randrange(8)
                path.write_bytes(broken)
                try:
                    served = await gallery.picture(key, outcome.pictures[0].id)
                except Damaged:
                    assert list(damaged(database, generate.worker.files))
                else:  # a bit of the metadata: the pixels are whole
                    pixels = imaging.read_image(served.png)
                    assert (
                        hashlib.sha256(pixels.tobytes()).hexdigest()
                        == (outcome.pictures[0].receipt["rgb_sha256"])
                    )
            path.unlink()
            assert [name for name, _ in damaged(database, generate.worker.files)] == [
                outcome.pictures[0].id
            ]

    asyncio.run(story())


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_files_as_young_as_an_open_request_are_left_alone(database, tmp_path):
    key = customer(database)

    async def story():
        async with queue_of(database, tmp_path, works=False, empty=False) as queue:
            await queue.submit(key, order())
            with database.begin() as conn:
                early = {"created_at": jobs.requests.c.created_at - 9000}
                conn.execute(jobs.requests.update().values(**early))
            for name, age_s in (("pic_ab_its.png", 7200), ("pic_ab_old.png", 20_000)):
                queue.worker.files.write(key_of(name), b"x")
                os.utime(tmp_path / "pictures" / key_of(name), (time.time() - age_s,) * 2)
            assert await asyncio.to_thread(Retention(queue.worker).sweep_orphans) == 1
            assert [path.name for path in files(tmp_path)] == ["pic_ab_its.png"]

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
        async with started(database, tmp_path) as generate:
            monkeypatch.setattr(settlement, "complete", fail)
            with pytest.raises(type(error)):
                await generate.run(key, order(samples=2))
            assert len(files(tmp_path)) == left

    asyncio.run(story())


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_orphans_are_swept_and_the_young_left_alone(database, tmp_path):
    key = customer(database)

    async def story():
        async with started(database, tmp_path) as generate:
            outcome = await generate.run(key, order())
            pictures = generate.worker.files
            pictures.write(key_of("pic_ab_old.png"), b"old")
            pictures.write(key_of("pic_ab_young.png"), b"young")
            long_ago = time.time() - 7200
            for path in files(tmp_path):
                if "young" not in path.name:
                    os.utime(path, (long_ago, long_ago))
            retention = Retention(generate.worker)
            assert await asyncio.to_thread(retention.sweep_orphans) == 1
            assert sorted(path.name for path in files(tmp_path)) == sorted(
                [f"{outcome.pictures[0].id}.png", "pic_ab_young.png"]
            )

    asyncio.run(story())


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_it_sweeps_in_the_background(database, tmp_path):
    key = customer(database)

    async def story():
        async with started(database, tmp_path, keep_days=1) as generate:
            outcome = await generate.run(key, order())
            age(database, outcome.request_id, 2)
            retention = Retention(generate.worker)
            await retention.start()
            await until(lambda: not files(tmp_path))
            await retention.close()

    asyncio.run(story())

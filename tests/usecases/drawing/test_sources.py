"""Stored sources: what is read back is what was written, or said to be damaged."""

import asyncio
import hashlib
import random

import numpy as np
import pytest

from limner.domain.params import Source
from limner.errors import Damaged, Gone, NotFound
from limner.imaging.budget import Budget
from limner.store import images
from limner.store.files.local import LocalFiles
from limner.usecases.drawing import models, sources
from limner.usecases.pictures.gallery import Gallery, forget
from tests.store.databases import customer
from tests.usecases.services import files, finished, order, queue_of

PICTURE = np.random.default_rng(3).integers(0, 256, (64, 48, 3), dtype=np.uint8)
NAME = hashlib.sha256(PICTURE.tobytes()).hexdigest()


def cut(data):
    return data[: len(data) // 2]


def flipped(data):
    return data[:500] + bytes([data[500] ^ 1]) + data[501:]


def zeroed(data):
    return bytes(100)


def of_another(data):
    return sources.pack({NAME: PICTURE[::-1]})


BREAKAGES = [cut, flipped, zeroed, of_another]


def test_what_was_packed_comes_back():
    assert np.array_equal(sources.unpack(sources.pack({NAME: PICTURE}), NAME), PICTURE)


@pytest.mark.parametrize("breakage", BREAKAGES)
def test_a_damaged_file_is_said_to_be_damaged(breakage):
    with pytest.raises(Damaged, match=NAME[:12]):
        sources.unpack(breakage(sources.pack({NAME: PICTURE})), NAME)


def test_memory_that_runs_out_is_no_fault_of_the_file(monkeypatch):
    def full(*_, **__):
        raise MemoryError

    monkeypatch.setattr(np, "load", full)
    with pytest.raises(MemoryError):
        sources.unpack(sources.pack({NAME: PICTURE}), NAME)


def test_any_flipped_bit_is_found_or_does_no_harm():
    data, dice = sources.pack({NAME: PICTURE}), random.Random(1)
    found = 0
    for _ in range(300):
        bent = bytearray(data)
        bent[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
        try:
            assert np.array_equal(sources.unpack(bytes(bent), NAME), PICTURE)
        except Damaged:
            found += 1
    assert found > 250


def test_what_is_held_is_not_read_again_and_counts_once(tmp_path):
    files, budget = LocalFiles(tmp_path), Budget(0)
    kept = sources.Sources(files, budget)
    held = PICTURE.copy()
    file = kept.write(sources.pack({NAME: held}), {NAME: held})
    assert kept.read(file, [NAME])[NAME] is held
    assert budget.held == 0, "whoever brought it has it counted"
    del held
    read = [kept.read(file, [NAME])[NAME] for _ in range(2)]
    assert read[0] is read[1]
    assert np.array_equal(read[0], PICTURE)
    assert budget.held == PICTURE.nbytes
    del read
    assert budget.held == 0


@pytest.mark.parametrize("breakage", BREAKAGES)
@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_request_whose_source_is_damaged_fails_at_once_and_keeps_nobody(
    database, tmp_path, breakage
):
    key = customer(database, concurrency=1)
    started = order(source=Source(sha256=NAME, strength=1.0), pixels={NAME: PICTURE})

    async def story():
        async with queue_of(database, tmp_path, works=False, empty=False) as queue:
            broken = await queue.submit(key, started)
            [file] = files(tmp_path)
            file.write_bytes(breakage(file.read_bytes()))
            sound = await queue.submit(key, order())
        async with queue_of(database, tmp_path) as queue:
            ended = await finished(queue, key, broken.job.id)
            assert (ended.job.status, ended.job.tries) == ("FAILED", 1)
            assert "damaged" in ended.job.error
            assert (await finished(queue, key, sound.job.id)).job.status == "COMPLETED"

    asyncio.run(story())


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_source_that_is_deleted_while_it_is_read_is_gone_and_not_lost(
    database, tmp_path, monkeypatch
):
    """Between the look for the row and the look for its file; another request may keep it."""
    key = customer(database)
    started = {"source": Source(sha256=NAME, strength=1.0), "pixels": {NAME: PICTURE}}
    deletions = []

    def delete_request_of(file):
        with database.begin() as conn:
            kept = images.sources.select().where(images.sources.c.file == file)
            return forget(conn, [conn.execute(kept).one().request_id])

    async def story():
        async with queue_of(database, tmp_path) as queue:
            gallery, worker = Gallery(queue.worker), queue.worker
            read = worker.files.read

            def late(file):
                if deletions:
                    deletions.pop()
                    worker.delete_files(delete_request_of(file))
                return read(file)

            monkeypatch.setattr(worker.files, "read", late)
            for seed in (1, 2):
                job = (await queue.submit(key, order(seed=seed, **started))).job
                await finished(queue, key, job.id)
            deletions.append("the one that is found first")
            assert np.array_equal(await gallery.source(key, NAME), PICTURE)
            deletions.append("the other")
            with pytest.raises(Gone, match="no longer kept"):
                await gallery.source(key, NAME)
            job = (await queue.submit(key, order(**started))).job
            await finished(queue, key, job.id)
            for path in files(tmp_path):
                path.unlink()
            with pytest.raises(NotFound, match="is missing"):
                await gallery.source(key, NAME)

    asyncio.run(story())


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_what_nobody_foresaw_before_a_drawing_is_settled_too(database, tmp_path, monkeypatch):
    key = customer(database)

    def planted(*_):
        raise RuntimeError("planted")

    async def story():
        async with queue_of(database, tmp_path, works=False) as queue:
            accepted = await queue.submit(key, order())
            monkeypatch.setattr(models, "check_licence", planted)
            await queue.start()
            ended = await finished(queue, key, accepted.job.id)
            assert (ended.job.status, ended.job.tries) == ("FAILED", 3)
            assert "nothing was billed" in ended.job.error

    asyncio.run(story())

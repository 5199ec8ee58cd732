"""Decoding in processes of their own: the same results, bounded, fair, and killed with callers."""

import asyncio
import base64
import os
import re
import signal
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from limner import imaging
from limner.errors import (
    DecoderFault,
    InvalidInput,
    LimitExceeded,
    TooCostly,
    Unavailable,
)
from limner.imaging import pool as pools
from limner.imaging.pool import Here, Limits, Pool
from limner.imaging.process import Ask, Process
from tests.imaging.hostile import endless_gif, many_frames, many_scans, wide_png

SIZE = {"width": 64, "height": 96, "resize_mode": "crop"}
NOISE = np.random.default_rng(0).integers(0, 256, (120, 100, 3), dtype=np.uint8)
PICTURE = imaging.to_png(NOISE, imaging.Metadata("a cat", {"receipt": 1}))
CANVAS = {"width": 128, "height": 96, "scale": 0.5, "offset_x": 8, "offset_y": 8, "mask_expand": 2}
HOSTILE = {"gif": endless_gif(), "jpeg": many_scans()}
PATIENT = Limits(seconds=3600)


@pytest.fixture(scope="module")
def shared():
    made = Pool()
    yield made
    made.close()


@asynccontextmanager
async def pool_of(*arguments, **options):
    made = Pool(*arguments, **options)
    try:
        yield made
    finally:
        await asyncio.to_thread(made.close)


async def busy(pool, number):
    """Wait until so many processes decode."""
    async with asyncio.timeout(60):
        while len(pool.running) != number:
            await asyncio.sleep(0.01)
    return pool.running


TASKS = [
    ("picture", SIZE), ("mask", {**SIZE, "by": "white", "invert": False}),
    ("mask", {**SIZE, "by": "painted", "invert": True}),
    ("canvas", CANVAS), ("transparency", {}), ("area", {}), ("metadata", {}),
]  # fmt: skip


@pytest.mark.parametrize(("task", "options"), TASKS)
@pytest.mark.parametrize("as_text", [False, True])
def test_a_process_finds_what_the_function_finds(shared, task, options, as_text):
    data = base64.b64encode(PICTURE).decode() if as_text else PICTURE
    there = asyncio.run(shared.run("me", task, data, "image", **options))
    here = asyncio.run(Here().run("me", task, data, "image", **options))
    assert there.told == here.told
    assert len(there.arrays) == len(here.arrays)
    for one, other in zip(there.arrays, here.arrays, strict=True):
        assert np.array_equal(one, other)


def test_what_is_no_picture_is_refused_naming_its_field(shared):
    with pytest.raises(InvalidInput, match="mask is not a picture") as caught:
        asyncio.run(shared.run("me", "mask", b"x", "mask", **SIZE, by="white", invert=False))
    assert caught.value.field == "mask"


@pytest.mark.slow
@pytest.mark.parametrize("kind", HOSTILE)
def test_a_picture_that_takes_too_long_is_refused_with_the_number(kind):
    async def story():
        async with pool_of(Limits(seconds=1.5)) as pool:
            with pytest.raises(TooCostly, match=r"image takes more than 1\.5 seconds"):
                await pool.run("me", "picture", HOSTILE[kind], "image", **SIZE)
            again = await pool.run("me", "metadata", PICTURE, "image")
            assert again.metadata.parameters == "a cat"

    asyncio.run(story())


@pytest.mark.slow
def test_a_picture_that_takes_too_much_memory_is_refused_with_the_number():
    async def story():
        async with pool_of(Limits(mebibytes=64)) as pool:
            with pytest.raises(TooCostly, match="image takes more than 64 MiB"):
                await pool.run("me", "picture", wide_png(), "image", **SIZE)
            assert (await pool.run("me", "picture", PICTURE, "image", **SIZE)).digests

    asyncio.run(story())


def slowly(*modes):
    return [pytest.param(mode, marks=pytest.mark.slow) for mode in modes]


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["RGBA", *slowly("LA", "P", "I;16", "RGB", "1")])
def test_the_largest_picture_of_every_mode_fits_the_limits(shared, mode):
    data = wide_png(mode)
    assert asyncio.run(shared.run("me", "picture", data, "image", **SIZE)).digests


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "I;16", "RGB", "1"])
def test_the_largest_mask_of_every_mode_fits_the_limits(shared, mode):
    assert asyncio.run(shared.run("me", "area", wide_png(mode), "image")).arrays


@pytest.mark.slow
def test_a_process_keeps_no_memory_of_what_it_has_decoded():
    """Or it would hold the largest picture's for good, and refuse the next for want of room."""
    picture, process = many_frames("WEBP", 2, 2000, method=0), Process(PATIENT)
    held = [
        process.run(Ask("picture", "image", data, SIZE)) and _resident_mib(process)
        for data in (PICTURE, picture, picture, picture)
    ]
    process.close()
    assert max(held) < held[0] + 8, held


def _resident_mib(process):
    status = Path(f"/proc/{process.id}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) >> 10


def test_a_killed_process_is_our_fault_and_replaced():
    async def story():
        async with pool_of(PATIENT) as pool:
            task = asyncio.create_task(pool.run("me", "picture", HOSTILE["gif"], "image", **SIZE))
            [process] = await busy(pool, 1)
            os.kill(process, signal.SIGKILL)
            with pytest.raises(DecoderFault, match="status -9"):
                await task
            assert (await pool.run("me", "picture", PICTURE, "image", **SIZE)).digests

    asyncio.run(story())


def test_no_key_has_every_process_and_a_caller_who_leaves_takes_his():
    async def story():
        async with pool_of(PATIENT) as pool:
            flood = [
                asyncio.create_task(pool.run("evil", "metadata", HOSTILE["gif"], "image"))
                for _ in range(5)
            ]
            [process] = await busy(pool, 1)
            for _ in range(3):
                assert (await pool.run("good", "metadata", PICTURE, "image")).told
            assert pool.running == [process]
            for task in flood:
                task.cancel()
            await asyncio.gather(*flood, return_exceptions=True)
            await busy(pool, 0)
            assert not _exists(process)

    asyncio.run(story())


def _exists(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_waiting_pictures_are_counted_for_each_key_and_in_all(monkeypatch):
    monkeypatch.setattr(pools, "WAITING_PER_OWNER_MAX", 2)
    monkeypatch.setattr(pools, "WAITING_MAX", 3)

    async def story():
        async with pool_of(PATIENT) as pool:

            def begin(owner):
                work = pool.run(owner, "metadata", HOSTILE["gif"], "image")
                return asyncio.create_task(work)

            tasks = [begin("a")]
            await busy(pool, 1)
            tasks += [begin("a"), begin("a")]
            await asyncio.sleep(0)
            with pytest.raises(LimitExceeded, match="2 pictures of this key wait"):
                await begin("a")
            tasks.append(begin("b"))
            await busy(pool, 2)
            tasks.append(begin("b"))
            await asyncio.sleep(0)
            with pytest.raises(Unavailable, match="3 pictures wait"):
                await begin("c")
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(story())


def test_closing_ends_what_runs_and_what_waits():
    async def story():
        async with pool_of(PATIENT) as pool:
            tasks = [
                asyncio.create_task(pool.run("a", "metadata", HOSTILE["gif"], "image"))
                for _ in range(3)
            ]
            await busy(pool, 1)
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(outcome, DecoderFault | asyncio.CancelledError)

    asyncio.run(story())


def test_a_process_imports_neither_torch_nor_the_server():
    named = "sorted({'torch', 'fastapi', 'sqlalchemy'} & set(sys.modules))"
    code = f"import sys, limner.imaging.worker; print({named})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"

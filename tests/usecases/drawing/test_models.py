"""A stored request is drawn with the model it was accepted for, on both databases."""

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import text

from limner.domain.params import Generation, Source
from limner.engine.batching.fake import FAKE_MODEL, FakeEngine
from limner.errors import LicenceNotAccepted
from limner.store import jobs, keys, leases
from limner.usecases.drawing import models
from tests.store.databases import customer
from tests.usecases.services import balance, finished, order, queue_of
from tests.waiting import until

pytestmark = pytest.mark.rarely_postgresql

OTHER = replace(FAKE_MODEL, name="other", sha256="1" * 64)
RAIL = replace(OTHER, name="RPG", licence="creativeml-openrail-m", licence_needs_acceptance=True)


def accept(database, folder, key, *orders):
    """Accept orders in a server of the fake model that draws nothing; their ids."""

    async def story():
        async with queue_of(database, folder, works=False, empty=False) as queue:
            return [status.job.id for status in await queue.submit_all(key, list(orders))]

    return asyncio.run(story())


def forget_models(database):
    """As if the requests had been stored before models were."""
    with database.begin() as conn:
        conn.execute(text("UPDATE requests SET model = NULL, model_sha256 = NULL"))


def job_of(database, request_id):
    with database.read() as conn:
        return jobs.find(conn, request_id)


def test_another_model_leaves_a_request_alone(database, tmp_path):
    key = customer(database)
    first, second = accept(database, tmp_path, key, order(), order(seed=2))

    async def story():
        engine = FakeEngine(model=OTHER)
        async with queue_of(database, tmp_path, engine=engine, empty=False) as queue:
            theirs = await queue.submit(key, order(seed=3))
            done = await finished(queue, key, theirs.job.id)
            assert done.pictures[0].receipt["model"]["name"] == "other"
            # Whatever it looks for now, it has looked past the older two once.
            assert await queue._claim() is None
            assert queue.worker.running == {}
            await queue.cancel(key, second)
        async with queue_of(database, tmp_path) as queue:
            done = await finished(queue, key, first)
            assert (done.job.status, done.job.tries) == ("COMPLETED", 1)
            assert done.pictures[0].receipt["model"]["name"] == "fake"

    assert (job_of(database, first).model, job_of(database, first).model_sha256) == (
        "fake",
        FAKE_MODEL.sha256,
    )
    asyncio.run(story())


def test_the_licence_is_looked_at_again_when_drawing(database, tmp_path):
    """A request of an earlier version names no model: its key may not have accepted this one."""
    key = customer(database, 100)
    [request_id] = accept(database, tmp_path, key, order())
    forget_models(database)

    async def story():
        async with queue_of(database, tmp_path, engine=FakeEngine(model=RAIL)) as queue:
            with pytest.raises(LicenceNotAccepted):
                await queue.submit(key, order(seed=2))
            job = (await finished(queue, key, request_id)).job
            assert (job.status, job.error_kind) == ("FAILED", "LicenceNotAccepted")
            assert "accept it by POST /api/license/accept" in job.error

    asyncio.run(story())
    assert balance(database, key).available_micro == 100


def test_a_request_of_an_earlier_version_is_drawn_by_whoever_comes(database, tmp_path):
    key = customer(database)
    [request_id] = accept(database, tmp_path, key, order())
    forget_models(database)
    with database.begin() as conn:
        keys.accept_licence(conn, key.id, RAIL.licence, "2022-08-22")

    async def story():
        async with queue_of(database, tmp_path, engine=FakeEngine(model=RAIL)) as queue:
            assert (await finished(queue, key, request_id)).job.status == "COMPLETED"

    asyncio.run(story())


def test_what_nobody_has_served_for_a_day_is_given_up(database, tmp_path, monkeypatch):
    key = customer(database, 100)
    old, lately, begun, anyones = accept(
        database, tmp_path, key, *(order(seed=seed) for seed in range(4))
    )
    with database.begin() as conn:
        assert jobs.claim(conn, leases.open(conn, ttl_s=3600)).id in (old, lately, begun, anyones)
        conn.execute(text("UPDATE requests SET created_at = created_at - 90000"))
        conn.execute(
            text("UPDATE requests SET model_sha256 = :other WHERE id = :id"),
            {"other": "2" * 64, "id": lately},
        )
        conn.execute(
            text("UPDATE requests SET model_sha256 = NULL WHERE id = :id"), {"id": anyones}
        )
        conn.execute(text("INSERT INTO models VALUES (:s, 'x', 0)"), {"s": FAKE_MODEL.sha256})
        claimed = conn.execute(
            text("SELECT id FROM requests WHERE status = 'PROCESSING'")
        ).scalar_one()
    monkeypatch.setattr(models, "SETTLING_S", 0.0)

    async def story():
        other = replace(OTHER, sha256="2" * 64)  # it serves ``lately``'s, and writes that down
        engine = FakeEngine(model=other)
        async with queue_of(database, tmp_path, engine=engine, works=False, empty=False) as queue:
            task = asyncio.create_task(models.watch(queue.worker))
            waiting = {old, lately, begun, anyones} - {claimed, lately, anyones}
            await until(lambda: all(job_of(database, id).status == "FAILED" for id in waiting))
            task.cancel()
            kept = {claimed, lately, anyones}
            assert all(job_of(database, id).open for id in kept)
            for id in waiting:
                assert "has not been served for 24 hours" in job_of(database, id).error
            for id in kept:
                await queue.cancel(key, id)

    asyncio.run(story())
    assert balance(database, key).available_micro == 100


def test_an_inpainting_model_says_that_it_misses_a_mask(database, tmp_path):
    key = customer(database)

    async def story():
        engine = FakeEngine(model=replace(FAKE_MODEL, kind="sd1-inpainting"))
        async with queue_of(database, tmp_path, engine=engine) as queue:
            sent = await queue.submit(key, order())
            return (await finished(queue, key, sent.job.id)).job.adjustments

    assert asyncio.run(story()) == (
        "fake is an inpainting model; without a mask it draws with a blank one",
    )
    masked = Generation(
        prompt="x", seed=1, source=Source(sha256="0" * 64, mask_sha256="1" * 64, strength=1.0)
    )
    inpainting = replace(FAKE_MODEL, kind="sd1-inpainting")
    assert models.told(inpainting, [masked]) == ()
    assert models.told(FAKE_MODEL, [masked, masked]) == ()
    assert models.told(None, []) == ()

"""The use cases without HTTP, over a real store and the fake engine."""

import asyncio
from contextlib import asynccontextmanager

from limner.domain.params import Generation
from limner.engine.batching.fake import FakeEngine
from limner.errors import EngineFault
from limner.settings import Settings
from limner.store import audit, jobs, leases, ledger
from limner.usecases.drawing import settlement
from limner.usecases.drawing.generate import Generate, Order
from limner.usecases.drawing.sources import open_sources
from limner.usecases.drawing.worker import Worker
from limner.usecases.queueing.queue import Queue
from tests.waiting import LONG_S

SMALL = {"width": 64, "height": 64, "steps": 2, "scheduler": "Euler", "guidance": 2.0}


def generation(prompt="a knight", seed=1, **more) -> Generation:
    return Generation(prompt=prompt, seed=seed, **{**SMALL, **more})


def order(
    prompt="a knight",
    seed=1,
    *,
    key=None,
    body=None,
    on_event=None,
    pixels=None,
    lines=None,
    **more,
):
    drawing = generation(prompt, seed, **more)
    return Order(
        lines=tuple(lines or (drawing,)),
        surface="test",
        slug="sd1.5-rpg",
        body_sha256=body or f"{hash(drawing.model_dump_json()) & (2**64 - 1):064x}",
        idempotency_key=key,
        on_event=on_event,
        pixels=pixels or {},
    )


@asynccontextmanager
async def started(
    database, tmp_path, *, engine=None, library=None, closes=True, empty=True, **settings
):
    """A started ``Generate``; closed, and its books checked, at the end.

    ``empty``: nothing may be held any more then.
    """
    chosen = Settings(data_dir=tmp_path, **settings)
    sources = open_sources(chosen, database)
    engine = engine or FakeEngine(read=sources.read)
    await asyncio.to_thread(engine.wait_ready)
    generate = Generate(Worker(chosen, database, engine, sources, library))
    await generate.start()
    try:
        yield generate
    finally:
        if closes:
            await generate.close()
        engine.close()
        with database.read() as conn:
            assert audit.check(conn) == []
            assert ledger.totals(conn)["held"] == 0 or not empty


@asynccontextmanager
async def queue_of(database, tmp_path, *, works=True, **options):
    """A ``Queue`` over a started ``Generate``; unless it ``works`` it only accepts."""
    async with started(database, tmp_path, **options) as generate:
        queue = Queue(generate)
        if works:
            await queue.start()
        try:
            yield queue
        finally:
            await queue.close()


async def finished(queue, key, request_id):
    """The status of a request that has ended."""
    async with asyncio.timeout(LONG_S):
        while (status := await queue.status(key, request_id)).job.open:
            await asyncio.sleep(0.01)
    return status


async def queue_emptied(database):
    """Cancel all that is queued."""
    with database.begin() as conn:
        lease = leases.open(conn)
        while (job := jobs.claim(conn, lease)) is not None:
            settlement.abandon(conn, job.id, "CANCELLED", EngineFault("only claimed"))


def files(folder):
    """What the folder of pictures holds."""
    return [path for path in (folder / "pictures").rglob("*") if path.is_file()]


def balance(database, key):
    with database.read() as conn:
        return ledger.balance(conn, key.account_id)


def all_jobs(database, status):
    with database.read() as conn:
        return jobs.count(conn, status)

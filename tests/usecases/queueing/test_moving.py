"""Requests that wait change places within their key's line, and nothing else changes."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from limner.errors import InvalidInput, NotFound
from limner.store import jobs, keys, leases
from tests.store.databases import customer
from tests.usecases.services import order, queue_emptied, queue_of


@asynccontextmanager
async def line_of(database, tmp_path, key, number=4):
    """A queue that only accepts, and the ids of what waits in it, accepted at one moment."""
    async with queue_of(database, tmp_path, works=False, empty=False) as queue:
        accepted = await queue.submit_all(key, [order(f"{n}", seed=n) for n in range(number)])
        names = {status.job.id: status.job.generation["prompt"] for status in accepted}
        yield queue, [id for _, id in sorted((text, id) for id, text in names.items())]
    await queue_emptied(database)


def told(database, ids):
    with database.read() as conn:
        return [ids.index(id) for id, _ in jobs.line(conn) if id in ids]


def served(database):
    with database.begin() as conn:
        lease = leases.open(conn)
        names = []
        while job := jobs.claim(conn, lease):
            names.append(job.id)
        for id in names:
            jobs.requeue(conn, jobs.find(conn, id), blameless=True)
    return names


def test_any_order_can_be_had_of_requests_of_one_moment(database, tmp_path):
    key = customer(database)

    async def story():
        async with line_of(database, tmp_path, key) as (queue, ids):
            before = {id: (await queue.status(key, id)).job for id in ids}
            # The ids alone decide between equal moments: bring them into the order 3, 1, 0, 2.
            for last, next in ((3, 1), (1, 0), (0, 2)):
                await queue.move(key, ids[next], "after", ids[last])
            assert told(database, ids) == [3, 1, 0, 2]
            await queue.move(key, ids[2], "before", ids[1])
            await queue.move(key, ids[2], "before", ids[2])
            assert told(database, ids) == [3, 2, 1, 0]
            later = (await queue.submit(key, order("later", seed=9))).job.id
            assert served(database) == [ids[3], ids[2], ids[1], ids[0], later]
            status = await queue.status(key, ids[2])
            assert status.position == 2
            for id in ids:
                job = (await queue.status(key, id)).job
                assert job.created_at == before[id].created_at
                assert job.price_micro == before[id].price_micro

    asyncio.run(story())


def test_another_keys_turn_stays(database, tmp_path):
    key, other = customer(database), customer(database)

    async def story():
        async with line_of(database, tmp_path, key, 3) as (queue, ids):
            theirs = (await queue.submit(other, order("theirs"))).job.id
            place = (await queue.status(other, theirs)).position
            await queue.move(key, ids[0], "after", ids[2])
            assert (await queue.status(other, theirs)).position == place == 2

    asyncio.run(story())


def test_what_cannot_be_moved_says_why(database, tmp_path):
    key, stranger = customer(database), customer(database)
    with database.begin() as conn:
        second, _ = keys.create(conn, name="second", account_id=key.account_id)
        second = keys.authenticate(conn, second)

    async def refused(queue, request_id, side, beside, says, error=InvalidInput):
        with pytest.raises(error, match=says) as caught:
            await queue.move(key, request_id, side, beside)
        return getattr(caught.value, "field", None)

    async def story():
        async with line_of(database, tmp_path, key) as (queue, ids):
            theirs = (await queue.submit(stranger, order("theirs"))).job.id
            beside = (await queue.submit(second, order("the account's other key"))).job.id
            await refused(queue, theirs, "before", ids[0], "not found", NotFound)
            await refused(queue, ids[0], "before", theirs, "not found", NotFound)
            assert await refused(queue, ids[0], "after", beside, "each key has a line") == "after"
            await queue.cancel(key, ids[1])
            assert await refused(queue, ids[1], "before", ids[0], "waits no longer") == "id"
            assert await refused(queue, ids[0], "before", ids[1], "waits no longer") == "before"
            with database.begin() as conn:
                tried = jobs.requests.c.id == ids[2]
                conn.execute(jobs.requests.update().where(tried).values(tries=1))
            await refused(queue, ids[2], "before", ids[0], "begun before")

    asyncio.run(story())

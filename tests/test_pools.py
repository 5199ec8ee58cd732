"""Pools: each key has its turn, and a turn ends with the work, not with the caller."""

import asyncio
import threading

from limner.pools import WHOSE, Pool


def test_a_key_that_floods_waits_for_itself():
    pool, free, began = Pool("test", 2, 1), threading.Event(), threading.Semaphore(0)

    def hold():
        began.release()
        assert free.wait(60)

    async def as_key(name, work):
        WHOSE.set(name)
        return await pool.run(work)

    async def main():
        flood = [asyncio.create_task(as_key("a", hold)) for _ in range(9)]
        assert await asyncio.to_thread(began.acquire, timeout=60)
        # One of its calls is at work, so the other thread is free for another key.
        assert await asyncio.wait_for(asyncio.create_task(as_key("b", lambda: 7)), 60) == 7
        # A caller who leaves does not end the turn: the thread is still at work.
        flood[0].cancel()
        await asyncio.gather(flood[0], return_exceptions=True)
        assert await asyncio.wait_for(asyncio.create_task(as_key("b", lambda: 8)), 60) == 8
        assert not began.acquire(blocking=False)
        free.set()
        await asyncio.wait_for(asyncio.gather(*flood, return_exceptions=True), 60)
        assert not any(turn.locked() for turn in pool._turns._turns.values())

    asyncio.run(main())


def test_a_pool_serves_the_next_loop_though_the_last_one_left_work_behind():
    pool, held, begun = Pool("next", 2, 1), threading.Event(), threading.Event()

    def work():
        begun.set()
        held.wait(60)

    async def leave():
        task = asyncio.create_task(pool.run(work))
        await asyncio.to_thread(begun.wait, 60)
        task.cancel()

    asyncio.run(leave())
    assert asyncio.run(asyncio.wait_for(pool.run(lambda: 1), 60)) == 1
    held.set()

"""Pools: each key has its turn, and a turn ends with the work, not with the caller."""

import asyncio
import threading
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

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


class Recorded:
    """A pool of one thread, each call to which is told when it is made and when it is served."""

    def __init__(self, each):
        self.pool, self.free = Pool("recorded", 1, each), threading.Event()
        self.asked, self.served = {}, []  # call -> how many were served by then; calls in order

    async def ask(self, key, number):
        self.asked[key, number] = len(self.served)
        await self.pool.run_for(key, lambda: self.served.append((key, number)))

    async def story(self, waves):
        blocker = asyncio.create_task(self.pool.run_for("blocker", self.free.wait))
        await asyncio.sleep(0)
        tasks, numbers = [], Counter()
        for wave in waves:
            for key in wave:
                tasks.append(asyncio.create_task(self.ask(key, numbers[key])))
                numbers[key] += 1
            await asyncio.sleep(0)
            self.free.set()
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.gather(blocker, *tasks)


@given(
    st.integers(1, 3), st.lists(st.text("abcd", min_size=1, max_size=12), min_size=1, max_size=4)
)
def test_keys_take_turns(each, waves):
    told = Recorded(each)
    asyncio.run(asyncio.wait_for(told.story(waves), 60))
    assert Counter(key for key, _ in told.served) == Counter("".join(waves))
    for key in "abcd":
        own = [number for name, number in told.served if name == key]
        assert own == sorted(own)
    for position, (key, number) in enumerate(told.served):
        since = told.served[told.asked[key, number] : position]
        before = Counter(name for name, _ in since)
        assert all(before[name] <= before[key] + each for name in before if name != key)


def test_what_waits_when_a_pool_is_shut_down_is_told_so():
    pool, free = Pool("ending", 1, 1), threading.Event()

    async def main():
        waiting = [asyncio.create_task(pool.run(free.wait)) for _ in range(3)]
        await asyncio.sleep(0)
        free.set()
        pool.shut_down()
        found = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 60)
        assert [type(each) for each in found] == [bool, RuntimeError, RuntimeError]

    asyncio.run(main())

"""Bounded threads for each kind of work, and in each a turn for every key.

The event loop's default executor is used for nothing that a stranger asks for: there, one kind of
work would wait for another. Whoever floods a pool waits for himself: of each key only so much is
at work at the same time.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, ParamSpec, TypeVar
from weakref import WeakValueDictionary

from limner import machine

P = ParamSpec("P")
T = TypeVar("T")

WHOSE: contextvars.ContextVar[str] = contextvars.ContextVar("whose", default="")
"""The key for which the present task works."""


class Turns:
    """At most ``each`` things at a time for one key; what is more waits for the first of them."""

    def __init__(self, each: int) -> None:
        self._each = each
        self._turns: WeakValueDictionary[tuple[asyncio.AbstractEventLoop, str], asyncio.Semaphore]
        self._turns = WeakValueDictionary()

    def mine(self) -> asyncio.Semaphore:
        """Of the key for which the present task works, on the loop that runs it."""
        return self.of(WHOSE.get())

    def of(self, whose: str) -> asyncio.Semaphore:
        """Of a key, or of whatever else has turns of its own, on the running loop."""
        loop = asyncio.get_running_loop()  # a pool outlives loops, a turn belongs to one
        return self._turns.setdefault((loop, whose), asyncio.Semaphore(self._each))


class Pool:
    """``threads`` threads, of which one key has at most ``each`` at a time.

    What is submitted is served in order, and a key submits the next when one of its own is done: so
    keys take turns. Before the *n*-th that a key has waiting, each other has ``n + each - 1`` at
    most (ADR 0025).
    """

    def __init__(self, name: str, threads: int, each: int) -> None:
        self._threads = ThreadPoolExecutor(threads, name)
        self._turns = Turns(each)

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of ``work``. A caller who leaves has what is not begun taken back."""
        return await self.run_for(WHOSE.get(), partial(work, *args, **kwargs))

    async def run_for(self, whose: str, work: Callable[[], T]) -> T:
        """``run`` in the turn of another than the key for which the present task works."""
        loop, turn = asyncio.get_running_loop(), self._turns.of(whose)
        await turn.acquire()
        try:
            future = self._threads.submit(contextvars.copy_context().run, work)
        except RuntimeError:  # it takes no more: whoever waits is told so as well
            turn.release()
            raise

        def give_back(_: Future[Any]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(turn.release)

        # Not when the caller leaves but when the thread is done: it works on meanwhile.
        future.add_done_callback(give_back)
        return await asyncio.wrap_future(future)

    def shut_down(self) -> None:
        """Finish what is submitted, and take no more. Blocks."""
        self._threads.shutdown()


BODIES = Pool("limner-bodies", 2, 1)
"""Reading JSON."""
WORDS = Pool("limner-words", 2, 1)
"""Styles, templates, explanations and prices that are asked for free."""
MODELS = Pool("limner-models", 2, 1)
"""Lists of the library's models."""
PRICES = Pool("limner-prices", 2, 1)
"""Prices of what will be drawn."""
FILES = Pool("limner-files", min(4, machine.cores()), 2)
"""Pictures into files."""

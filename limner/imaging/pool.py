"""Decoding what strangers send in a few processes of their own, fairly between their keys.

Nothing of it runs in the server's process, so that no file can hold up, fill or end it. Each
process is started with the first file it gets, kept for the next, and killed with the caller who
leaves. No key ever has all of them.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter, OrderedDict, deque
from concurrent.futures import Future
from typing import Any, Protocol

from limner.errors import DecoderFault, LimitExceeded, LimnerError, Unavailable
from limner.imaging.base64 import parse_base64
from limner.imaging.process import Ask, Limits, Process
from limner.imaging.tasks import TASKS, Result

PROCESSES = 2
WAITING_MAX = 512
WAITING_PER_OWNER_MAX = 64


class Decoder(Protocol):
    """Runs the tasks of ``tasks``."""

    async def run(
        self, owner: str, task: str, data: bytes | str, field: str, **options: Any
    ) -> Result:
        """What ``task`` finds in ``data``, a file or its base64, that ``owner`` sent as ``field``.

        Raises ``InvalidInput`` naming the field.
        """


class Here:
    """Decodes in the process that calls, for one's own terminal and for tests."""

    async def run(
        self, owner: str, task: str, data: bytes | str, field: str, **options: Any
    ) -> Result:
        """See ``Decoder``; a ``MemoryError`` comes out as it is."""
        del owner  # there is but one

        def work() -> Result:
            file = parse_base64(data, field) if isinstance(data, str) else data
            return TASKS[task](file, field, **options)

        return await asyncio.to_thread(work)


class _Job:
    """A file on its way: waiting, then with a process, then done, or dropped by its caller."""

    def __init__(self, owner: str, ask: Ask) -> None:
        self.owner, self.ask = owner, ask
        self.future: Future[Result] = Future()
        self.process: Process | None = None
        self.dropped = False


class Pool:
    """A ``Decoder`` of ``processes`` processes; ``close`` it when nobody uses it any more."""

    def __init__(self, limits: Limits = Limits(), processes: int = PROCESSES) -> None:
        self._limits = limits
        self._most = max(1, processes - 1)  # of one owner at the same time
        self._changed = threading.Condition()
        self._waiting: OrderedDict[str, deque[_Job]] = OrderedDict()
        self._running: list[_Job] = []
        self._closed = False
        self._threads = [
            threading.Thread(target=self._serve, name=f"limner-decode-{n}", daemon=True)
            for n in range(processes)
        ]
        self._started = False

    @property
    def running(self) -> list[int]:
        """Numbers of the processes that decode at this moment."""
        with self._changed:
            return [job.process.id for job in self._running if job.process is not None]

    async def run(
        self, owner: str, task: str, data: bytes | str, field: str, **options: Any
    ) -> Result:
        """See ``Decoder``. A caller who is cancelled takes the process with it.

        Raises also ``TooCostly``, ``DecoderFault``, ``LimitExceeded`` and ``Unavailable``.
        """
        job = _Job(owner, Ask(task, field, data, options))
        self._add(job)
        try:
            return await asyncio.wrap_future(job.future)
        except asyncio.CancelledError:
            self._drop(job)
            raise
        finally:
            del job  # an error knows this frame: the file would stay until the next collection

    def close(self) -> None:
        """Take no more, and end every process."""
        with self._changed:
            self._closed = True
            for job in self._running:
                self._end(job)
            self._changed.notify_all()
        for thread in self._threads if self._started else ():
            thread.join()

    def _add(self, job: _Job) -> None:
        with self._changed:
            mine = self._waiting.get(job.owner, ())
            if len(mine) >= WAITING_PER_OWNER_MAX:
                raise LimitExceeded(
                    f"{WAITING_PER_OWNER_MAX} pictures of this key wait to be decoded, its limit", 2
                )
            if self._closed or sum(map(len, self._waiting.values())) >= WAITING_MAX:
                raise Unavailable(f"{WAITING_MAX} pictures wait to be decoded, the limit", 5)
            self._waiting.setdefault(job.owner, deque()).append(job)
            if not self._started:
                self._started = True
                for thread in self._threads:
                    thread.start()
            self._changed.notify()

    def _drop(self, job: _Job) -> None:
        with self._changed:
            job.dropped = True
            if job in (mine := self._waiting.get(job.owner, deque())):
                mine.remove(job)
                self._tidy(job.owner)
            self._end(job)

    def _end(self, job: _Job) -> None:
        if job.process is not None:
            job.process.kill()

    def _tidy(self, owner: str) -> None:
        if not self._waiting[owner]:
            del self._waiting[owner]

    # On the threads, each of which keeps one process.

    def _serve(self) -> None:
        process: Process | None = None
        while (job := self._take()) is not None:
            process = self._work(job, process)
            del job  # or its picture would stay until the next one comes
        if process is not None:
            process.close()

    def _take(self) -> _Job | None:
        """The next job, waited for; None at the end. Owners take turns."""
        with self._changed:
            while not self._closed:
                if (owner := self._next_owner()) is not None:
                    job = self._waiting[owner].popleft()
                    self._waiting.move_to_end(owner)
                    self._tidy(owner)
                    self._running.append(job)
                    return job
                self._changed.wait()
            for jobs in self._waiting.values():
                for job in jobs:
                    job.future.cancel()
            return None

    def _next_owner(self) -> str | None:
        busy = Counter(job.owner for job in self._running)
        return next((owner for owner in self._waiting if busy[owner] < self._most), None)

    def _work(self, job: _Job, process: Process | None) -> Process | None:
        """Run one job; returns the process that is good for the next, if there is one."""
        outcome: Result | Exception
        try:
            if process is None or not process.alive:
                process = self._fresh(process)
            self._begin(job, process)
            outcome = process.run(job.ask)
        except Exception as error:
            outcome = error
        with self._changed:
            job.process = None
            self._running.remove(job)
            self._changed.notify_all()
        _tell(job.future, outcome)
        return process

    def _begin(self, job: _Job, process: Process) -> None:
        with self._changed:
            job.process = process
            if job.dropped or self._closed:
                process.kill()

    def _fresh(self, former: Process | None) -> Process:
        if former is not None:
            former.close()
        return Process(self._limits)


def _tell(future: Future[Result], outcome: Result | Exception) -> None:
    if not future.set_running_or_notify_cancel():
        return  # its caller has left
    if isinstance(outcome, Result):
        future.set_result(outcome)
    elif isinstance(outcome, LimnerError):
        future.set_exception(outcome)
    else:
        fault = DecoderFault("No process to decode pictures could be had")
        fault.__cause__ = outcome
        future.set_exception(fault)

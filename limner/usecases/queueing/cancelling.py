"""Requests cancelled by their callers: many at once are one transaction.

Each changes the rows of its key and its account, and who has these locked keeps them until the
disk has the transaction. One after another, a hundred of a key would wait for the disk as often.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence

from sqlalchemy import Connection

from limner.errors import Aborted, NotFound, Unavailable
from limner.store import jobs, ledger
from limner.store.keys import Key
from limner.usecases.drawing import settlement
from limner.usecases.drawing.worker import Worker
from limner.usecases.queueing.status import Status, not_found

AT_ONCE = 256
Wish = tuple[Key, str]
Ended = Status | NotFound | None


class Cancelling:
    """Ends requests; those asked for while one transaction is written share the next."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._wishes: list[tuple[Wish, asyncio.Future[Ended | Exception]]] = []
        self._task: asyncio.Task[None] | None = None

    async def end(self, caller: Key, request_id: str) -> Status | None:
        """An open request, cancelled and its hold given back; None for one that had ended.

        Raises ``NotFound``.
        """
        answer: asyncio.Future[Ended | Exception] = asyncio.get_running_loop().create_future()
        self._wishes.append(((caller, request_id), answer))
        if self._task is None:
            self._task = asyncio.create_task(self._work(), name="limner-cancelling")
        ended = await answer
        if isinstance(ended, Exception):
            raise ended
        return ended

    async def _work(self) -> None:
        try:
            while self._wishes:
                taken, self._wishes = self._wishes[:AT_ONCE], self._wishes[AT_ONCE:]
                await self._end_all(taken)
        finally:
            self._task = None

    async def _end_all(
        self, taken: Sequence[tuple[Wish, asyncio.Future[Ended | Exception]]]
    ) -> None:
        told: Sequence[Ended | Exception]
        try:
            told = await self._worker.write_end("", end_all, [wish for wish, _ in taken])
        except Exception as error:
            if len(taken) > 1 and not isinstance(error, Unavailable):
                for each in taken:  # what is wrong with one is no other's trouble
                    await self._end_all([each])
                return
            told = [error] * len(taken)
        for (_, answer), ended in zip(taken, told, strict=True):
            if not answer.done():  # its caller has gone
                answer.set_result(ended)


def end_all(conn: Connection, wishes: Collection[Wish]) -> list[Ended]:
    """Cancel what is open of these requests, in one transaction: an answer for each."""
    asked = {(request_id, caller.account_id) for caller, request_id in wishes}
    found = jobs.lock(conn, [request_id for request_id, _ in asked])
    mine = [job for job in found if (job.id, job.account_id) in asked]
    ending = [(job, cancelled(job.id)) for job in mine if job.open]
    ended = settlement.give_up(conn, ending, "CANCELLED")
    left = {
        id: ledger.balance(conn, id).available_micro for id in {job.account_id for job in ended}
    }
    told: dict[tuple[str, str], Ended] = {(job.id, job.account_id): None for job in mine}
    told |= {(job.id, job.account_id): Status(job, (), left[job.account_id]) for job in ended}
    return [told.get((id, caller.account_id), not_found(id)) for caller, id in wishes]


def cancelled(request_id: str) -> Aborted:
    """How a request ends whose caller wants it no more."""
    return Aborted(f"Request {request_id} was cancelled")

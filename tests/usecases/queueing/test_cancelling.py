"""Many cancelled at once: one transaction for all, and nothing of them is drawn or billed."""

import asyncio

from sqlalchemy import event

from limner.errors import LedgerError
from limner.store import keys, ledger
from tests.store.databases import customer
from tests.usecases.services import all_jobs, balance, order, queue_of
from tests.waiting import HeldEngine, until

# Owner, key, hold, its resolution, transfer and entries, account, request, balance; SQLite says
# besides how long it waits, and that it begins.
STATEMENTS_MAX = 14
MANY = 40
HUNDRED = 100


def test_one_cancel_is_one_short_transaction(database, tmp_path):
    key = customer(database)
    said, begun = [], []

    async def story():
        async with queue_of(database, tmp_path, works=False) as queue:
            job = (await queue.submit(key, order())).job
            event.listen(database.engine, "before_cursor_execute", lambda *a: said.append(a[2]))
            event.listen(database.engine, "begin", begun.append)
            assert (await queue.remove(key, job.id)).job.status == "CANCELLED"
            return len(begun), len(said)

    transactions, statements = asyncio.run(story())
    assert transactions == 1
    assert statements <= STATEMENTS_MAX, "\n".join(said)


def test_a_hundred_cancelled_at_once_lock_their_key_once(database, tmp_path):
    """Who has its row keeps it until the disk has the transaction: else each waits for the last."""
    key, other = customer(database), customer(database)
    said = []

    async def story():
        async with queue_of(database, tmp_path, works=False) as queue:
            orders = [order(seed=seed) for seed in range(HUNDRED)]
            ids = [each.job.id for each in await queue.submit_all(key, orders)]
            others = (await queue.submit(other, order())).job.id
            event.listen(database.engine, "before_cursor_execute", lambda *a: said.append(a[2]))
            asked = [queue.remove(key, id) for id in (*ids, others, "missing")]
            ended = await asyncio.gather(
                *asked, queue.cancel(other, others), return_exceptions=True
            )
            return ended, others

    (*ended, strange, missing, own), others = asyncio.run(story())
    assert {each.job.status for each in (*ended, own)} == {"CANCELLED"}
    assert {each.remaining_micro for each in (*ended, own)} == {1_000_000}
    assert str(strange) == f"Request {others} not found"
    assert str(missing) == "Request missing not found"
    for table in ("keys", "accounts"):
        assert sum(f"UPDATE {table}" in each for each in said) == 2, "once for each key"
    assert sum("INSERT INTO" in each for each in said) == 3
    assert sum("UPDATE requests" in each for each in said) == HUNDRED + 1
    assert balance(database, key).held_micro == balance(database, other).held_micro == 0
    with database.read() as conn:
        assert ledger.check(conn) == []
        spent = [keys.get(conn, each.id).spent_micro for each in (key, other)]
    assert spent == [0, 0]


def test_what_is_wrong_with_one_stops_no_other(database, tmp_path, monkeypatch):
    key, release = customer(database), ledger.release_all

    async def story():
        async with queue_of(database, tmp_path, works=False, empty=False) as queue:
            orders = [order(seed=seed) for seed in range(4)]
            jobs = [each.job for each in await queue.submit_all(key, orders)]

            def broken(conn, hold_ids, outcome):
                release(conn, hold_ids, outcome)
                if jobs[1].hold_id in hold_ids:
                    raise LedgerError("it is broken")

            monkeypatch.setattr(ledger, "release_all", broken)
            asked = (queue.cancel(key, job.id) for job in jobs)
            return await asyncio.gather(*asked, return_exceptions=True)

    first, second, *others = asyncio.run(story())
    assert str(second) == "it is broken"
    assert {each.job.status for each in (first, *others)} == {"CANCELLED"}
    assert all_jobs(database, "QUEUED") == 1
    with database.read() as conn:
        assert ledger.check(conn) == []


def test_many_cancelled_at_once_stop_and_cost_nothing(database, tmp_path):
    key = customer(database)

    async def story():
        engine = HeldEngine()
        async with queue_of(database, tmp_path, engine=engine) as queue:
            orders = [order(seed=seed) for seed in range(MANY)]
            ids = [each.job.id for each in await queue.submit_all(key, orders)]
            await until(lambda: engine.gate.images)
            ended = await asyncio.gather(*(queue.remove(key, id) for id in ids))
            engine.release()
            await until(lambda: not queue.worker.running and not engine.status().running)
            return ended

    ended = asyncio.run(story())
    assert {each.job.status for each in ended} == {"CANCELLED"}
    assert all_jobs(database, "CANCELLED") == MANY
    assert balance(database, key).available_micro == 1_000_000
    assert balance(database, key).held_micro == 0

"""The ledger: each rule alone, then all against each other in threads."""

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import func, insert, select, update
from sqlalchemy.exc import DatabaseError, IntegrityError

from limner.errors import InsufficientCredits, InvalidInput, LedgerError, NotFound
from limner.store import leases, ledger
from limner.store.ledger import Balance
from limner.store.schema import accounts, entries, holds, resolutions, transfers
from limner.store.sql import now


@pytest.fixture
def account(database):
    with database.begin() as conn:
        account_id = ledger.create_account(conn, "someone")
        ledger.grant(conn, account_id, 100, id="grant_1")
    return account_id


@pytest.fixture
def lease(database):
    with database.begin() as conn:
        return leases.open(conn)


def books(database, account_id):
    with database.read() as conn:
        faults = [fault for fault in ledger.check(conn) if fault.kind != "lost hold"]
        assert faults == []
        return ledger.balance(conn, account_id)


def test_a_hold_is_captured_in_part_and_the_rest_released(database, account, lease):
    with database.begin() as conn:
        ledger.hold(conn, account, 60, id="hold_1", lease_id=lease)
    assert books(database, account) == Balance(40, 60)
    with database.begin() as conn:
        ledger.capture(conn, "hold_1", 45)
    assert books(database, account) == Balance(55, 0)
    with database.read() as conn:
        assert ledger.totals(conn) == {"issued": -100, "available": 55, "held": 0, "income": 45}
        kinds = select(transfers.c.kind, transfers.c.amount_micro).where(
            transfers.c.resolves == "hold_1"
        )
        assert sorted(map(tuple, conn.execute(kinds))) == [("capture", 45), ("release", 15)]


@pytest.mark.parametrize("outcome", ["release", "expire"])
def test_a_hold_is_given_back(database, account, lease, outcome):
    with database.begin() as conn:
        ledger.hold(conn, account, 100, id="hold_1", lease_id=lease)
        ledger.release(conn, "hold_1", outcome)
    assert books(database, account) == Balance(100, 0)


def test_no_more_than_there_is_can_be_held(database, account, lease):
    sentence = r"^Insufficient credits: .*0\.0001 .*0\.000101"
    with pytest.raises(InsufficientCredits, match=sentence) as e, database.begin() as conn:
        ledger.hold(conn, account, 101, id="hold_1", lease_id=lease)
    assert (e.value.available_micro, e.value.price_micro) == (100, 101)
    assert books(database, account) == Balance(100, 0)


def test_every_write_is_idempotent_by_its_id(database, account, lease):
    for _ in range(3):
        with database.begin() as conn:
            ledger.grant(conn, account, 100, id="grant_1")
            ledger.withdraw(conn, account, 5, id="withdraw_1")
            ledger.hold(conn, account, 60, id="hold_1", lease_id=lease)
            ledger.hold(conn, account, 10, id="hold_2", lease_id=lease)
            ledger.capture(conn, "hold_1", 50)
            ledger.release(conn, "hold_2")
    assert books(database, account) == Balance(45, 0)


@pytest.mark.parametrize(
    "write",
    [
        lambda conn, a: ledger.grant(conn, a, 99, id="grant_1"),
        lambda conn, a: ledger.hold(conn, a, 61, id="hold_1", lease_id=None),
        lambda conn, a: ledger.hold(conn, a, 60, id="grant_1", lease_id=None),
        lambda conn, a: ledger.capture(conn, "hold_1", 49),
        lambda conn, a: ledger.release(conn, "hold_1"),
        lambda conn, a: ledger.release(conn, "hold_1", "expire"),
        lambda conn, a: ledger.capture(conn, "hold_9", 1),
        lambda conn, a: ledger.release(conn, "hold_9"),
        lambda conn, a: ledger.capture(conn, "hold_2", 11),
        lambda conn, a: ledger.capture(conn, "hold_2", 0),
        lambda conn, a: ledger.capture(conn, "hold_2", 10, lease_id="lease_of_another"),
        lambda conn, a: ledger.grant(conn, a, 0, id="grant_2"),
        lambda conn, a: ledger.grant(conn, a, -1, id="grant_2"),
    ],
)
def test_what_the_rules_forbid_is_refused(database, account, lease, write):
    with database.begin() as conn:
        ledger.hold(conn, account, 60, id="hold_1", lease_id=lease)
        ledger.capture(conn, "hold_1", 50)
        ledger.hold(conn, account, 10, id="hold_2", lease_id=lease)
    with pytest.raises(LedgerError), database.begin() as conn:
        write(conn, account)
    assert books(database, account) == Balance(40, 10)


def test_no_sum_of_grants_leaves_64_bits(database, account):
    with pytest.raises(InvalidInput, match=r"at most 1,000,000,000$"), database.begin() as conn:
        ledger.grant(conn, account, 10**15 + 1, id="grant_large")
    with database.begin() as conn:
        other = ledger.create_account(conn, "other")
        ledger.grant(conn, account, 10**15, id="grant_2")
        # As after another 998 such grants, to whichever accounts.
        conn.execute(
            update(accounts).where(accounts.c.id == other).values(available_micro=998 * 10**15)
        )
    with pytest.raises(InvalidInput, match=r"at most 1,000,000,000,000$"), database.begin() as conn:
        ledger.grant(conn, other, 10**15, id="grant_3")
    with database.begin() as conn:
        ledger.grant(conn, other, 10**15 - 100, id="grant_4")  # 100 were there at the start
    with database.read() as conn:
        held = [ledger.balance(conn, each).available_micro for each in (account, other)]
        assert sum(held) == 10**18
        assert conn.execute(select(func.sum(accounts.c.available_micro))).scalar() == 10**18


def test_unknown_accounts_are_not_found(database):
    for account_id in ("acc_9", "issued", "income"):
        with pytest.raises(NotFound), database.begin() as conn:
            ledger.balance(conn, account_id)
    with pytest.raises(NotFound), database.begin() as conn:
        ledger.grant(conn, "issued", 1, id="grant_1")


@pytest.mark.parametrize("table", [transfers, entries, resolutions])
@pytest.mark.parametrize("verb", ["update", "delete"])
def test_history_cannot_be_changed(database, account, lease, table, verb):
    with database.begin() as conn:
        ledger.hold(conn, account, 60, id="hold_1", lease_id=lease)
        ledger.release(conn, "hold_1")
    column = table.c.created_at if "created_at" in table.c else table.c.pocket
    value = 1.0 if "created_at" in table.c else "held"
    statement = table.delete() if verb == "delete" else update(table).values({column: value})
    with pytest.raises(DatabaseError, match="immutable"), database.begin() as conn:
        conn.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        update(accounts).where(accounts.c.kind == "customer").values(available_micro=-1),
        update(accounts).where(accounts.c.kind == "customer").values(held_micro=-1),
        update(accounts).where(accounts.c.kind == "customer").values(held_micro=None),
        update(accounts).where(accounts.c.kind == "system").values(available_micro=1),
        insert(transfers).values(
            id="t", kind="grant", account_id="issued", amount_micro=0, created_at=0
        ),
        update(accounts).where(accounts.c.kind == "customer").values(available_micro=10**18 + 1),
        update(accounts).where(accounts.c.kind == "customer").values(held_micro=10**18 + 1),
        insert(transfers).values(
            id="t", kind="grant", account_id="issued", amount_micro=10**15 + 1, created_at=0
        ),
        insert(transfers).values(
            id="t", kind="gift", account_id="issued", amount_micro=1, created_at=0
        ),
        insert(transfers).values(
            id="t", kind="capture", account_id="issued", amount_micro=1, created_at=0
        ),
        insert(entries).values(
            transfer_id="grant_1", side=1, account_id="issued", pocket="held", amount_micro=100
        ),
        insert(entries).values(
            transfer_id="grant_1", side=2, account_id="issued", pocket="held", amount_micro=100
        ),
        insert(holds).values(id="grant_9"),
        insert(resolutions).values(hold_id="grant_9", outcome="release", created_at=0),
    ],
)
def test_the_schema_itself_keeps_the_rules(database, account, statement):
    with pytest.raises(IntegrityError), database.begin() as conn:
        conn.execute(statement)


def test_an_entry_cannot_differ_from_its_transfer(database, account):
    with pytest.raises(IntegrityError), database.begin() as conn:  # noqa: PT012
        row = {"id": "t", "kind": "grant", "account_id": account, "amount_micro": 5}
        conn.execute(insert(transfers).values(**row, created_at=0))
        conn.execute(
            insert(entries).values(
                transfer_id="t", side=1, account_id=account, pocket="available", amount_micro=6
            )
        )


def test_a_hold_is_resolved_once_by_the_schema(database, account, lease):
    with database.begin() as conn:
        ledger.hold(conn, account, 60, id="hold_1", lease_id=lease)
        ledger.release(conn, "hold_1")
    with pytest.raises(IntegrityError), database.begin() as conn:
        conn.execute(insert(resolutions).values(hold_id="hold_1", outcome="capture", created_at=0))


def in_threads(number, work):
    """Run ``work(index)`` at the same moment in so many threads; returns results or errors."""
    barrier = threading.Barrier(number)

    def start(index):
        barrier.wait()
        try:
            return work(index)
        except Exception as error:
            return error

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(start, range(number)))


def test_race_for_the_last_credits(database, account, lease):
    def work(index):
        with database.begin() as conn:
            return ledger.hold(conn, account, 30, id=f"hold_{index}", lease_id=lease)

    done = in_threads(8, work)
    assert sum(isinstance(one, ledger.Hold) for one in done) == 3
    assert sum(isinstance(one, InsufficientCredits) for one in done) == 5
    assert books(database, account) == Balance(10, 90)


def test_race_to_resolve_one_hold(database, account, lease):
    for turn in range(10):
        hold_id = f"hold_{turn}"
        with database.begin() as conn:
            ledger.hold(conn, account, 6, id=hold_id, lease_id=lease)

        def work(index, hold_id=hold_id):
            with database.begin() as conn:
                if index % 3 == 0:
                    ledger.capture(conn, hold_id, 4)
                else:
                    ledger.release(conn, hold_id, "release" if index % 3 == 1 else "expire")

        done = in_threads(6, work)
        # The winner, and its twin, which found its own outcome written already.
        assert [type(one) for one in done].count(type(None)) == 2
        assert [type(one) for one in done].count(LedgerError) == 4
        books(database, account)


def test_race_to_write_one_id(database, account, lease):
    def work(index):
        with database.begin() as conn:
            ledger.grant(conn, account, 7, id="grant_2")
            return ledger.hold(conn, account, 5, id="hold_1", lease_id=lease)

    done = in_threads(8, work)
    assert all(isinstance(one, ledger.Hold) for one in done), done
    assert books(database, account) == Balance(102, 5)


def test_nobody_deadlocks_over_many_accounts(database, lease):
    """Random holds, captures and releases over few accounts: no error but the expected ones."""
    with database.begin() as conn:
        customers = [ledger.create_account(conn, f"c{i}") for i in range(3)]
        for i, account_id in enumerate(customers):
            ledger.grant(conn, account_id, 500, id=f"grant_c{i}")

    def work(index):
        dice, taken = random.Random(index), 0
        for step in range(12):
            hold_id, amount = f"hold_{index}_{step}", dice.randint(1, 60)
            try:
                with database.begin() as conn:
                    ledger.hold(conn, dice.choice(customers), amount, id=hold_id, lease_id=lease)
            except InsufficientCredits:
                continue
            with database.begin() as conn:
                if dice.random() < 0.5:
                    ledger.capture(conn, hold_id, captured := dice.randint(1, amount))
                    taken += captured
                else:
                    ledger.release(conn, hold_id)
        return taken

    done = in_threads(8, work)
    assert all(isinstance(one, int) for one in done), done
    with database.read() as conn:
        assert ledger.check(conn) == []
        assert ledger.totals(conn) == {
            "issued": -1500,
            "available": 1500 - sum(done),
            "held": 0,
            "income": sum(done),
        }


def test_a_hold_of_a_living_process_is_not_dead(database, account):
    with database.begin() as conn:
        short, long = leases.open(conn, ttl_s=0.05), leases.open(conn, ttl_s=60)
        ledger.hold(conn, account, 1, id="hold_1", lease_id=short)
        ledger.hold(conn, account, 1, id="hold_2", lease_id=long)
        ledger.hold(conn, account, 1, id="hold_3", lease_id=None)
    time.sleep(0.1)
    with database.begin() as conn:
        moment = now(conn)
        assert leases.dead_holds(conn, moment) == ["hold_1"]
        assert [leases.is_dead(conn, f"hold_{i}", moment) for i in (1, 2, 3, 4)] == [
            True, False, False, False,
        ]  # fmt: skip
        assert not leases.renew(conn, short)  # once it has ended it stays so
        assert leases.renew(conn, long)
        leases.close(conn, long)
        assert leases.dead_holds(conn, moment) == ["hold_1", "hold_2"]
        assert ledger.carry(conn, "hold_2", None)
        leases.forget(conn, moment)
        left = select(func.count()).select_from(leases.leases)
        assert conn.execute(left).scalar() == 2  # its process may not have noticed yet
        leases.forget(conn, moment + leases.FORGOTTEN_S + 1)
        left = select(func.count()).select_from(leases.leases)
        assert conn.execute(left).scalar() == 1  # the one that still carries hold_1


def test_the_server_clock_is_used(database):
    with database.read() as conn:
        assert abs(now(conn) - time.time()) < 60

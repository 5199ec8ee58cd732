"""Double-entry bookkeeping in integer micro-credits (docs/ledger.md).

Customer accounts have two pockets, ``available`` and ``held``; the system's are ``issued`` and
``income``. Transfers are positive and immutable, and each writes its two entries:

    grant     issued -> available        withdraw  available -> issued
    hold      available -> held          capture   held -> income
    release, expire                      held -> available

Every write is idempotent by its own id. Balances change by conditional updates, so READ
COMMITTED suffices. A transaction locks the account's row last.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from limner.domain.pricing import MICRO, as_text
from limner.errors import InsufficientCredits, InvalidInput, LedgerError, NotFound
from limner.store import ids
from limner.store.audit import Fault, check
from limner.store.schema import (
    AMOUNT_MAX_MICRO,
    CUSTOMER_POCKETS,
    POCKETS,
    TOTAL_MAX_MICRO,
    accounts,
    entries,
    holds,
    resolutions,
    transfers,
)
from limner.store.sql import clock, insert_once

__all__ = ["Balance", "Fault", "Hold", "balance", "capture", "carry", "check", "create_account"]
__all__ += ["find_hold", "grant", "hold", "release", "totals", "withdraw"]


@dataclass(frozen=True)
class Balance:
    """What an account can spend, and what is reserved for work in progress."""

    available_micro: int
    held_micro: int


@dataclass(frozen=True)
class Hold:
    """An open reservation; ``lease_id`` None means that no process works on it yet."""

    id: str
    account_id: str
    amount_micro: int
    lease_id: str | None


def create_account(conn: Connection, name: str) -> str:
    """A new customer account with nothing in it; returns its id."""
    account_id = ids.new("acc")
    row = {"id": account_id, "name": name, "kind": "customer", "created_at": clock(conn)}
    conn.execute(insert(accounts).values(**row, available_micro=0, held_micro=0))
    return account_id


def balance(conn: Connection, account_id: str) -> Balance:
    """The running balance of a customer account. Raises ``NotFound``."""
    columns = (accounts.c.available_micro, accounts.c.held_micro)
    query = select(*columns).where(accounts.c.id == account_id, accounts.c.kind == "customer")
    row = conn.execute(query).one_or_none()
    if row is None:
        raise NotFound(f"Account {account_id} not found")
    return Balance(row.available_micro, row.held_micro)


def grant(conn: Connection, account_id: str, micro: int, *, id: str) -> None:
    """Give ``micro`` new micro-credits to an account; again with the same ``id``: nothing.

    Raises ``InvalidInput`` for more than ``AMOUNT_MAX_MICRO``, and where all accounts together
    would hold more than ``TOTAL_MAX_MICRO``.
    """
    if micro > AMOUNT_MAX_MICRO:
        raise InvalidInput(
            "credits",
            f"credits is {as_text(micro)}; a grant is at most {AMOUNT_MAX_MICRO // MICRO:,}",
        )
    if _post(conn, "grant", id, account_id, micro):
        _check_total(conn, micro)
        _move(conn, account_id, available=micro)


def _check_total(conn: Connection, micro: int) -> None:
    everything = func.sum(accounts.c.available_micro + accounts.c.held_micro)
    total = int(conn.execute(select(func.coalesce(everything, 0))).scalar_one())
    if total + micro > TOTAL_MAX_MICRO:
        raise InvalidInput(
            "credits",
            f"credits is {as_text(micro)}, and all accounts together hold {as_text(total)}; they "
            f"may hold at most {TOTAL_MAX_MICRO // MICRO:,}",
        )


def withdraw(conn: Connection, account_id: str, micro: int, *, id: str) -> None:
    """Take back what was granted by mistake. Raises ``InsufficientCredits``."""
    if _post(conn, "withdraw", id, account_id, micro):
        _move(conn, account_id, available=-micro)


def hold(conn: Connection, account_id: str, micro: int, *, id: str, lease_id: str | None) -> Hold:
    """Reserve ``micro`` for the work of the process that keeps ``lease_id``.

    With ``lease_id`` None it belongs to a stored request that waits for a process. Raises
    ``InsufficientCredits`` when less is available.
    """
    if _post(conn, "hold", id, account_id, micro):
        _move(conn, account_id, available=-micro, held=micro)
        conn.execute(insert(holds).values(id=id, lease_id=lease_id))
    return Hold(id, account_id, micro, lease_id)


def afford(conn: Connection, account_id: str, micro: int) -> None:
    """Raises ``InsufficientCredits`` when less than ``micro``, or nothing, is available."""
    left = balance(conn, account_id).available_micro
    if left < max(1, micro):
        raise _insufficient(left, micro)


def capture(conn: Connection, hold_id: str, micro: int, *, lease_id: str | None = None) -> None:
    """Take ``micro`` of a hold and release the rest.

    Given ``lease_id``, the hold must still be carried by it. Raises ``LedgerError`` when the
    hold is lost, was resolved otherwise, or is smaller than ``micro``.
    """
    open_hold = _take(conn, hold_id, "capture", lease_id)
    if open_hold is None:
        _expect_captured(conn, hold_id, micro)
        return
    rest = open_hold.amount_micro - micro
    if micro <= 0 or rest < 0:
        raise LedgerError(
            f"{micro} micro-credits cannot be captured of hold {hold_id} "
            f"over {open_hold.amount_micro}"
        )
    account_id = open_hold.account_id
    _post(conn, "capture", f"{hold_id}/capture", account_id, micro, hold_id)
    if rest:
        _post(conn, "release", f"{hold_id}/release", account_id, rest, hold_id)
    _move(conn, account_id, available=rest, held=-open_hold.amount_micro)


def release(
    conn: Connection, hold_id: str, outcome: Literal["release", "expire"] = "release"
) -> None:
    """Give a hold back whole; ``expire`` when its process is gone.

    Raises ``LedgerError`` when it was captured.
    """
    open_hold = _take(conn, hold_id, outcome, None)
    if open_hold is None:
        return
    amount = open_hold.amount_micro
    _post(conn, outcome, f"{hold_id}/{outcome}", open_hold.account_id, amount, hold_id)
    _move(conn, open_hold.account_id, available=amount, held=-amount)


def find_hold(conn: Connection, hold_id: str, *, lock: bool = False) -> Hold | None:
    """An open hold, or None when it is resolved or never was."""
    query = (
        select(holds.c.id, transfers.c.account_id, transfers.c.amount_micro, holds.c.lease_id)
        .join(transfers, transfers.c.id == holds.c.id)
        .where(holds.c.id == hold_id)
    )
    if lock:
        query = query.with_for_update(of=holds)
    row = conn.execute(query).one_or_none()
    return None if row is None else Hold(*row)


def carry(conn: Connection, hold_id: str, lease_id: str | None) -> bool:
    """Hand an open hold to a lease, or (None) back to the queue; False when it is resolved."""
    change = update(holds).where(holds.c.id == hold_id).values(lease_id=lease_id)
    return conn.execute(change).rowcount == 1


def totals(conn: Connection) -> dict[str, int]:
    """Micro-credits in each pocket over all accounts, from the entries; they sum to zero."""
    query = select(entries.c.pocket, func.sum(entries.c.side * entries.c.amount_micro))
    found = {pocket: int(total) for pocket, total in conn.execute(query.group_by(entries.c.pocket))}
    return {pocket: found.get(pocket, 0) for pocket in ("issued", "available", "held", "income")}


def _post(
    conn: Connection, kind: str, id: str, account_id: str, micro: int, resolves: str | None = None
) -> bool:
    """Write a transfer and its two entries; False when it was written before, just so."""
    if micro <= 0:
        raise LedgerError(f"A {kind} of {micro} micro-credits: the amount must be positive")
    row = {"id": id, "kind": kind, "account_id": account_id, "amount_micro": micro}
    if not insert_once(conn, transfers, {**row, "resolves": resolves, "created_at": clock(conn)}):
        _expect_same(conn, row)
        return False
    leaves, enters = POCKETS[kind]
    sides = [(-1, leaves), (1, enters)]
    conn.execute(
        insert(entries),
        [
            {
                "transfer_id": id,
                "side": side,
                "account_id": account_id if pocket in CUSTOMER_POCKETS else pocket,
                "pocket": pocket,
                "amount_micro": micro,
            }
            for side, pocket in sides
        ],
    )
    return True


def _expect_same(conn: Connection, row: dict[str, object]) -> None:
    columns = [transfers.c[name] for name in row]
    found = conn.execute(select(*columns).where(transfers.c.id == row["id"])).one_or_none()
    if found is None or dict(found._mapping) != row:
        raise LedgerError(f"Transfer {row['id']} exists already and is another one")


def _move(conn: Connection, account_id: str, *, available: int = 0, held: int = 0) -> None:
    """Change the running balance, provided that no pocket falls below zero."""
    change = (
        update(accounts)
        .where(accounts.c.id == account_id, accounts.c.kind == "customer")
        .where(accounts.c.available_micro + available >= 0, accounts.c.held_micro + held >= 0)
        .values(
            available_micro=accounts.c.available_micro + available,
            held_micro=accounts.c.held_micro + held,
        )
    )
    if conn.execute(change).rowcount == 1:
        return
    raise _insufficient(balance(conn, account_id).available_micro, -available)


def _insufficient(left: int, micro: int) -> InsufficientCredits:
    price = f" and the price {as_text(micro)}" if micro else ""  # 0: it is not known yet
    return InsufficientCredits(
        f"Insufficient credits: the balance is {as_text(left)}{price}",
        available_micro=left,
        price_micro=micro,
    )


def _take(conn: Connection, hold_id: str, outcome: str, lease_id: str | None) -> Hold | None:
    """Resolve an open hold; None when it was resolved before with the same outcome."""
    found = find_hold(conn, hold_id, lock=True)
    if found is None:
        _expect_outcome(conn, hold_id, outcome)
        return None
    if lease_id is not None and found.lease_id != lease_id:
        raise LedgerError(f"Hold {hold_id} is no longer carried by lease {lease_id}")
    row = {"hold_id": hold_id, "outcome": outcome, "created_at": clock(conn)}
    conn.execute(insert(resolutions).values(**row))
    conn.execute(delete(holds).where(holds.c.id == hold_id))
    return found


def _expect_outcome(conn: Connection, hold_id: str, outcome: str) -> None:
    query = select(resolutions.c.outcome).where(resolutions.c.hold_id == hold_id)
    found = conn.execute(query).scalar_one_or_none()
    if found is None:
        raise LedgerError(f"Hold {hold_id} does not exist")
    if found != outcome:
        raise LedgerError(f"Hold {hold_id} was resolved before, by {found}: no {outcome} any more")


def _expect_captured(conn: Connection, hold_id: str, micro: int) -> None:
    query = select(transfers).where(transfers.c.id == f"{hold_id}/capture")
    row: Row[tuple[object, ...]] = conn.execute(query).one()
    if row.amount_micro != micro:
        raise LedgerError(f"Hold {hold_id} was captured before with {row.amount_micro}")

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

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, Row, Select, delete, func, insert, select, update

from limner.domain.pricing import MICRO, as_text
from limner.errors import InvalidInput, LedgerError
from limner.store import ids
from limner.store.audit import Fault, check
from limner.store.posting import Balance, balance, enter, insufficient, move, post, sums
from limner.store.schema import (
    AMOUNT_MAX_MICRO,
    TOTAL_MAX_MICRO,
    accounts,
    entries,
    holds,
    resolutions,
    transfers,
)
from limner.store.sql import clock

__all__ = ["Balance", "Fault", "Hold", "balance", "capture", "carry", "check", "create_account"]
__all__ += ["find_hold", "grant", "hold", "release", "release_all", "sums", "totals"]
__all__ += ["withdraw"]


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
    if post(conn, "grant", id, account_id, micro):
        _check_total(conn, micro)
        move(conn, account_id, available=micro)


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
    if post(conn, "withdraw", id, account_id, micro):
        move(conn, account_id, available=-micro)


def hold(conn: Connection, account_id: str, micro: int, *, id: str, lease_id: str | None) -> Hold:
    """Reserve ``micro`` for the work of the process that keeps ``lease_id``.

    With ``lease_id`` None it belongs to a stored request that waits for a process. Raises
    ``InsufficientCredits`` when less is available.
    """
    if post(conn, "hold", id, account_id, micro):
        move(conn, account_id, available=-micro, held=micro)
        conn.execute(insert(holds).values(id=id, lease_id=lease_id))
    return Hold(id, account_id, micro, lease_id)


def afford(conn: Connection, account_id: str, micro: int) -> None:
    """Raises ``InsufficientCredits`` when less than ``micro``, or nothing, is available."""
    left = balance(conn, account_id).available_micro
    if left < max(1, micro):
        raise insufficient(left, micro)


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
    post(conn, "capture", f"{hold_id}/capture", account_id, micro, hold_id)
    if rest:
        post(conn, "release", f"{hold_id}/release", account_id, rest, hold_id)
    move(conn, account_id, available=rest, held=-open_hold.amount_micro)


def release(
    conn: Connection, hold_id: str, outcome: Literal["release", "expire"] = "release"
) -> None:
    """Give a hold back whole; ``expire`` when its process is gone.

    Raises ``LedgerError`` when it was captured.
    """
    release_all(conn, [hold_id], outcome)


def release_all(
    conn: Connection, hold_ids: Collection[str], outcome: Literal["release", "expire"] = "release"
) -> None:
    """``release`` for several, in as many statements as for one; accounts' rows last, in order."""
    query = _open_holds().where(holds.c.id.in_(hold_ids)).order_by(holds.c.id)
    found = [Hold(*row) for row in conn.execute(query.with_for_update(of=holds))]
    for hold_id in set(hold_ids) - {each.id for each in found}:
        _expect_outcome(conn, hold_id, outcome)
    if not found:
        return
    at = clock(conn)
    resolved = [{"hold_id": each.id, "outcome": outcome} for each in found]
    conn.execute(insert(resolutions).values(created_at=at), resolved)
    conn.execute(delete(holds).where(holds.c.id.in_([each.id for each in found])))
    rows = [
        {
            "id": f"{each.id}/{outcome}",
            "kind": outcome,
            "account_id": each.account_id,
            "amount_micro": each.amount_micro,
            "resolves": each.id,
        }
        for each in found
    ]
    conn.execute(insert(transfers).values(created_at=at), rows)
    enter(conn, rows)
    for account_id, micro in sums((each.account_id, each.amount_micro) for each in found):
        move(conn, account_id, available=micro, held=-micro)


def find_hold(conn: Connection, hold_id: str, *, lock: bool = False) -> Hold | None:
    """An open hold, or None when it is resolved or never was."""
    query = _open_holds().where(holds.c.id == hold_id)
    if lock:
        query = query.with_for_update(of=holds)
    row = conn.execute(query).one_or_none()
    return None if row is None else Hold(*row)


def _open_holds() -> Select[Any]:
    columns = holds.c.id, transfers.c.account_id, transfers.c.amount_micro, holds.c.lease_id
    return select(*columns).join(transfers, transfers.c.id == holds.c.id)


def carry(conn: Connection, hold_id: str, lease_id: str | None) -> bool:
    """Hand an open hold to a lease, or (None) back to the queue; False when it is resolved."""
    change = update(holds).where(holds.c.id == hold_id).values(lease_id=lease_id)
    return conn.execute(change).rowcount == 1


def totals(conn: Connection) -> dict[str, int]:
    """Micro-credits in each pocket over all accounts, from the entries; they sum to zero."""
    query = select(entries.c.pocket, func.sum(entries.c.side * entries.c.amount_micro))
    found = {pocket: int(total) for pocket, total in conn.execute(query.group_by(entries.c.pocket))}
    return {pocket: found.get(pocket, 0) for pocket in ("issued", "available", "held", "income")}


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

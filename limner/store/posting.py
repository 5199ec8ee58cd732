"""Transfers with their two entries, and the running balances that they change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select, update

from limner.domain.pricing import as_text
from limner.errors import InsufficientCredits, LedgerError, NotFound
from limner.store.schema import CUSTOMER_POCKETS, POCKETS, accounts, entries, transfers
from limner.store.sql import clock, insert_once


@dataclass(frozen=True)
class Balance:
    """What an account can spend, and what is reserved for work in progress."""

    available_micro: int
    held_micro: int


def balance(conn: Connection, account_id: str) -> Balance:
    """The running balance of a customer account. Raises ``NotFound``."""
    columns = (accounts.c.available_micro, accounts.c.held_micro)
    query = select(*columns).where(accounts.c.id == account_id, accounts.c.kind == "customer")
    row = conn.execute(query).one_or_none()
    if row is None:
        raise NotFound(f"Account {account_id} not found")
    return Balance(row.available_micro, row.held_micro)


def post(
    conn: Connection, kind: str, id: str, account_id: str, micro: int, resolves: str | None = None
) -> bool:
    """Write a transfer and its two entries; False when it was written before, just so."""
    if micro <= 0:
        raise LedgerError(f"A {kind} of {micro} micro-credits: the amount must be positive")
    row = {"id": id, "kind": kind, "account_id": account_id, "amount_micro": micro}
    if not insert_once(conn, transfers, {**row, "resolves": resolves, "created_at": clock(conn)}):
        _expect_same(conn, row)
        return False
    enter(conn, [row])
    return True


def enter(conn: Connection, posted: Iterable[Mapping[str, Any]]) -> None:
    """Write the two entries of each of these transfers."""
    entered = [
        {
            "transfer_id": each["id"],
            "side": side,
            "account_id": each["account_id"] if pocket in CUSTOMER_POCKETS else pocket,
            "pocket": pocket,
            "amount_micro": each["amount_micro"],
        }
        for each in posted
        for side, pocket in zip((-1, 1), POCKETS[each["kind"]], strict=True)
    ]
    conn.execute(insert(entries), entered)


def _expect_same(conn: Connection, row: dict[str, object]) -> None:
    columns = [transfers.c[name] for name in row]
    found = conn.execute(select(*columns).where(transfers.c.id == row["id"])).one_or_none()
    if found is None or dict(found._mapping) != row:
        raise LedgerError(f"Transfer {row['id']} exists already and is another one")


def move(conn: Connection, account_id: str, *, available: int = 0, held: int = 0) -> None:
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
    raise insufficient(balance(conn, account_id).available_micro, -available)


def insufficient(left: int, micro: int) -> InsufficientCredits:
    """The error for a price that an account cannot pay."""
    price = f" and the price {as_text(micro)}" if micro else ""  # 0: it is not known yet
    return InsufficientCredits(
        f"Insufficient credits: the balance is {as_text(left)}{price}",
        available_micro=left,
        price_micro=micro,
    )


def sums(amounts: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    """What each name has in all, by name: rows are locked in this order."""
    total: Counter[str] = Counter()
    for name, micro in amounts:
        total[name] += micro
    return sorted(total.items())

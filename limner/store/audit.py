"""Proof that the books are right: every rule of docs/ledger.md, checked from the entries up.

Each rule is one query that finds what breaks it. They run in one snapshot, so that a living
database can be checked while it works.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, text

from limner.store.sql import now

# A lease that ended moments ago is about to be noticed; one this old has been forgotten.
LOST_AFTER_S = 120.0


@dataclass(frozen=True)
class Fault:
    """One broken rule: ``subject`` is the id of the row, ``detail`` a sentence about it."""

    kind: str
    subject: str
    detail: str


# kind -> (sentence, query of the ids that break it). Signed sums: side is -1 or 1.
RULES = {
    "unbalanced": (
        "the entries of this transfer are not one on each side with its amount",
        """SELECT t.id FROM transfers t LEFT JOIN entries e ON e.transfer_id = t.id
           GROUP BY t.id, t.amount_micro
           HAVING count(e.side) <> 2 OR sum(e.side * e.amount_micro) <> 0
              OR max(e.amount_micro) <> t.amount_micro""",
    ),
    "stray entry": (
        "this entry belongs to no transfer",
        """SELECT e.transfer_id FROM entries e LEFT JOIN transfers t ON t.id = e.transfer_id
           WHERE t.id IS NULL""",
    ),
    "wrong pocket": (
        "this transfer moved credits between pockets or accounts that its kind does not join",
        """SELECT t.id FROM transfers t JOIN entries e ON e.transfer_id = t.id
           WHERE e.pocket <> CASE
               WHEN t.kind = 'grant' AND e.side = -1 THEN 'issued'
               WHEN t.kind = 'withdraw' AND e.side = 1 THEN 'issued'
               WHEN t.kind = 'capture' AND e.side = 1 THEN 'income'
               WHEN t.kind = 'hold' AND e.side = 1 THEN 'held'
               WHEN t.kind IN ('capture', 'release', 'expire') AND e.side = -1 THEN 'held'
               ELSE 'available' END
           OR e.account_id <> CASE
               WHEN e.pocket IN ('issued', 'income') THEN e.pocket ELSE t.account_id END""",
    ),
    "wrong balance": (
        "the running balance of this account is not the sum of its entries",
        """SELECT a.id FROM accounts a LEFT JOIN entries e ON e.account_id = a.id
           WHERE a.kind = 'customer' GROUP BY a.id, a.available_micro, a.held_micro
           HAVING a.available_micro <> coalesce(
                  sum(CASE WHEN e.pocket = 'available' THEN e.side * e.amount_micro END), 0)
               OR a.held_micro <> coalesce(
                  sum(CASE WHEN e.pocket = 'held' THEN e.side * e.amount_micro END), 0)""",
    ),
    "negative balance": (
        "this account has less than nothing",
        "SELECT id FROM accounts WHERE available_micro < 0 OR held_micro < 0",
    ),
    "unresolved": (
        "this hold is neither open nor resolved, or both",
        """SELECT t.id FROM transfers t LEFT JOIN holds h ON h.id = t.id
           LEFT JOIN resolutions r ON r.hold_id = t.id
           WHERE t.kind = 'hold' AND (h.id IS NULL) = (r.hold_id IS NULL)""",
    ),
    "no hold": (
        "an open hold or a resolution names a transfer that is no hold",
        """SELECT x.id FROM (SELECT id FROM holds UNION SELECT hold_id FROM resolutions) x
           LEFT JOIN transfers t ON t.id = x.id WHERE t.id IS NULL OR t.kind <> 'hold'""",
    ),
    "wrong resolution": (
        "what this hold was resolved into is not its amount, or not its outcome",
        """SELECT r.hold_id FROM resolutions r JOIN transfers h ON h.id = r.hold_id
           LEFT JOIN transfers t ON t.resolves = r.hold_id
           GROUP BY r.hold_id, r.outcome, h.amount_micro, h.account_id
           HAVING coalesce(sum(t.amount_micro), 0) <> h.amount_micro
               OR sum(CASE WHEN t.kind = r.outcome THEN 1 ELSE 0 END) <> 1
               OR sum(CASE WHEN t.kind <> r.outcome
                       AND NOT (r.outcome = 'capture' AND t.kind = 'release')
                      THEN 1 ELSE 0 END) <> 0
               OR min(t.account_id) <> h.account_id OR max(t.account_id) <> h.account_id""",
    ),
    "lost hold": (
        "the process that owned this hold is gone, and nobody has given it back",
        """SELECT h.id FROM holds h LEFT JOIN leases l ON l.id = h.lease_id
           LEFT JOIN requests r ON r.hold_id = h.id
           WHERE r.id IS NULL
              OR (h.lease_id IS NOT NULL AND (l.id IS NULL OR l.expires_at < :lost))
              OR (h.lease_id IS NULL) <> (r.status = 'QUEUED')""",
    ),
    "stuck request": (
        "this request waits or runs without a hold, or is finished with its hold still open",
        """SELECT r.id FROM requests r LEFT JOIN holds h ON h.id = r.hold_id
           WHERE (r.status IN ('QUEUED', 'PROCESSING')) = (h.id IS NULL)""",
    ),
    "wrong price": (
        "the hold of this request is none, or not over its price, or not on its key's account",
        """SELECT r.id FROM requests r LEFT JOIN transfers t
             ON t.id = r.hold_id AND t.kind = 'hold' LEFT JOIN keys k ON k.id = r.key_id
           WHERE t.id IS NULL OR t.amount_micro <> r.price_micro
              OR t.account_id <> r.account_id OR k.id IS NULL
              OR k.account_id <> r.account_id""",
    ),
    "wrong cost": (
        "the cost written on this request is not what was captured for it",
        """SELECT r.id FROM requests r LEFT JOIN transfers t
             ON t.resolves = r.hold_id AND t.kind = 'capture'
           WHERE r.cost_micro <> coalesce(t.amount_micro, 0)
              OR (r.status = 'COMPLETED') <> (t.id IS NOT NULL)""",
    ),
    "unpaid picture": (
        "this picture is stored, and its request is not completed, or not paid for so many",
        """SELECT p.id FROM pictures p LEFT JOIN requests r ON r.id = p.request_id
           WHERE r.id IS NULL OR r.status <> 'COMPLETED' OR p.price_micro < 0
              OR (p.price_micro = 0 AND p."index" < r.samples)  -- beyond are first passes
              OR r.cost_micro
               < (SELECT sum(q.price_micro) FROM pictures q WHERE q.request_id = r.id)""",
    ),
    "wrong bill": (
        "all pictures of this request are stored, and it was not billed what they cost",
        """SELECT r.id FROM requests r JOIN pictures p ON p.request_id = r.id
           GROUP BY r.id, r.cost_micro, r.drawn
           HAVING count(*) > r.drawn
               OR (count(*) = r.drawn AND sum(p.price_micro) <> r.cost_micro)""",
    ),
    "missing picture": (
        "this request was paid for and has not expired, and no picture of it is stored",
        """SELECT r.id FROM requests r LEFT JOIN pictures p ON p.request_id = r.id
           WHERE r.status = 'COMPLETED' AND r.expired_at IS NULL AND p.id IS NULL""",
    ),
    "wrong spending": (
        "what this key is said to have spent is not the sum of its costs and open holds",
        """SELECT k.id FROM keys k LEFT JOIN requests r ON r.key_id = k.id
           GROUP BY k.id, k.spent_micro
           HAVING k.spent_micro <> coalesce(sum(
               CASE WHEN r.status IN ('QUEUED', 'PROCESSING') THEN r.price_micro
                    ELSE r.cost_micro END), 0)""",
    ),
}


def check(conn: Connection, moment: float | None = None) -> list[Fault]:
    """Every broken rule of the ledger; an empty list is the proof that there is none.

    ``moment`` (default: now) decides which leases have been forgotten.
    """
    if conn.dialect.name == "postgresql" and not conn.in_transaction():
        # One snapshot for all the queries, without a lock on anybody.
        conn.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
    lost = (now(conn) if moment is None else moment) - LOST_AFTER_S
    return [*_sums(conn), *_broken(conn, lost)]


def _sums(conn: Connection) -> Iterator[Fault]:
    total = conn.execute(text("SELECT sum(side * amount_micro) FROM entries")).scalar()
    if total:
        yield Fault("unequal sums", "entries", f"all entries together are {total}, not 0")


def _broken(conn: Connection, lost: float) -> Iterator[Fault]:
    for kind, (detail, query) in RULES.items():
        statement = text(query)
        if ":lost" in query:
            statement = statement.bindparams(lost=lost)
        for subject in conn.execute(statement).scalars():
            yield Fault(kind, str(subject), detail)

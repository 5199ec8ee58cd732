"""Leases: which process works on which holds, and whether it is still alive.

A process opens a lease, renews it every few seconds, and puts it on the holds it works on. When
the lease has ended unrenewed, whoever notices may give its holds back or its work to another.
On the machine of a killed process that is at once; elsewhere it takes the rest of the lease.
"""

from __future__ import annotations

from sqlalchemy import Connection, delete, func, insert, select, update

from limner.store import ids, processes
from limner.store.ledger import find_hold
from limner.store.schema import holds, leases
from limner.store.sql import clock, now

LEASE_S = 15.0
FORGOTTEN_S = 3600.0


def open(conn: Connection, *, ttl_s: float = LEASE_S) -> str:
    """A lease of this process, to be renewed well within ``ttl_s`` seconds; returns its id."""
    lease_id, start = ids.new("lease"), now(conn)
    row = {"id": lease_id, "process": processes.identity()}
    times = {"opened_at": start, "expires_at": start + ttl_s, "ttl_s": ttl_s}
    conn.execute(insert(leases).values(**row, **times))
    return lease_id


def renew(conn: Connection, lease_id: str, *, ttl_s: float = LEASE_S) -> bool:
    """Put off a lease's end; False when it has ended: others may already have its work."""
    start = now(conn)
    alive = (leases.c.id == lease_id, leases.c.expires_at >= start)
    change = update(leases).where(*alive).values(expires_at=start + ttl_s, ttl_s=ttl_s)
    return conn.execute(change).rowcount == 1


def close(conn: Connection, lease_id: str) -> None:
    """End a lease now; what it still carries is lost at once and found by ``dead_holds``."""
    ended = clock(conn) - 1
    conn.execute(update(leases).where(leases.c.id == lease_id).values(expires_at=ended))


def close_ended(conn: Connection) -> None:
    """End the leases of processes that are seen to be gone, without waiting for their time."""
    alive = select(leases.c.id, leases.c.process).where(leases.c.expires_at >= clock(conn))
    for lease_id, process in conn.execute(alive).all():
        if processes.has_ended(process):
            close(conn, lease_id)


def bound(conn: Connection, moment: float) -> None:
    """Let no lease last longer from ``moment`` on than it was taken for.

    One does after the clock was set back, and its process may be long gone.
    """
    latest = moment + func.coalesce(leases.c.ttl_s, LEASE_S)
    change = update(leases).where(leases.c.expires_at > latest)
    conn.execute(change.values(expires_at=latest))


def dead_holds(conn: Connection, moment: float) -> list[str]:
    """Ids, in order, of the open holds whose lease had ended by ``moment``."""
    query = (
        select(holds.c.id)
        .join(leases, leases.c.id == holds.c.lease_id)
        .where(leases.c.expires_at < moment)
        .order_by(holds.c.id)
    )
    return list(conn.execute(query).scalars())


def is_dead(conn: Connection, hold_id: str, moment: float) -> bool:
    """Whether an open hold's lease had ended by ``moment``; locks the hold and its lease.

    A lease that is locked here cannot be renewed before the transaction ends.
    """
    found = find_hold(conn, hold_id, lock=True)
    if found is None or found.lease_id is None:
        return False
    query = select(leases.c.expires_at).where(leases.c.id == found.lease_id)
    # NO KEY UPDATE: who puts the lease on a new hold is not in the way.
    expires_at = conn.execute(query.with_for_update(key_share=True)).scalar_one()
    return bool(expires_at < moment)


def forget(conn: Connection, moment: float) -> None:
    """Delete the leases that had ended long before ``moment`` and carry nothing.

    Not sooner: its process may not know yet, and put it on one more hold, which is then found.
    """
    moment -= FORGOTTEN_S
    carried = select(holds.c.id).where(holds.c.lease_id == leases.c.id).exists()
    conn.execute(delete(leases).where(leases.c.expires_at < moment, ~carried))

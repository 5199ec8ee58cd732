"""Which checkpoints are served, and which stored requests wait for one that no longer is."""

from __future__ import annotations

from sqlalchemy import Connection, select, update

from limner.store.schema import models, requests
from limner.store.sql import clock, insert_once


def serve(conn: Connection, sha256: str, name: str) -> None:
    """Write down that a process has this checkpoint loaded at this moment."""
    values = {"name": name, "served_at": clock(conn)}
    change = update(models).where(models.c.sha256 == sha256).values(**values)
    if conn.execute(change).rowcount == 0:
        insert_once(conn, models, {"sha256": sha256, **values})


def forsaken(conn: Connection, since: float) -> list[str]:
    """Ids of requests that have been QUEUED, and their model not served, since a moment."""
    served = select(models.c.sha256).where(
        models.c.sha256 == requests.c.model_sha256, models.c.served_at >= since
    )
    query = select(requests.c.id).where(
        requests.c.status == "QUEUED",
        requests.c.model_sha256.is_not(None),
        requests.c.created_at < since,
        ~served.exists(),
    )
    return list(conn.execute(query.order_by(requests.c.id)).scalars())

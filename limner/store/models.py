"""Which checkpoints and VAEs are served, and which stored requests wait for one that is not."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, select, update

from limner.store.schema import models, requests
from limner.store.sql import clock, insert_once
from limner.store.turns import Pair


def serve(conn: Connection, sha256: str, name: str) -> None:
    """Write down that a process can draw with this checkpoint or VAE at this moment."""
    values = {"name": name, "served_at": clock(conn)}
    change = update(models).where(models.c.sha256 == sha256).values(**values)
    if conn.execute(change).rowcount == 0:
        insert_once(conn, models, {"sha256": sha256, **values})


def wanted(conn: Connection) -> list[Pair]:
    """The models, with their VAEs, that QUEUED requests were accepted for."""
    pair = (requests.c.model_sha256, requests.c.vae_sha256)
    mine = requests.c.status == "QUEUED", requests.c.model_sha256.is_not(None)
    return [(model, vae) for model, vae in conn.execute(select(*pair).where(*mine).distinct())]


def forsaken(conn: Connection, since: float) -> list[str]:
    """Ids of requests that have been QUEUED, and their model or VAE not served, since a moment."""
    query = select(requests.c.id).where(
        requests.c.status == "QUEUED",
        requests.c.model_sha256.is_not(None),
        requests.c.created_at < since,
        ~_served(requests.c.model_sha256, since)
        | ((requests.c.vae_sha256 != "") & ~_served(requests.c.vae_sha256, since)),
    )
    return list(conn.execute(query.order_by(requests.c.id)).scalars())


def _served(sha256: ColumnElement[str | None], since: float) -> ColumnElement[bool]:
    query = select(models.c.sha256).where(models.c.sha256 == sha256, models.c.served_at >= since)
    return query.exists()

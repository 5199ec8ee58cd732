"""Whose turn it is among the QUEUED requests."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, func, select, true, tuple_, update

from limner.store.schema import keys, requests

Pair = tuple[str, str | None]
"""The SHA-256s of a model and of its VAE, as ``jobs.Job`` has them."""
_UNKNOWN = "as served"


def first(
    full: Collection[str],
    served: Collection[Pair] | None,
    moment: float | ColumnElement[float],
) -> Any:
    """The id of the request to claim next, as ``jobs.claim`` says; one that is locked is passed."""
    other, earlier, retried = requests.alias(), requests.alias(), requests.alias()
    running = select(func.count()).where(
        other.c.key_id == requests.c.key_id, other.c.status == "PROCESSING"
    )
    foremost = ~(
        select(earlier.c.id)
        .where(
            earlier.c.key_id == requests.c.key_id,
            earlier.c.status == "QUEUED",
            _is_for(earlier, served),
            tuple_(*place(earlier)) < tuple_(*place(requests)),
        )
        .exists()
    )
    # One that was tried before may be what ended its engine: never two such together, so that it
    # ends alone in the end, and takes none along that was only beside it.
    alone = (requests.c.tries == 0) | ~(
        select(retried.c.id).where(retried.c.status == "PROCESSING", retried.c.tries > 1).exists()
    )
    served_at = func.coalesce(keys.c.served_at, 0)
    # Who was served later than now was served before the clock was set back: longest ago.
    order = (running.scalar_subquery(), served_at <= moment, served_at)
    return (
        select(requests.c.id)
        .join(keys, keys.c.id == requests.c.key_id)
        .where(requests.c.status == "QUEUED", foremost, alone, requests.c.key_id.not_in(full))
        .where(_is_for(requests, served))
        .where(keys.c.concurrency.is_(None) | (keys.c.concurrency > running.scalar_subquery()))
        .order_by(*order, *place(requests))
        .limit(1)
        .with_for_update(of=requests, skip_locked=True, key_share=True)
    )


def _is_for(table: FromClause, served: Collection[Pair] | None) -> ColumnElement[bool]:
    """Whether a request may be drawn with one of these models; None: with any."""
    if served is None:
        return true()
    pair = tuple_(table.c.model_sha256, func.coalesce(table.c.vae_sha256, _UNKNOWN))
    known = [(model, _UNKNOWN if vae is None else vae) for model, vae in served]
    return table.c.model_sha256.is_(None) | pair.in_(known)


def place(table: FromClause) -> tuple[ColumnElement[Any], ...]:
    """The order of a key's requests: what was tried before waits behind what was not.

    So a request that kills its server does not hold up the others, and servers that are killed
    again and again do not use up the tries of the same few.
    """
    return (table.c.tries, _turn(table), table.c.id)


def waiting(conn: Connection, key_id: str) -> list[tuple[str, int, float]]:
    """A key's QUEUED requests in their order, locked: ids, tries, and turns (seconds since 1970).

    Those that another transaction is claiming at this moment are not waited for, and left out.
    """
    mine = requests.c.key_id == key_id, requests.c.status == "QUEUED"
    query = select(requests.c.id).where(*mine).order_by(requests.c.id)
    locked = conn.execute(query.with_for_update(skip_locked=True, key_share=True)).scalars().all()
    columns = requests.c.id, requests.c.tries, _turn(requests)
    line = select(*columns).where(*mine).order_by(*place(requests))
    held = set(locked)
    return [(id, tries, turn) for id, tries, turn in conn.execute(line) if id in held]


def set_turns(conn: Connection, changes: Mapping[str, float]) -> None:
    """Let requests' turns count from other moments."""
    for request_id, turn in changes.items():
        change = update(requests).where(requests.c.id == request_id)
        conn.execute(change.values(turn_at=turn))


def _turn(table: FromClause) -> ColumnElement[float]:
    return func.coalesce(table.c.turn_at, table.c.created_at)

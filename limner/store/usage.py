"""What was asked for and drawn, added up: by key over a time, and the database at a moment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from sqlalchemy import BigInteger, Connection, case, cast, func, select

from limner.store.schema import accounts, keys, pictures, requests


@dataclass(frozen=True)
class Usage:
    """One key's requests since a moment; ``cost_micro`` was captured, ``drawing_s`` is seconds."""

    key_id: str
    name: str
    requests: int
    completed: int
    failed: int
    cancelled: int
    pictures: int
    cost_micro: int
    drawing_s: float
    last_at: float


@dataclass(frozen=True)
class Day:
    """All requests that were stored on one day in UTC, ``day`` as ISO 8601 writes it."""

    day: str
    requests: int
    completed: int
    failed: int
    pictures: int
    cost_micro: int
    drawing_s: float


@dataclass(frozen=True)
class Figures:
    """The database at a moment: requests by status, pictures kept, micro-credits by pocket.

    ``captured_micro`` counts from the first day on: what keys have spent less what is held.
    """

    queued: int
    processing: int
    pictures: int
    picture_bytes: int
    available_micro: int
    held_micro: int
    captured_micro: int


def by_key(conn: Connection, since: float) -> list[Usage]:
    """Each key that stored a request after a moment (seconds since the epoch), most spent first."""
    cost = func.sum(requests.c.cost_micro)
    query = (
        select(
            requests.c.key_id,
            keys.c.name,
            func.count(),
            _number("COMPLETED"),
            _number("FAILED"),
            _number("CANCELLED"),
            func.sum(requests.c.drawn),
            cost,
            func.coalesce(func.sum(requests.c.infer_seconds), 0.0),
            func.max(requests.c.created_at),
        )
        .join(keys, keys.c.id == requests.c.key_id)
        .where(requests.c.created_at > since)
        .group_by(requests.c.key_id, keys.c.name)
        .order_by(cost.desc(), requests.c.key_id)
    )
    return [_usage(*row) for row in conn.execute(query)]


def by_day(conn: Connection, since: float) -> list[Day]:
    """Each day since a moment on which a request was stored, the oldest first."""
    # Rounded down: not every SQLite has floor(), and a cast rounds on PostgreSQL alone.
    day = cast(func.round(requests.c.created_at / 86_400.0 - 0.4999999999), BigInteger)
    query = (
        select(
            day,
            func.count(),
            _number("COMPLETED"),
            _number("FAILED"),
            func.sum(requests.c.drawn),
            func.sum(requests.c.cost_micro),
            func.coalesce(func.sum(requests.c.infer_seconds), 0.0),
        )
        .where(requests.c.created_at > since)
        .group_by(day)
        .order_by(day)
    )
    return [_day(*row) for row in conn.execute(query)]


def _number(status: str) -> Any:
    return func.sum(case((requests.c.status == status, 1), else_=0))


def held_by_key(conn: Connection) -> dict[str, int]:
    """Micro-credits that each key's open requests hold; they are part of what it has spent."""
    query = (
        select(requests.c.key_id, func.sum(requests.c.price_micro))
        .where(requests.c.status.in_(("QUEUED", "PROCESSING")))
        .group_by(requests.c.key_id)
    )
    return {key_id: int(micro) for key_id, micro in conn.execute(query)}


def figures(conn: Connection) -> Figures:
    """A snapshot, from small tables and indexes: cheap enough for every few seconds."""
    counted = (
        select(requests.c.status, func.count())
        .where(requests.c.status.in_(("QUEUED", "PROCESSING")))
        .group_by(requests.c.status)
    )
    waiting = {status: int(count) for status, count in conn.execute(counted)}
    number, size = conn.execute(
        select(func.count(), func.coalesce(func.sum(pictures.c.bytes), 0))
    ).one()
    available, held = conn.execute(
        select(
            func.coalesce(func.sum(accounts.c.available_micro), 0),
            func.coalesce(func.sum(accounts.c.held_micro), 0),
        )
    ).one()
    spent = conn.execute(select(func.coalesce(func.sum(keys.c.spent_micro), 0))).scalar_one()
    return Figures(
        waiting.get("QUEUED", 0),
        waiting.get("PROCESSING", 0),
        number,
        int(size),
        int(available),
        int(held),
        int(spent) - int(held),
    )


def _usage(key_id: str, name: str, *counts: Any) -> Usage:
    requests, completed, failed, cancelled, drawn, cost, seconds, last_at = counts
    whole = (int(requests), int(completed), int(failed), int(cancelled), int(drawn), int(cost))
    return Usage(key_id, name, *whole, float(seconds), last_at)


def _day(day: int, *counts: Any) -> Day:
    requests, completed, failed, drawn, cost, seconds = counts
    name = (date(1970, 1, 1) + timedelta(days=int(day))).isoformat()
    return Day(
        name, int(requests), int(completed), int(failed), int(drawn), int(cost), float(seconds)
    )

"""Requests that wait change places within their key's line."""

from __future__ import annotations

import math
from collections.abc import Sequence

from sqlalchemy import Connection

from limner.errors import InvalidInput
from limner.store import turns
from limner.store.jobs import Job


def move(conn: Connection, moved: Job, side: str, other: Job) -> None:
    """Put a request directly ``side`` ("before" or "after") another of the same key.

    Nothing but turns changes: not the moments of acceptance, not prices, nothing of other keys.
    Raises ``InvalidInput`` where one of them no longer waits, or they are in different lines.
    """
    if moved.key_id != other.key_id:
        rule = "another key's request; each key has a line of its own"
        raise InvalidInput(side, f"{side} is {other.id}, {rule}")
    line = turns.waiting(conn, moved.key_id)
    tries = {request_id: tried for request_id, tried, _ in line}
    for field, job in (("id", moved), (side, other)):
        if job.id not in tries:
            raise InvalidInput(field, f"{field} is {job.id}, which waits no longer")
    if tries[moved.id] != tries[other.id]:
        rule = "one of the two was begun before, and such wait behind the others"
        raise InvalidInput(side, f"{side} is {other.id}: {rule}")
    if moved.id != other.id:
        same = [(name, turn) for name, tried, turn in line if tried == tries[moved.id]]
        turns.set_turns(conn, _changes(same, moved.id, side, other.id))


def _changes(
    line: Sequence[tuple[str, float]], moved: str, side: str, other: str
) -> dict[str, float]:
    """The turns that differ once ``moved`` stands beside ``other``.

    The same turns are dealt out anew, in their order, each later than the one before where two
    were equal: so whoever comes later still stands behind.
    """
    names = [name for name, _ in line if name != moved]
    names.insert(names.index(other) + (side == "after"), moved)
    had, changes, last = dict(line), {}, -math.inf
    for name, (_, turn) in zip(names, line, strict=True):
        last = max(turn, math.nextafter(last, math.inf))
        if had[name] != last:
            changes[name] = last
    return changes

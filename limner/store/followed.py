"""Requests that are followed in another process than the one that draws them.

Who follows asks, again and again while it does; who draws tells while it is asked. A row that
nobody has asked for lately is forgotten, so the table is as small as what is followed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import Connection, bindparam, delete, select, update

from limner.store.schema import followed, requests
from limner.store.sql import clock, insert_once

AGAIN_S = 2.0
ASKED_S = 6.0
FORGOTTEN_S = 60.0


def told(conn: Connection, request_id: str) -> tuple[bool, Any]:
    """Whether it is time to ``ask`` (again), and what was last told; None where nothing was."""
    due = followed.c.asked_at < clock(conn) - AGAIN_S
    row = conn.execute(select(due, followed.c.notes).where(followed.c.request_id == request_id))
    asked_long_ago, notes = row.one_or_none() or (True, None)
    return bool(asked_long_ago), notes


def ask(conn: Connection, request_id: str) -> None:
    """Have a request told of for the next ``ASKED_S`` seconds, by whichever process draws it."""
    moment = clock(conn)
    mine = update(followed).where(followed.c.request_id == request_id)
    if not conn.execute(mine.values(asked_at=moment)).rowcount:
        conn.execute(delete(followed).where(followed.c.asked_at < moment - FORGOTTEN_S))
        insert_once(conn, followed, {"request_id": request_id, "asked_at": moment})


def drawn(conn: Connection, key_id: str, surface: str) -> list[str]:
    """Ids of a key's requests over one surface that some process draws, oldest first."""
    mine = requests.c.status == "PROCESSING", requests.c.key_id == key_id
    query = select(requests.c.id).where(*mine, requests.c.surface == surface)
    return list(conn.execute(query.order_by(requests.c.created_at)).scalars())


def asked(conn: Connection, request_ids: Collection[str]) -> set[str]:
    """Which of these requests somebody follows elsewhere."""
    lately = followed.c.asked_at >= clock(conn) - ASKED_S
    query = select(followed.c.request_id).where(followed.c.request_id.in_(request_ids), lately)
    return set(conn.execute(query).scalars())


def tell(conn: Connection, notes: Mapping[str, Any]) -> None:
    """Write what is to be told, plain JSON by the request's id, over what was told before."""
    change = update(followed).where(followed.c.request_id == bindparam("request"))
    rows = [{"request": request_id, "said": said} for request_id, said in sorted(notes.items())]
    conn.execute(change.values(notes=bindparam("said", type_=followed.c.notes.type)), rows)

"""What an operator does and sees: keys, credits, usage, and the totals.

For the admin calls over HTTP, and for ``/metrics``; on two threads of its own, so that neither
waits behind the drawing requests' store calls.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection

from limner.domain.licences import RAIL_M
from limner.domain.pricing import as_text
from limner.errors import IdempotencyMismatch, InvalidInput, LedgerError
from limner.store import audit, ids, keys, ledger, usage
from limner.store.audit import Fault
from limner.store.db import Database
from limner.store.keys import Key
from limner.store.ledger import Balance
from limner.store.sql import now
from limner.store.usage import Day, Figures, Usage

THREADS = 2
DAY_S = 86_400.0
GRANT_ID_LENGTH_MAX = 64
T = TypeVar("T")


@dataclass(frozen=True)
class NewKey:
    """What a key is created with; ``share_with`` is a key whose account it shares.

    Amounts in micro-credits; ``expires_days`` from now; ``models`` and ``adapters`` as
    ``store.keys.Key`` has them.
    """

    name: str
    credits_micro: int = 0
    share_with: str | None = None
    scopes: Iterable[str] = keys.DEFAULT_SCOPES
    expires_days: float | None = None
    spend_cap_micro: int | None = None
    requests_per_minute: int | None = None
    concurrency: int | None = None
    models: Sequence[str] | None = None
    adapters: Sequence[str] | None = None
    accept_licence: bool = False


class Administration:
    """The operator's side of the store."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._threads = ThreadPoolExecutor(THREADS, "limner-administration")

    async def keys(self) -> list[tuple[Key, Balance]]:
        """Every key, without its secret, and what its account holds."""
        return await self._read(_keys)

    async def create_key(self, wanted: NewKey) -> tuple[str, Key]:
        """A new key and, only now, its plain text. Raises ``NotFound``, ``InvalidInput``."""
        return await self._write(_create, wanted)

    async def limit_key(self, key_id: str, **limits: Any) -> Key:
        """Change limits as ``store.keys.limit``, and ``expires_days``. Raises ``NotFound``."""
        return await self._write(_limit, key_id, limits)

    async def rotate_key(self, key_id: str, grace_s: float = 0.0) -> tuple[str, Key]:
        """A new secret; the former one is good for ``grace_s`` more. Raises ``NotFound``."""
        return await self._write(lambda conn: keys.rotate(conn, key_id, grace_s=grace_s))

    async def revoke_key(self, key_id: str) -> Key:
        """Refuse a key from now on. Raises ``NotFound``."""
        return await self._write(keys.revoke, key_id)

    async def grant(self, key_id: str, micro: int, id: str | None = None) -> Balance:
        """Give a key's account credits; the same ``id`` grants once. Raises ``NotFound``."""
        return await self._write(grant, key_id, micro, id)

    async def totals(self) -> dict[str, int]:
        """Micro-credits in each pocket over all accounts; they sum to zero."""
        return await self._read(ledger.totals)

    async def check(self) -> list[Fault]:
        """What is wrong with the books; nothing, it is hoped."""
        return await self._read(audit.check)

    async def usage(self, days: float) -> list[Usage]:
        """What each key has asked for in the last ``days``, most spent first."""
        return await self._read(lambda conn: usage.by_key(conn, now(conn) - days * DAY_S))

    async def days(self, number: int) -> list[Day]:
        """What all keys have asked for in the last days, day by day, the oldest first."""
        return await self._read(lambda conn: usage.by_day(conn, now(conn) - number * DAY_S))

    async def figures(self) -> Figures:
        """The database at this moment."""
        return await self._read(usage.figures)

    async def _read(self, work: Callable[..., T], *arguments: Any) -> T:
        def transaction() -> T:
            with self._database.read() as conn:
                return work(conn, *arguments)

        return await asyncio.get_running_loop().run_in_executor(self._threads, transaction)

    async def _write(self, work: Callable[..., T], *arguments: Any) -> T:
        def transaction() -> T:
            with self._database.begin() as conn:
                return work(conn, *arguments)

        return await asyncio.get_running_loop().run_in_executor(self._threads, transaction)


def _keys(conn: Connection) -> list[tuple[Key, Balance]]:
    return [(key, ledger.balance(conn, key.account_id)) for key in keys.listing(conn)]


def _create(conn: Connection, wanted: NewKey) -> tuple[str, Key]:
    account_id = keys.get(conn, wanted.share_with).account_id if wanted.share_with else None
    plain, key = keys.create(
        conn,
        name=wanted.name,
        credits_micro=wanted.credits_micro,
        account_id=account_id,
        scopes=wanted.scopes,
        expires_at=_expiry(conn, wanted.expires_days),
        spend_cap_micro=wanted.spend_cap_micro,
        requests_per_minute=wanted.requests_per_minute,
        concurrency=wanted.concurrency,
        models=wanted.models,
        adapters=wanted.adapters,
    )
    if wanted.accept_licence:
        keys.accept_licence(conn, key.id, RAIL_M.id, RAIL_M.version)
    return plain, key


def _limit(conn: Connection, key_id: str, limits: dict[str, Any]) -> Key:
    keys.get(conn, key_id)
    values = dict(limits)
    if "expires_days" in values:
        values["expires_at"] = _expiry(conn, values.pop("expires_days"))
    return keys.limit(conn, key_id, **values)


def _expiry(conn: Connection, days: float | None) -> float | None:
    return None if days is None else now(conn) + days * DAY_S


def grant(conn: Connection, key_id: str, micro: int, id: str | None) -> Balance:
    """Give a key's account credits, once for each ``id``, whoever gives them.

    ``id`` may be any text of 1 to 64 characters, a key's id included. Raises ``NotFound``,
    ``InvalidInput``, and ``IdempotencyMismatch`` for another grant's ``id``.
    """
    if micro <= 0:
        raise InvalidInput("credits", f"credits is {as_text(micro)}; a grant must be above 0")
    if id is not None and not 0 < len(id) <= GRANT_ID_LENGTH_MAX:
        raise InvalidInput(
            "id", f"id has {len(id)} characters; a grant's has 1 to {GRANT_ID_LENGTH_MAX}"
        )
    account_id = keys.get(conn, key_id).account_id
    try:
        ledger.grant(conn, account_id, micro, id=_transfer_id(id))
    except LedgerError:
        raise IdempotencyMismatch(f"The grant {id} was made before, and was another one") from None
    return ledger.balance(conn, account_id)


def _transfer_id(id: str | None) -> str:
    """Where no name that is chosen meets one that we make.

    Up to revision 0003 a key's first credits were ``grant_`` and the key's id.
    """
    if id is None:
        return ids.new("given")
    return f"named_{id}" if id.startswith("key_") else f"grant_{id}"

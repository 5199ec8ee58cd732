"""What a key may do and what its account holds, for callers on an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from limner.domain import licences
from limner.errors import InvalidKey
from limner.settings import Settings
from limner.store import jobs, keys, ledger
from limner.store.db import Database
from limner.store.keys import Key
from limner.store.sql import now

WINDOW = timedelta(minutes=1)
THREADS = 4
LOCAL = "local"
T = TypeVar("T")


@dataclass(frozen=True)
class Standing:
    """An account's balance in micro-credits, and what its key may still send in this minute.

    ``reset_at`` (UTC) is when the oldest request of the minute stops counting.
    """

    available_micro: int
    requests_left: int
    reset_at: datetime


class Accounts:
    """Keys, balances and licence acceptances, on a few threads of their own."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._threads = ThreadPoolExecutor(THREADS, "limner-accounts")

    async def authenticate(self, plain: str) -> Key:
        """The key whose plain text this is; raises ``InvalidKey``."""
        return await self._in_thread(self._authenticate, plain)

    async def local(self) -> Key:
        """The key of those who need none. Raises ``InvalidKey`` when it was revoked."""
        return await self._in_thread(self._local)

    async def standing(self, caller: Key) -> Standing:
        """Balance and rate of a key."""
        return await self._in_thread(self._standing, caller)

    async def accept(self, caller: Key, licence: str) -> None:
        """Record that the key accepts ``licence`` in its present version."""
        await self._in_thread(self._accept, caller, licence)

    async def options(self, caller: Key) -> dict[str, Any]:
        """What the key's holder has set."""
        return await self._in_thread(self._options, caller)

    async def set_options(self, caller: Key, values: Mapping[str, Any]) -> None:
        """Add to what the key's holder has set; what is None is forgotten."""
        await self._in_thread(self._set_options, caller, values)

    async def _in_thread(self, work: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)

    def _authenticate(self, plain: str) -> Key:
        with self._database.read() as conn:
            return keys.authenticate(conn, plain)

    def _local(self) -> Key:
        with self._database.read() as conn:
            moment = now(conn)
            named = [key for key in keys.listing(conn) if key.name == LOCAL]
        for key in named:
            if key.revoked_at is None and (key.expires_at is None or key.expires_at > moment):
                return key
        raise InvalidKey(f"The key named {LOCAL} was revoked; send another, or restart the server")

    def _standing(self, caller: Key) -> Standing:
        rate = caller.requests_per_minute or self._settings.key_max_requests_per_minute
        with self._database.read() as conn:
            moment = now(conn)
            used, first = jobs.recent(conn, caller.id, moment - WINDOW.total_seconds(), moment)
            available_micro = ledger.balance(conn, caller.account_id).available_micro
        oldest = datetime.fromtimestamp(moment if first is None else first, UTC)
        return Standing(available_micro, max(0, rate - used), oldest + WINDOW)

    def _options(self, caller: Key) -> dict[str, Any]:
        with self._database.read() as conn:
            return keys.options(conn, caller.id)

    def _set_options(self, caller: Key, values: Mapping[str, Any]) -> None:
        with self._database.begin() as conn:
            keys.set_options(conn, caller.id, values)

    def _accept(self, caller: Key, licence: str) -> None:
        with self._database.begin() as conn:
            keys.accept_licence(conn, caller.id, licence, licences.find(licence).version)

"""The database of the settings, opened for one command of the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

from limner.cli import terminal
from limner.errors import InvalidInput, NotFound
from limner.settings import Settings, without_password
from limner.store import keys
from limner.store.db import Database
from limner.store.keys import Key


@contextmanager
def opened(settings: Settings) -> Iterator[Database]:
    """The database, migrated and ready; closed at the end. One that was not there is told."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    database = Database.open(settings.database_url, pool_size=1)
    if database.new:
        place = without_password(settings.database_url)
        terminal.note(f"There was no database: a new, empty one was made at {place}.")
    try:
        yield database
    finally:
        database.close()


@contextmanager
def changing(settings: Settings, named: str) -> Iterator[tuple[Connection, Key]]:
    """A transaction to change the key that ``named`` names. Raises as ``find``."""
    with opened(settings) as database:
        found = find(database, named)
        with database.begin() as conn:
            yield conn, found


def find(database: Database, named: str) -> Key:
    """The key with this id, name or beginning (as ``keys list`` shows it).

    Raises ``NotFound``, and ``InvalidInput`` when several answer to it.
    """
    with database.read() as conn:
        found = [
            key for key in keys.listing(conn) if named in (key.id, key.name) or key.hint == named
        ]
    if not found:
        raise NotFound(f"No key is called {named}; `limner keys list` shows them all.")
    if len(found) > 1:
        ids = ", ".join(key.id for key in found)
        raise InvalidInput("key", f"{len(found)} keys are called {named}; name one by id: {ids}.")
    return found[0]

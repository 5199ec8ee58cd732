"""Files on a disk: a folder of 256 folders."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from sqlalchemy import select

from limner.store.db import Database
from limner.store.files.protocol import missing
from limner.store.schema import folders
from limner.store.sql import insert_once


class LocalFiles:
    """``Files`` in a folder of this machine; a key is a path within it.

    With a ``database`` the folder is told to the others of that database, and what it lacks is
    looked for in theirs, which must be seen from here: on this machine, or on a shared file
    system.
    """

    def __init__(self, folder: Path, database: Database | None = None) -> None:
        self._folder = folder
        self._database = database
        folder.mkdir(parents=True, exist_ok=True)
        if database is not None:
            with database.begin() as conn:
                insert_once(conn, folders, {"path": str(folder.resolve())})

    def write(self, key: str, data: bytes) -> None:
        """Write beside, and rename: the file appears whole or not at all."""
        path = self._folder / key
        if path.exists():
            return
        path.parent.mkdir(exist_ok=True)
        temporary = path.with_name(f".{secrets.token_hex(8)}")
        try:
            with temporary.open("wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)

    def read(self, key: str) -> bytes:
        """From our own folder, or from those of the others. Raises ``NotFound``."""
        for folder in self._folders():
            with suppress(FileNotFoundError, PermissionError):
                return (folder / key).read_bytes()
        raise missing(
            key,
            "neither in this server's data_dir nor in one of its siblings' that can be read "
            "from here",
        )

    def delete(self, key: str) -> None:
        """From the first folder that has it."""
        for folder in self._folders():
            with suppress(FileNotFoundError, PermissionError):
                (folder / key).unlink()
                return

    def exists(self, key: str) -> bool:
        """In our own folder: what the others have may go with them."""
        return (self._folder / key).exists()

    def older_than(self, seconds: float) -> Iterator[str]:
        """What lies in our own folder, temporary files included."""
        limit = time.time() - seconds
        for path in self._folder.glob("*/*"):
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < limit:
                    yield f"{path.parent.name}/{path.name}"

    def link(self, key: str, seconds: float) -> None:
        """A disk is reached through the server alone."""

    def _folders(self) -> Iterator[Path]:
        """Our own, then, for who is still looking, those of the others."""
        yield self._folder
        if self._database is None:
            return
        with self._database.read() as conn:
            paths = conn.execute(select(folders.c.path)).scalars().all()
        yield from (Path(path) for path in paths if Path(path) != self._folder.resolve())


def _sync_folder(folder: Path) -> None:
    """Make a rename outlive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

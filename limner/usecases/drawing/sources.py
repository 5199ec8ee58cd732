"""The pixels that img2img requests start from, kept beside their request.

They are packed into one file for each request, before it is accepted. The file's name is what a
ticket carries to the engine, which reads them through ``Sources.read``, here or on another
machine that sees the same files. The file lives as long as its request is kept, so longer than
anybody draws it: only what has ended expires or is deleted.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Collection, Mapping
from weakref import WeakValueDictionary

import numpy as np
from sqlalchemy import Connection

from limner.domain.params import Generation
from limner.engine.batching.ticket import Pixels
from limner.errors import Damaged, Gone, NotFound
from limner.imaging.budget import NOBODY, Budget
from limner.settings import Settings
from limner.store import ids, images
from limner.store.db import Database
from limner.store.files import Files, GuardedFiles, key_of, open_files


def pack(pixels: Mapping[str, Pixels]) -> bytes:
    """One compressed file of all arrays, by their SHA-256."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **pixels)
    return buffer.getvalue()


def unpack(data: bytes, sha256: str) -> Pixels:
    """One array of what ``pack`` packed. Raises ``Damaged`` when it is not what its name says."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as packed:
            pixels: Pixels = packed[sha256]
    except MemoryError:
        raise
    except Exception as error:  # numpy and zipfile raise anything on a file that is cut or flipped
        raise _damaged(sha256) from error
    if pixels.dtype != np.uint8 or hashlib.sha256(pixels.tobytes()).hexdigest() != sha256:
        raise _damaged(sha256)
    return pixels


def _damaged(sha256: str) -> Damaged:
    return Damaged(
        f"The stored picture {sha256[:12]}... that this starts from is damaged on the server's "
        "disk; send it again"
    )


def wanted(*lines: Generation) -> set[str]:
    """SHA-256s of the pixels that generations need."""
    return {name for line in lines for name in line.pictures}


class Sources:
    """Writes and reads those files; what somebody here still holds is not read a second time."""

    def __init__(self, files: Files, budget: Budget) -> None:
        self.files = GuardedFiles(files)
        self.budget = budget
        self._held: WeakValueDictionary[tuple[str, str], Pixels] = WeakValueDictionary()

    def write(self, packed: bytes, pixels: Mapping[str, Pixels]) -> str:
        """Store what ``pack`` made of ``pixels``; the file's name. Blocks."""
        file = key_of(f"{ids.new('src')}.npz")
        self.files.write(file, packed)
        self._held.update({(file, name): array for name, array in pixels.items()})
        return file

    def read(self, file: str, names: Collection[str]) -> dict[str, Pixels]:
        """Some of the arrays in a file, by SHA-256; an engine's ``Reader``. Blocks.

        Raises ``NotFound`` and ``Damaged``.
        """
        held = {name: self._held.get((file, name)) for name in names}
        found = {name: array for name, array in held.items() if array is not None}
        missing = [name for name in names if name not in found]
        if missing:
            data = self.files.read(file)
            read = {name: unpack(data, name) for name in missing}
            self.budget.keep(NOBODY, *read.values())
            self._held.update({(file, name): array for name, array in read.items()})
            found |= read
        return found


def open_sources(settings: Settings, database: Database) -> Sources:
    """Those of a server, among the files of all its pictures."""
    files = open_files(settings.pictures_place, database)
    return Sources(files, Budget(settings.pictures_max_mib << 20))


def reference_of(conn: Connection, request_id: str, *lines: Generation) -> str | None:
    """The file of a request's pixels, None where its lines need none. Raises ``Gone``."""
    found = {_file(conn, name, request_id, None) for name in wanted(*lines)}
    return found.pop() if found else None


def of_account(
    database: Database, files: Files, account_id: str, generation: Generation
) -> dict[str, Pixels]:
    """What a generation needs, from any request of an account. Raises ``Gone``."""
    return _load(database, files, wanted(generation), account_id=account_id)


def one(database: Database, files: Files, account_id: str, sha256: str) -> Pixels:
    """A single one that an account's requests started from. Raises ``Gone``."""
    return _load(database, files, {sha256}, account_id=account_id)[sha256]


def of_anyone(database: Database, files: Files, sha256s: set[str]) -> dict[str, Pixels]:
    """Stored pixels whosever they are: for the operator's own terminal. Raises ``Gone``."""
    return _load(database, files, sha256s)


def _load(
    database: Database,
    files: Files,
    sha256s: set[str],
    *,
    account_id: str | None = None,
) -> dict[str, Pixels]:
    return {sha256: _find(database, files, sha256, account_id) for sha256 in sha256s}


def _find(database: Database, files: Files, sha256: str, account_id: str | None) -> Pixels:
    """One array, from whichever request keeps it while it is read."""
    missed = None
    while True:
        with database.read() as conn:
            file = _file(conn, sha256, None, account_id)
        try:
            return unpack(files.read(file), sha256)
        except NotFound:  # deleted after its row was seen: another request may have it, or nobody
            if file == missed:
                raise
            missed = file


def _file(conn: Connection, sha256: str, request_id: str | None, account_id: str | None) -> str:
    file = images.source_file(conn, sha256, request_id=request_id, account_id=account_id)
    if file is None:
        raise Gone(f"The picture {sha256[:12]}... that this starts from is no longer kept")
    return file

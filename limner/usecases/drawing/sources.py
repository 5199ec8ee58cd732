"""The pixels that img2img requests start from, kept beside their request."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Mapping

import numpy as np
from sqlalchemy import Connection

from limner.domain.params import Generation
from limner.engine.batching.request import Pixels
from limner.errors import Damaged, Gone
from limner.store import images
from limner.store.db import Database
from limner.store.files import Files


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
    found = [line.source for line in lines if line.source is not None]
    named = {sha256 for source in found for sha256 in (source.sha256, source.mask_sha256)}
    return {sha256 for sha256 in named if sha256 is not None}


def of_request(
    database: Database, files: Files, request_id: str, lines: Iterable[Generation]
) -> dict[str, Pixels]:
    """The stored pixels a request needs. Raises ``Gone`` when they are no longer kept."""
    return _load(database, files, wanted(*lines), request_id=request_id)


def of_account(
    database: Database, files: Files, account_id: str, generation: Generation
) -> dict[str, Pixels]:
    """The same, from any request of an account: to draw a receipt again."""
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
    request_id: str | None = None,
    account_id: str | None = None,
) -> dict[str, Pixels]:
    with database.read() as conn:
        found = {sha256: _file(conn, sha256, request_id, account_id) for sha256 in sha256s}
    return {sha256: unpack(files.read(file), sha256) for sha256, file in found.items()}


def _file(conn: Connection, sha256: str, request_id: str | None, account_id: str | None) -> str:
    file = images.source_file(conn, sha256, request_id=request_id, account_id=account_id)
    if file is None:
        raise Gone(f"The picture {sha256[:12]}... that this starts from is no longer kept")
    return file

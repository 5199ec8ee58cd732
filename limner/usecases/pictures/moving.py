"""Files of pictures, moved from one place to another while servers run."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from limner.errors import NotFound
from limner.store import images
from limner.store.db import Database
from limner.store.files import Files

TOGETHER = 8
MISSING = -1


@dataclass(frozen=True)
class Moved:
    """Files that came to the new place, and their bytes; those that were there; those nowhere."""

    files: int
    bytes: int
    already: int
    missing: tuple[str, ...]


def move(
    database: Database, old: Files, new: Files, *, keep: bool, tell: Callable[[int], None]
) -> Moved:
    """Copy each file that a row names, then delete it in the old place unless ``keep``. Blocks.

    May be broken off and begun again: what is there already is not copied. ``tell`` hears after
    each file how many are done.
    """
    with database.read() as conn:
        names = images.all_files(conn)
    with ThreadPoolExecutor(TOGETHER) as threads:
        sizes = []
        for size in threads.map(partial(_move, old, new, keep), names):
            sizes.append(size)
            tell(len(sizes))
    came = [size for size in sizes if size is not None and size >= 0]
    gone = (name for name, size in zip(names, sizes, strict=True) if size == MISSING)
    with database.read() as conn:  # what was deleted meanwhile is not missed
        missing = tuple(name for name in gone if images.known(conn, [name]))
    return Moved(len(came), sum(came), sizes.count(None), missing)


def _move(old: Files, new: Files, keep: bool, name: str) -> int | None:
    """Bytes that were copied; None where nothing had to be, and ``MISSING``."""
    data = None
    try:
        if not new.exists(name):
            data = old.read(name)
            new.write(name, data)
    except NotFound:
        return MISSING
    if not keep:
        old.delete(name)
    return None if data is None else len(data)

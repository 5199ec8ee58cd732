"""The files of pictures, wherever they are kept: ``Files`` says what any place must do.

Outside of this room a file is its key, a text in the database; where that lies is known here.
"""

from __future__ import annotations

from pathlib import Path

from limner.store.db import Database
from limner.store.files.guarded import GuardedFiles
from limner.store.files.local import LocalFiles
from limner.store.files.protocol import Files, key_of

__all__ = ["Files", "GuardedFiles", "key_of", "open_files"]


def open_files(folder: Path, database: Database) -> Files:
    """The files of a server: a folder on its disk, shared with the others of ``database``."""
    return LocalFiles(folder, database)

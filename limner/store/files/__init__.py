"""The files of pictures, wherever they are kept: ``Files`` says what any place must do.

Outside of this room a file is its key, a text in the database; where that lies is known here.
"""

from __future__ import annotations

from pathlib import Path

from limner.errors import SettingsError
from limner.store.db import Database
from limner.store.files.guarded import GuardedFiles
from limner.store.files.local import LocalFiles
from limner.store.files.protocol import Files, key_of

__all__ = ["Files", "GuardedFiles", "key_of", "open_files"]


def open_files(place: Path | str, database: Database) -> Files:
    """The files of a server, shared with the others of ``database``.

    ``place``: a folder on its disk, or the URL of a bucket (``s3://``, ``gs://`` or ``az://``).
    Raises ``SettingsError`` for a bucket that cannot be used.
    """
    if isinstance(place, Path):
        return LocalFiles(place, database)
    try:
        from limner.store.files.objects import open_bucket
    except ImportError as error:
        raise SettingsError(
            f"pictures is {place!r}, which needs obstore: pip install 'limner[objects]'"
        ) from error
    return open_bucket(place, database)

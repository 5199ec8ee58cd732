"""What a place for the files of pictures must do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Protocol

from limner.errors import NotFound


class Files(Protocol):
    """Files by key: whole or not there at all, and never changed once they are.

    Every method blocks, and may be called from many threads at once. A key is what ``key_of``
    makes; it names bytes that are written once, and its suffix says what they are. Whatever the
    place itself cannot do is an ``OSError``.
    """

    def write(self, key: str, data: bytes) -> None:
        """Keep ``data`` durably: once this returns, a power cut does not take it away.

        A key that is there already keeps what it holds; that is no error, so that a write may be
        repeated. A write that fails leaves nothing that could be read.
        """

    def read(self, key: str) -> bytes:
        """All bytes of a file. Raises ``NotFound``."""

    def delete(self, key: str) -> None:
        """Remove a file; one that is gone already is fine."""

    def exists(self, key: str) -> bool:
        """Whether ``write`` would leave this key alone."""

    def older_than(self, seconds: float) -> Iterator[str]:
        """Keys of the files, halves of broken writes included, that nobody wrote to for so long.

        Looks at every file: for the sweeper, and never while somebody waits. Of several servers
        with places of their own each lists its own.
        """

    def link(self, key: str, seconds: float) -> str | None:
        """A URL that gives this file, and no other, to whoever has it, for so many seconds.

        None where the place cannot be reached by clients: then the server sends the bytes itself.
        Made without asking whether the file exists, and never stored.
        """


def key_of(name: str) -> str:
    """The key of a file called ``name``: an id, which is a prefix, "_" and hex, and a suffix."""
    return f"{name[4:6]}/{name}"  # 256 shelves, since a folder of a million files is slow


def missing(key: str, where: str) -> NotFound:
    """The error of ``read``; ``where`` says in which places the file is not."""
    return NotFound(f"The file of picture {PurePosixPath(key).stem} is missing: it is {where}")

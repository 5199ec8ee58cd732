"""Files whose troubles are told apart from those of a request, and remembered while they last."""

from __future__ import annotations

import errno
import logging
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath

from limner.errors import Damaged, StorageUnavailable
from limner.store.files.protocol import Files

log = logging.getLogger(__name__)


class GuardedFiles:
    """``Files`` that raise ``StorageUnavailable`` where their place raises ``OSError``.

    ``failure`` is set by a write that fails and cleared by one that does not: while it is set,
    drawing is in vain, since nothing drawn could be kept. A single file that its disk cannot read
    any more is ``Damaged``: what needs it would wait for ever, and its key's other work behind it.
    """

    def __init__(self, files: Files) -> None:
        self._files = files
        self.failure: StorageUnavailable | None = None

    def write(self, key: str, data: bytes) -> None:
        try:
            with _told("stored"):
                self._files.write(key, data)
        except StorageUnavailable as error:
            if self.failure is None:
                log.critical("%s; nothing more is drawn until one can be", error)
            self.failure = error
            raise
        if self.failure is not None:
            log.warning("files can be stored again")
            self.failure = None

    def expect_working(self) -> None:
        """Raises ``StorageUnavailable`` where the last write failed; asks nobody."""
        if self.failure is not None:
            raise StorageUnavailable(str(self.failure))

    def try_again(self) -> None:
        """Write a file, and delete it. Raises ``StorageUnavailable`` while that fails."""
        name = secrets.token_hex(16)
        key = f"{name[:2]}/check_{name}"  # as a file that no row names it is swept, if it stays
        self.write(key, b"Limner writes this to see whether it can.")
        self.delete(key)

    def read(self, key: str) -> bytes:
        with _told("read"):
            try:
                return self._files.read(key)
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                raise Damaged(
                    f"The file of picture {PurePosixPath(key).stem} cannot be read from the "
                    "server's disk any more"
                ) from error

    def delete(self, key: str) -> None:
        with _told("deleted"):
            self._files.delete(key)

    def exists(self, key: str) -> bool:
        with _told("looked for"):
            return self._files.exists(key)

    def older_than(self, seconds: float) -> Iterator[str]:
        with _told("listed"):
            yield from self._files.older_than(seconds)

    def link(self, key: str, seconds: float) -> str | None:
        with _told("linked to"):
            return self._files.link(key, seconds)


@contextmanager
def _told(done: str) -> Iterator[None]:
    """An ``OSError`` within becomes a sentence that names no path of this machine."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise StorageUnavailable(f"Pictures cannot be {done} now: {reason}") from error

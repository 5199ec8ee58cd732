"""The models in an operator's folders, listed anew whenever they are asked for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from limner.engine.checkpoints import digests, layouts, short_hashes
from limner.engine.checkpoints.layouts import EMBEDDED, SATCHEL
from limner.errors import CheckpointError, InvalidInput, NotFound
from limner.models import entries, facts, places, sidecars, walking
from limner.models.entries import Entry
from limner.models.index import Index
from limner.models.places import Place

BUILT_IN, IMPORTED = "built-in", "imported"


class Library:
    """The embedded model, its satchel, imported models, and those in ``named``.

    ``named``: folders, or files of paths.
    ``data``: the data folder, which holds the imported ones and the index. A list is kept for
    ``fresh_s`` seconds. For any thread.
    """

    def __init__(
        self, data: Path | None = None, named: Sequence[Path] = (), *, fresh_s: float = 0.0
    ) -> None:
        self._named = tuple(named)
        self._imported = None if data is None else (data / "models").absolute()
        self._index_file = None if data is None else data / "library.json"
        self._index: Index | None = None
        self._fresh_s = fresh_s
        self._listed: tuple[float, tuple[Entry, ...]] | None = None
        self._lock = threading.Lock()
        self._turns: dict[Path, threading.Lock] = {}

    def entries(self, patience: float = 1.0) -> tuple[Entry, ...]:
        """All models, folder by folder; what cannot be read is there with its reason.

        With ``patience`` the list may be so many times as old.
        """
        with self._lock:
            old = self._listed and time.monotonic() - self._listed[0] >= self._fresh_s * patience
            if self._listed is None or old:
                self._listed = time.monotonic(), self._list()
            return self._listed[1]

    def refresh(self) -> None:
        """Look at the folders anew when the list is asked for next."""
        with self._lock:
            self._listed = None

    def find(self, name: str, kinds: Collection[str] = (), field: str = "model") -> Entry:
        """The model of this name, or SHA-256; see ``entries.find``."""
        return entries.find(self.entries(), name, kinds, field)

    def file(self, sha256: str) -> Path | None:
        """Where the model of a SHA-256 lies; None where that is not known."""
        try:
            return self.find(sha256).file
        except InvalidInput:
            return None

    def identify(self, entry: Entry) -> str:
        """The SHA-256 of what lies at an entry's place now, as ``ModelInfo.sha256`` has it.

        It is made where it is not known, which takes a second for a gigabyte or two, and is then
        remembered. Of one file there is one reader at a time.

        Raises:
            CheckpointError: it is gone, closed to this process, changes while it is read, or is a
                folder that is no checkpoint.
        """
        made = self._sum(entry.file, _sha256)
        self._tell(entry.file, sha256=made)
        return made

    def short_hash(self, entry: Entry) -> str:
        """The twelve digits by which AUTOMATIC1111 names a LoRA; made and raising alike."""
        made = self._sum(entry.file, short_hashes.short_hash, "short")
        self._tell(entry.file, short_hash=made)
        return made

    def _sum(self, path: Path, compute: Callable[[Path], str], kind: str = "") -> str:
        with self._lock:
            index = self._index = self._index or Index(self._index_file)
            turn = self._turns.setdefault(path, threading.Lock())
        try:
            with turn:
                made = index.sum(path, compute, kind)
        except OSError as error:
            why = str(error.strerror or error).lower()
            raise CheckpointError(f"{path.name} cannot be read: {why}.") from error
        if made is None:
            raise CheckpointError(f"{path.name} changed while it was read; try again.")
        return made

    def _tell(self, path: Path, **sums: Any) -> None:
        """Put a sum into the list that is kept, or the model would not be found by it yet."""
        with self._lock:
            if self._listed is not None:
                when, listed = self._listed
                told = (replace(e, **sums) if e.file == path else e for e in listed)
                self._listed = when, tuple(told)

    def save(self) -> None:
        """Write the sums made since the index was written."""
        if self._index is not None:
            self._index.write()

    def preview(self, id: str) -> tuple[bytes, str]:
        """Bytes and media type of the picture beside the entry of this ``id``, or ``NotFound``."""
        for entry in self.entries():
            if entry.id == id and entry.picture:
                return sidecars.picture_bytes(entry.picture)
        raise NotFound(f"There is no model {id} with a picture")

    def _list(self) -> tuple[Entry, ...]:
        self._index = index = self._index or Index(self._index_file)
        folders = places.of(self._named, self._own())
        seen: set[walking.Identity] = set()
        found = [each for place in folders for each in walking.walk(place, seen)]
        rows = [
            (
                each,
                facts.Facts(reason=each.reason) if each.reason else index.facts(each, facts.read),
                index.known_sum(each),
                index.known_sum(each, "short"),
            )
            for each in found
        ]
        index.keep((each.path for each in found), (place.folder for place in folders))
        return entries.named([row for row in rows if row[1].kind != facts.PICTURE])

    def _own(self) -> list[Place]:
        own = [
            Place(BUILT_IN, EMBEDDED.absolute()),
            Place(BUILT_IN, SATCHEL.absolute(), yields=True),
        ]
        if self._imported is not None and self._imported.is_dir():
            own.append(Place(IMPORTED, self._imported, imported=True))
        return own


def _sha256(path: Path) -> str:
    return layouts.read_layout(path).sha256 if path.is_dir() else digests.sha256(path)

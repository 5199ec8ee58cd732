"""The models in an operator's folders, listed anew whenever they are asked for."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Sequence
from pathlib import Path

from limner.engine.checkpoints.layouts import EMBEDDED
from limner.errors import NotFound
from limner.models import entries, facts, places, sidecars, walking
from limner.models.entries import Entry
from limner.models.index import Index
from limner.models.places import Place

BUILT_IN, IMPORTED = "built-in", "imported"


class Library:
    """The embedded model, imported ones, and those in ``named``, folders or files of paths.

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

    def entries(self) -> tuple[Entry, ...]:
        """All models, folder by folder; what cannot be read is there with its reason."""
        with self._lock:
            if self._listed is None or time.monotonic() - self._listed[0] >= self._fresh_s:
                self._listed = time.monotonic(), self._list()
            return self._listed[1]

    def find(self, name: str, kinds: Collection[str] = (), field: str = "model") -> Entry:
        """The model of this name; see ``entries.find``."""
        return entries.find(self.entries(), name, kinds, field)

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
            )
            for each in found
        ]
        index.keep((each.path for each in found), (place.folder for place in folders))
        return entries.named(rows)

    def _own(self) -> list[Place]:
        own = [Place(BUILT_IN, EMBEDDED.absolute())]
        if self._imported is not None and self._imported.is_dir():
            own.append(Place(IMPORTED, self._imported))
        return own

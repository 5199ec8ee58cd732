"""The models in an operator's folders, listed anew whenever they are asked for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from limner.engine.checkpoints import digests, layouts, short_hashes
from limner.engine.checkpoints.layouts import EMBEDDED, SATCHEL
from limner.errors import CheckpointError, NotFound
from limner.models import entries, facts, places, sidecars, standby, walking
from limner.models.entries import Entry
from limner.models.facts import Facts
from limner.models.index import Index
from limner.models.places import Place
from limner.models.walking import Found

BUILT_IN, IMPORTED = "built-in", "imported"


class Library:
    """The embedded model, its satchel, imported models, and those in ``named``.

    ``named``: folders, or files of paths.
    ``data``: the data folder, which holds the imported ones and the index. ``vae``: the file or
    folder of a VAE for checkpoints without one. A list is kept for ``fresh_s`` seconds. For any
    thread.
    """

    def __init__(
        self,
        data: Path | None = None,
        named: Sequence[Path] = (),
        *,
        vae: Path | None = None,
        fresh_s: float = 0.0,
    ) -> None:
        self._named = tuple(named)
        self._vae = None if vae is None else vae.expanduser().absolute()
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

    def as_listed(self) -> tuple[Entry, ...]:
        """Those of the last list, however old: no folder is looked at."""
        listed = self._listed  # without the lock, which a look at the folders may hold for long
        return () if listed is None else listed[1]

    def refresh(self) -> None:
        """Look at the folders anew when the list is asked for next."""
        with self._lock:
            self._listed = None

    def find(
        self,
        name: str,
        kinds: Collection[str] = (),
        field: str = "model",
        *,
        with_vae: bool = False,
    ) -> Entry:
        """The model of this name, or SHA-256; see ``entries.find``."""
        return entries.find(self.entries(), name, kinds, field, with_vae=with_vae)

    def readings(self, sha256: str) -> list[Entry]:
        """All files of a SHA-256; see ``entries.readings``."""
        return entries.readings(self.entries(), sha256)

    def file(self, stored_sha256: str) -> Path | None:
        """Where the model of an ``Entry.stored_sha256`` lies; None where it is not here.

        Sums that are not known are made until it is found.
        """
        entries = self.entries()
        if known := next((e for e in entries if e.stored_sha256 == stored_sha256), None):
            return known.file
        return next((e.file for e in entries if self._made(e) == stored_sha256), None)

    def _made(self, entry: Entry) -> str | None:
        """Its ``stored_sha256``, if that was not known and can be."""
        if entry.sha256 or entry.facts.kind == facts.UNREADABLE:
            return None
        with suppress(CheckpointError):
            return replace(entry, sha256=self.identify(entry)).stored_sha256
        return None

    def identify(self, entry: Entry) -> str:
        """The SHA-256 of what lies at an entry's place now, as ``ModelInfo.sha256`` has it.

        It is made where it is not known, which takes a second for a gigabyte or two, and is then
        remembered. Of one file there is one reader at a time.

        Raises:
            CheckpointError: it is gone, closed to this process, changes while it is read, or is a
                folder that is no checkpoint.
        """
        vae = entry.facts.kind == "vae"
        kind = _kind(entry.found) if vae else ""
        made = self._sum(entry.file, _vae_sha256 if vae else _sha256, kind)
        self._tell(entry, sha256=made)
        return made

    def short_hash(self, entry: Entry) -> str:
        """The twelve digits by which AUTOMATIC1111 names a LoRA; made and raising alike."""
        made = self._sum(entry.file, short_hashes.short_hash, "short")
        self._tell(entry, short_hash=made)
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

    def _tell(self, entry: Entry, **sums: Any) -> None:
        """Put a sum into the list that is kept, or the model would not be found by it yet."""
        with self._lock:
            if self._listed is not None:
                when, listed = self._listed
                told = (replace(e, **sums) if e.id == entry.id else e for e in listed)
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
        rows = [_row(index, each) for each in found]
        seen_files = [*(each.path for each in found), *([self._vae] if self._vae else [])]
        index.keep(seen_files, (place.folder for place in folders))
        listed = entries.named([row for row in rows if row[1].kind != facts.PICTURE])
        if self._vae is None:
            return listed
        return standby.listed(listed, self._vae, lambda vae: index.known_sum(vae, _kind(vae)))

    def _own(self) -> list[Place]:
        own = [
            Place(BUILT_IN, EMBEDDED.absolute()),
            Place(BUILT_IN, SATCHEL.absolute(), yields=True),
        ]
        if self._imported is not None and self._imported.is_dir():
            own.append(Place(IMPORTED, self._imported, imported=True))
        return own


def _row(index: Index, found: Found) -> tuple[Found, Facts, str | None, str | None]:
    """What ``entries.named`` takes. An import, which has no index, remembers its pickle's sum."""
    told = Facts(reason=found.reason) if found.reason else index.facts(found, facts.read)
    made = index.known_sum(found)
    if made is None and told.gives_way:
        made = digests.known(found.path)
    return found, told, made, index.known_sum(found, "short")


def _kind(vae: Found) -> str:
    """Under which kind of sum a VAE's is kept: a folder may be a whole checkpoint as well."""
    return "vae" if vae.path.is_dir() else ""


def _vae_sha256(path: Path) -> str:
    made = layouts.vae_sha256(path)
    assert made is not None, "a path was given"
    return made


def _sha256(path: Path) -> str:
    return layouts.read_layout(path).sha256 if path.is_dir() else digests.sha256(path)

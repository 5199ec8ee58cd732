"""The library's list, and one of its models by name."""

from __future__ import annotations

import difflib
import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limner.errors import InvalidInput
from limner.models import sidecars
from limner.models.facts import UNREADABLE, Facts
from limner.models.walking import Found


@dataclass(frozen=True)
class Entry:
    """One model: its ``name``, which no other has, where it lies, and what it is."""

    name: str
    found: Found
    facts: Facts

    @property
    def file(self) -> Path:
        """Where it lies on this machine."""
        return self.found.path

    @property
    def id(self) -> str:
        """Its place in the library as 16 hexadecimal digits, for URLs."""
        place = f"{self.found.place.label}\0{self.found.shown}"
        return hashlib.sha256(place.encode(errors="surrogateescape")).hexdigest()[:16]

    @property
    def picture(self) -> Path | None:
        """The picture beside it."""
        return sidecars.picture(self.file, self.found.beside)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types, without its path on this machine and its picture."""
        facts = self.facts
        return {
            "name": _text(self.name),
            "kind": facts.kind,
            "base": facts.base,
            "library": _text(self.found.place.label),
            "path": _text(self.found.shown),
            "bytes": self.found.bytes,
            "prediction": facts.prediction,
            "trigger_words": [_text(word) for word in facts.trigger_words],
            "notes": [_text(note) for note in facts.notes],
            "licence": facts.licence,
            "pickled": facts.pickled,
            "usable": facts.reason is None,
            "reason": facts.reason and _text(facts.reason),
        }


def named(rows: Sequence[tuple[Found, Facts]]) -> tuple[Entry, ...]:
    """Entries under the shortest name by which ``find`` finds them."""
    plain = [found for found, facts in rows if not facts.pickled and facts.kind != UNREADABLE]
    among_plain = Counter(name for found in plain for name in set(_names(found)))
    among_all = Counter(name for found, _ in rows for name in set(_names(found)))
    return tuple(
        Entry(_shortest(found, among_all if facts.pickled else among_plain), found, facts)
        for found, facts in rows
    )


def _names(found: Found) -> tuple[str, ...]:
    return found.stem, found.inner, found.shown, found.whole


def _shortest(found: Found, claims: Counter[str]) -> str:
    return next((name for name in _names(found) if claims[name] <= 1), found.whole)


def find(
    entries: Iterable[Entry], name: str, kinds: Collection[str] = (), field: str = "model"
) -> Entry:
    """The model of this name, of one of ``kinds`` (all where empty).

    A name is the file's stem, its path inside the library with or without its suffix, or
    ``LIBRARY:PATH``. A pickle gives way to a file of its name that is none.

    Raises:
        InvalidInput: no model has it, or several have; of ``field``, and the sentence names them.
    """
    those = [entry for entry in entries if not kinds or entry.facts.kind in kinds]
    those = [entry for entry in those if entry.facts.kind != UNREADABLE]
    exact = [e for e in those if name in (e.found.shown, e.found.whole)]
    found = exact or [e for e in those if name in (e.found.stem, e.found.inner)]
    found = [entry for entry in found if not entry.facts.pickled] or found
    if len(found) == 1:
        return found[0]
    if found:
        places = " and ".join(entry.found.whole for entry in found)
        raise InvalidInput(field, f"{field} is {name!r}, which may be {places}; name one of these")
    near = difflib.get_close_matches(name, [entry.name for entry in those], n=1)
    hint = f"; did you mean {near[0]!r}?" if near else "; GET /api/models lists what there is"
    raise InvalidInput(field, f"{field} is {name!r}, which is not in the library{hint}")


def _text(text: str) -> str:
    """Text that can be sent: names of files and foreign JSON may hold half characters."""
    return text.encode("utf-8", "replace").decode()

"""The library's list, and one of its models by name."""

from __future__ import annotations

import difflib
import hashlib
import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limner.errors import InvalidInput, UnknownModel
from limner.models import sidecars
from limner.models.facts import UNREADABLE, Facts
from limner.models.walking import Found

WHOLE_SUM = 64
_SUM = re.compile("[0-9a-f]{10}|[0-9a-f]{64}")


@dataclass(frozen=True)
class Entry:
    """One model: its ``name``, which no other has, where it lies, and what it is.

    ``sha256``: of its bytes, or of a folder as ``parts.Layout`` sums it; None while it is unknown,
    as is a LoRA's ``short_hash``.
    """

    name: str
    found: Found
    facts: Facts
    sha256: str | None = None
    short_hash: str | None = None

    @property
    def source_sha256(self) -> str | None:
        """Of the file that it was imported from; believed of what Limner wrote itself."""
        return self.facts.source_sha256 if self.found.place.imported else None

    @property
    def file(self) -> Path:
        """Where it lies on this machine."""
        return self.found.path

    @property
    def id(self) -> str:
        """Its place in the library as 16 hexadecimal digits, for URLs."""
        place = f"{self.found.place.label}\0{self.found.path.relative_to(self.found.place.folder)}"
        return hashlib.sha256(place.encode(errors="surrogateescape")).hexdigest()[:16]

    @property
    def names(self) -> frozenset[str]:
        """All that a request may call it, and the sum of the file that it was imported from."""
        found = self.found
        names = (self.name, found.stem, found.inner, found.shown, found.whole, self.source_sha256)
        return frozenset(filter(None, names))

    @property
    def called(self) -> frozenset[str]:
        """All by which a key's list may name it."""
        sums = [each for each in (self.sha256, self.source_sha256) if each]
        return self.names | {*sums, *(each[:10] for each in sums)}

    @property
    def picture(self) -> Path | None:
        """The picture beside it."""
        return sidecars.picture(self.file, self.found.beside)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types, without its path on this machine and its picture."""
        facts = self.facts
        return {
            "name": self.name,
            "kind": facts.kind,
            "base": facts.base,
            "library": _text(self.found.place.label),
            "path": self.found.shown,
            "bytes": self.found.bytes,
            "sha256": self.sha256,
            "source_sha256": self.source_sha256,
            "prediction": facts.prediction,
            "network": facts.network,
            "parts": list(facts.parts),
            "vectors": facts.vectors,
            "scale": facts.scale,
            "trigger_words": [_text(word) for word in facts.trigger_words],
            "notes": [_text(note) for note in facts.notes],
            "licence": facts.licence,
            "pickled": facts.pickled,
            "usable": facts.reason is None,
            "reason": facts.reason and _text(facts.reason),
            **({"few_steps": facts.few_steps} if facts.few_steps else {}),
            **({"needs_vae": True} if facts.needs_vae else {}),
        }


def named(rows: Sequence[tuple[Found, Facts, str | None, str | None]]) -> tuple[Entry, ...]:
    """Entries, each of what was found, its facts, its SHA-256 and its short hash, if known.

    Their names are the shortest by which ``find`` finds them.
    """
    first = [(found, facts) for found, facts, *_ in rows if not found.place.yields]
    plain = [found for found, facts in first if not facts.pickled and facts.kind != UNREADABLE]
    among_plain = Counter(name for found in plain for name in set(_names(found)))
    among_all = Counter(name for found, _ in first for name in set(_names(found)))
    return tuple(
        Entry(_shortest(found, among_all if facts.pickled else among_plain), found, facts, *sums)
        for found, facts, *sums in rows
    )


def _names(found: Found) -> tuple[str, ...]:
    return found.stem, found.inner, found.shown, found.whole


def _shortest(found: Found, claims: Counter[str]) -> str:
    most = 0 if found.place.yields else 1  # its own claim is counted, or not
    return next((name for name in _names(found) if name and claims[name] <= most), found.whole)


def find(
    entries: Iterable[Entry], name: str, kinds: Collection[str] = (), field: str = "model"
) -> Entry:
    """The model of this name, of one of ``kinds`` (all where empty).

    A name is the file's stem, its path inside the library with or without its suffix,
    ``LIBRARY:PATH``, or a SHA-256: the model's own or that of the file it was imported from, whole
    or its first ten digits. A file of the satchel gives way to any other of its name, and a pickle
    to a file of its name, or sum, that is none.

    Raises:
        UnknownModel: no model has it that can be read; the sentence says why one cannot.
        InvalidInput: several have; of ``field``, and the sentence names them.
    """
    every, name = list(entries), name.strip()
    those = [entry for entry in every if not kinds or entry.facts.kind in kinds]
    those = [entry for entry in those if entry.facts.kind != UNREADABLE]
    ways = (_by_sum, _by_name) if len(name) == WHOLE_SUM else (_by_name, _by_sum)
    found = ways[0](those, name) or ways[1](those, name)
    if len(found) == 1:
        return found[0]
    if found:
        places = " and ".join(entry.found.whole for entry in found)
        alike = found[0].sha256 and len({entry.sha256 for entry in found}) == 1
        way = "equal files, taken to predict otherwise; keep one" if alike else "name one of these"
        raise InvalidInput(field, f"{field} is {name!r}, which may be {places}; {way}")
    if damaged := _by_name([e for e in every if e.facts.kind == UNREADABLE], name):
        why = damaged[0].facts.reason
        raise UnknownModel(field, f"{field} is {name!r}, which cannot be used: {why}")
    raise UnknownModel(
        field, f"{field} is {name!r}, which is not in the library{_hint(those, name)}"
    )


def _by_name(those: Sequence[Entry], name: str) -> list[Entry]:
    exact = [e for e in those if name in (e.found.shown, e.found.whole)]
    found = exact or [e for e in those if name in (e.found.stem, e.found.inner)]
    found = [entry for entry in found if not entry.found.place.yields] or found
    return _plain(found) or found


def _by_sum(those: Sequence[Entry], text: str) -> list[Entry]:
    """By a SHA-256 in any case; of equal files that are read alike, the first."""
    digits = text.lower()
    if not _SUM.fullmatch(digits):
        return []
    own = [e for e in those if e.sha256 and e.sha256.startswith(digits)]
    imported = [e for e in those if e.source_sha256 and e.source_sha256.startswith(digits)]
    found = _plain(own) or imported or own
    return list({(e.sha256, e.facts.prediction): e for e in reversed(found)}.values())[::-1]


def _plain(found: Sequence[Entry]) -> list[Entry]:
    return [entry for entry in found if not entry.facts.pickled]


def _hint(those: Sequence[Entry], name: str) -> str:
    """What may help who asked for a name that nothing has."""
    unknown = sum(entry.sha256 is None for entry in those)
    if _SUM.fullmatch(name.lower()) and unknown:
        return f"; the SHA-256 of {unknown} of its {len(those)} models is not known yet"
    near = difflib.get_close_matches(name, [entry.name for entry in those], n=1)
    return f"; did you mean {near[0]!r}?" if near else "; GET /api/models lists what there is"


def _text(text: str) -> str:
    """Text that can be sent: names of files and foreign JSON may hold half characters."""
    return text.encode("utf-8", "replace").decode()

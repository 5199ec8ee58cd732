"""The library's list, and one of its models by name."""

from __future__ import annotations

import difflib
import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from limner.domain.model import stored_sha256
from limner.errors import AmbiguousModel, UnknownModel, UnusableModel
from limner.models.facts import UNREADABLE, Facts
from limner.models.walking import Found

WHOLE_SUM = 64
_SUM = re.compile("[0-9a-f]{10}|[0-9a-f]{64}")


@dataclass(frozen=True)
class Entry:
    """One model: its ``name``, which no other has, where it lies, and what it is.

    ``sha256``: of its bytes, or of a folder as ``parts.Layout`` sums it; None while it is unknown,
    as is a LoRA's ``short_hash``. ``vae``: of a checkpoint without one, where that lies which the
    operator names for such.
    """

    name: str
    found: Found
    facts: Facts
    sha256: str | None = None
    short_hash: str | None = None
    vae: Path | None = None

    @property
    def source_sha256(self) -> str | None:
        """Of the file that it was imported from; believed of what Limner wrote itself."""
        return self.facts.source_sha256 if self.found.place.imported else None

    @property
    def stored_sha256(self) -> str | None:
        """As ``Card.stored_sha256``, by which an engine knows it."""
        return self.sha256 and stored_sha256(self.sha256, self.facts.said)

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
        name = self.facts.picture
        return None if name is None else self.file.with_name(name)

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
    plain = [found for found, facts in first if not facts.gives_way and facts.kind != UNREADABLE]
    among_plain = Counter(name for found in plain for name in set(_names(found)))
    among_all = Counter(name for found, _ in first for name in set(_names(found)))
    yields = (facts.gives_way or facts.kind == UNREADABLE for _, facts, *_ in rows)
    return _told_of_copies(
        Entry(
            _shortest(found, among_all if gives_way else among_plain), found, facts, sha256, short
        )
        for gives_way, (found, facts, sha256, short) in zip(yields, rows, strict=True)
    )


def _told_of_copies(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """The same; a pickle that is imported says under which name, as far as its sum is known."""
    those = tuple(entries)
    copies: dict[str | None, list[Entry]] = defaultdict(list)
    pickles: dict[str | None, list[Entry]] = defaultdict(list)
    for each in those:
        if each.source_sha256 and not each.facts.reason:
            copies[each.source_sha256].append(each)
        elif each.facts.gives_way and each.facts.reason:
            pickles[each.sha256].append(each)

    def told(entry: Entry) -> Entry:
        equal = pickles[entry.sha256] if entry.facts.gives_way and entry.facts.reason else []
        copy = copy_of(entry, equal, copies[entry.sha256]) if entry.sha256 and equal else None
        if copy is None:
            return entry
        reason = f"It is a pickle, which is imported: name {_text(copy.name)} instead."
        return replace(entry, facts=replace(entry.facts, reason=reason))

    return tuple(map(told, those)) if copies else those


def copy_of(pickle: Entry, pickles: Iterable[Entry], copies: Iterable[Entry]) -> Entry | None:
    """Of ``copies`` the one that was imported from a pickle whose sum is known, or an equal file.

    Where what lies beside some of equal ``pickles`` has them drawn otherwise, one that is drawn as
    this one is.
    """
    said = pickle.facts.said, pickle.facts.few_steps
    equal = (e.facts for e in pickles if e.sha256 == pickle.sha256)
    alike = all((each.said, each.few_steps) == said for each in equal)
    drawn = pickle.facts.prediction, pickle.facts.few_steps
    of_it = (e for e in copies if e.source_sha256 == pickle.sha256)
    same = (e for e in of_it if alike or (e.facts.prediction, e.facts.few_steps) == drawn)
    return next(same, None)


def _names(found: Found) -> tuple[str, ...]:
    return found.stem, found.inner, found.shown, found.whole


def _shortest(found: Found, claims: Counter[str]) -> str:
    most = 0 if found.place.yields else 1  # its own claim is counted, or not
    return next((name for name in _names(found) if name and claims[name] <= most), found.whole)


def find(
    entries: Iterable[Entry],
    name: str,
    kinds: Collection[str] = (),
    field: str = "model",
    *,
    with_vae: bool = False,
) -> Entry:
    """The model of this name, of one of ``kinds`` (all where empty).

    ``with_vae``: another VAE is named with it, so that equal files are one whatever theirs is.

    A name is the file's stem, its path inside the library with or without its suffix,
    ``LIBRARY:PATH``, or a SHA-256: the model's own or that of the file it was imported from, whole
    or its first ten digits. A file of the satchel gives way to any other of its name, and a pickle
    to a file of its name, or sum, that is none.

    Raises:
        UnknownModel: none has it.
        UnusableModel: what has it cannot be read; the sentence says why.
        AmbiguousModel: several have; the sentence names them.
    """
    every, name = list(entries), name.strip()
    those = [entry for entry in every if not kinds or entry.facts.kind in kinds]
    those = [entry for entry in those if entry.facts.kind != UNREADABLE]
    ways = (partial(_by_sum, with_vae=with_vae), _by_name)[:: 1 if len(name) == WHOLE_SUM else -1]
    found = ways[0](those, name) or ways[1](those, name)
    if len(found) == 1:
        return found[0]
    if found:
        places = " and ".join(entry.found.whole for entry in found)
        alike = found[0].sha256 and len({entry.sha256 for entry in found}) == 1
        way = f"{'equal files, read otherwise; ' if alike else ''}name one of these"
        raise AmbiguousModel(field, f"{field} is {name!r}, which may be {places}; {way}")
    if damaged := _by_name([e for e in every if e.facts.kind == UNREADABLE], name):
        why = damaged[0].facts.reason
        raise UnusableModel(field, f"{field} is {name!r}, which cannot be used: {why}")
    raise UnknownModel(
        field, f"{field} is {name!r}, which is not in the library{_hint(those, name)}"
    )


def _by_name(those: Sequence[Entry], name: str) -> list[Entry]:
    exact = [e for e in those if name in (e.found.shown, e.found.whole)]
    found = exact or [e for e in those if name in (e.found.stem, e.found.inner)]
    found = [entry for entry in found if not entry.found.place.yields] or found
    return _plain(found) or found


def _by_sum(those: Sequence[Entry], text: str, *, with_vae: bool = False) -> list[Entry]:
    """By a SHA-256 in any case; of equal files that are read alike, the first.

    One that lacks a VAE gives way to one beside which a VAE lies.
    """
    digits = text.lower()
    if not _SUM.fullmatch(digits):
        return []
    own = [e for e in those if e.sha256 and e.sha256.startswith(digits)]
    own = own or [e for e in those if e.stored_sha256 == digits]
    imported = [e for e in those if e.source_sha256 and e.source_sha256.startswith(digits)]
    found = _plain(own) or imported or own
    found = [e for e in found if not (e.facts.needs_vae or e.vae)] or found
    reading = _reading_with_vae if with_vae else _reading
    return list({reading(entry): entry for entry in reversed(found)}.values())[::-1]


def readings(entries: Iterable[Entry], text: str) -> list[Entry]:
    """The files of a SHA-256, or its first ten digits, however they are read.

    Theirs, that of the file that they were imported from, or ``Entry.stored_sha256``.
    """
    digits = text.lower()
    if not _SUM.fullmatch(digits):
        return []
    sums = ((e, (e.sha256, e.source_sha256, e.stored_sha256)) for e in entries)
    return [entry for entry, those in sums if any(s and s.startswith(digits) for s in those)]


def _reading(entry: Entry) -> tuple[str | None, ...]:
    """What decides how a file is drawn with: its bytes, and what lies beside it."""
    return *_reading_with_vae(entry), entry.facts.vae_beside


def _reading_with_vae(entry: Entry) -> tuple[str | None, ...]:
    """The same where another VAE is named with it."""
    return entry.stored_sha256, entry.facts.few_steps


def _plain(found: Sequence[Entry]) -> list[Entry]:
    return [entry for entry in found if not entry.facts.gives_way]


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

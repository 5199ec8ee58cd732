"""The checkpoints and VAEs of a library: found by name, or refused in words that can be sent."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence

from limner.domain.model import Card
from limner.engine.checkpoints import cards
from limner.engine.checkpoints.inspection import DESCRIPTIONS
from limner.errors import CheckpointError, InvalidInput, UnknownModel
from limner.models.entries import Entry
from limner.models.listing import Library

CARDS_MAX = 256


class ModelFiles:
    """Of ``library``; None: nothing is found. Everything here may read files. For any thread."""

    def __init__(self, library: Library | None) -> None:
        self._library = library
        self._cards: OrderedDict[tuple[str, ...], Card] = OrderedDict()
        self._lock = threading.Lock()

    def entries(self) -> tuple[Entry, ...]:
        """All that there is."""
        return () if self._library is None else self._library.entries()

    def as_listed(self) -> tuple[Entry, ...]:
        """The same as it was last, for who may not wait for folders."""
        return () if self._library is None else self._library.as_listed()

    def readings(self, sha256: str) -> list[Entry]:
        """``Library.readings``."""
        return [] if self._library is None else self._library.readings(sha256)

    def entry(
        self, name: str, kinds: Sequence[str], field: str, *, with_vae: bool = False
    ) -> Entry:
        """Of one of ``kinds``; raises in its own words for what is of another, or a pickle.

        ``with_vae``: see ``entries.find``.
        """
        if self._library is None:
            raise UnknownModel(field, f"{field} is {name!r}, which this server does not have")
        try:
            entry = self._library.find(name, kinds, field, with_vae=with_vae)
        except UnknownModel as unknown:
            try:
                entry = self._library.find(name, (), field)
            except InvalidInput:
                raise unknown from None
        facts = entry.facts
        if facts.kind not in kinds or (facts.pickled and facts.reason):
            why = facts.reason or f"It is {DESCRIPTIONS[facts.kind]}."
            raise InvalidInput(field, f"{field} is {name!r}, which cannot be used as one. {why}")
        return entry

    def found(
        self, name: str, kinds: Sequence[str], field: str, *, with_vae: bool = False
    ) -> tuple[Entry, str]:
        """The same with its SHA-256; named by a sum, it has that now, whatever was listed."""
        while True:
            entry = self.entry(name, kinds, field, with_vae=with_vae)
            sha256 = self.identify(entry, field)
            if name in entry.names or entry.sha256 in (None, sha256):
                return entry, sha256

    def identify(self, entry: Entry, field: str) -> str:
        """Its SHA-256, made where it is not known."""
        assert self._library is not None, "an entry is of a library"
        try:
            return self._library.identify(entry)
        except CheckpointError as error:
            raise _unusable(field, entry, error) from error

    def beside(self, entry: Entry) -> Entry | None:
        """The VAE that lies beside a checkpoint without one, or that the operator names for it.

        Another file of the same bytes may have another, or none, so that an engine is told which.
        """
        assert self._library is not None, "an entry is of a library"
        name = entry.facts.vae_beside
        file = entry.file.with_name(name) if name else entry.vae
        those = (e for e in self._library.entries() if e.facts.kind == "vae")
        return next((each for each in those if each.file == file), None)

    def card(self, entry: Entry, vae: Entry | None, *, beside: bool) -> Card:
        """Of a checkpoint with its own VAE or another; made once of the same files.

        One that lies ``beside`` it nobody has named: what is wrong with it is the model's fault.
        """
        named = [("model", entry)] + ([] if vae is None else [("vae", vae)])
        key = tuple(f"{each.found.stamp} {self.identify(each, field)}" for field, each in named)
        with self._lock:
            known = self._cards.get(key)
        if known is not None:
            return known
        try:
            card = cards.read(entry.file, None if vae is None else vae.file)
        except CheckpointError as error:
            blamed = vae is not None and not beside and vae.file.name in str(error)
            raise _unusable(*named[-1 if blamed else 0], error) from error
        with self._lock:
            self._cards[key] = card
            while len(self._cards) > CARDS_MAX:
                self._cards.popitem(last=False)
        return card


def _unusable(field: str, entry: Entry, error: CheckpointError) -> InvalidInput:
    """Without the path on this machine, which is nobody's business."""
    why = str(error).replace(f"{entry.file.parent}/", "")
    return InvalidInput(field, f"{field} is {entry.name!r}, which cannot be used: {why}")

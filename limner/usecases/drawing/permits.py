"""Which files of the library a key may draw with beside a model: LoRAs, controls, embeddings."""

from __future__ import annotations

from collections.abc import Sequence

from limner.domain.controls import Control
from limner.domain.embeddings import Embedding
from limner.domain.loras import Lora
from limner.domain.params import Generation
from limner.errors import CheckpointError, ModelNotAllowed
from limner.models.entries import Entry
from limner.models.facts import EMBEDDING
from limner.models.listing import Library
from limner.usecases.drawing.adapters import FIELDS

KINDS = frozenset((*FIELDS["loras"].kinds, *FIELDS["controls"].kinds, EMBEDDING))


def permit(library: Library | None, allowed: Sequence[str], lines: Sequence[Generation]) -> None:
    """Raises ``ModelNotAllowed`` where a key's list of adapters lacks one of bound ``lines``.

    ``allowed``: names and SHA-256s; empty: all. What an embedding's file is, a LoRA that brings it
    included, decides over it. It may read files.
    """
    if not allowed or library is None:
        return
    for adapter in dict.fromkeys(each for line in lines for each in _used(line)):
        if _called(library, adapter.sha256).isdisjoint(allowed):
            named = " that the prompt names" if isinstance(adapter, Embedding) else ""
            raise ModelNotAllowed(
                f"This key may not draw with {_WORDS[type(adapter)]} {adapter.name}{named}; "
                f"of adapters it may with {', '.join(allowed)}: leave it out, or name one of these"
            )


def among(entries: Sequence[Entry], allowed: Sequence[str]) -> list[Entry]:
    """Those of ``entries`` that a key with this list may draw with."""
    return [each for each in entries if not allowed or not each.called.isdisjoint(allowed)]


_WORDS: dict[type, str] = {Lora: "the LoRA", Control: "the control", Embedding: "the embedding"}
_Used = Lora | Control | Embedding


def _used(line: Generation) -> tuple[_Used, ...]:
    return (*line.loras, *line.controls, *(line.embeddings or ()))


def _called(library: Library, sha256: str) -> frozenset[str]:
    """All by which a list may name the file of this sum; a sum that is not known yet is made."""
    entries = [entry for entry in library.entries() if entry.facts.kind in KINDS]
    found = [entry for entry in entries if entry.sha256 == sha256]
    if not found:
        found = [entry for entry in entries if _is(library, entry, sha256)]
    return frozenset({sha256, sha256[:10]}).union(*(entry.called for entry in found))


def _is(library: Library, entry: Entry, sha256: str) -> bool:
    try:
        return entry.sha256 is None and library.identify(entry) == sha256
    except CheckpointError:
        return False

"""The VAE that an operator names with ``--vae``: checkpoints of the library without one have it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path

from limner.engine.checkpoints import layouts
from limner.errors import CheckpointError
from limner.models import walking
from limner.models.entries import Entry
from limner.models.facts import NO_VAE, Facts
from limner.models.places import Place
from limner.models.walking import Found

NAMED = "named"
Known = Callable[[Found], str | None]


def listed(entries: Sequence[Entry], vae: Path, known: Known) -> tuple[Entry, ...]:
    """The list with the VAE in it, and those told that draw with it.

    ``known`` gives its SHA-256, if that is known. One that cannot be used stops a server's start;
    here it is left aside.
    """
    own = next((e for e in entries if e.file == vae and e.facts.kind == "vae"), None)
    if own is None:
        own = _entry(vae, known, {name for entry in entries for name in entry.names})
        entries = [*entries, *([own] if own else [])]
    usable = own is not None and not own.facts.reason
    return tuple(
        _with(entry, vae) if usable and entry.facts.needs_vae else entry for entry in entries
    )


def _entry(vae: Path, known: Known, taken: Collection[str]) -> Entry | None:
    try:
        layouts.read_vae(vae)
        own = walking.own_stamp(vae)
        size = vae.stat().st_size if vae.is_file() else 0
    except (CheckpointError, OSError):
        return None
    found = Found(Place(NAMED, vae.parent, yields=True), vae, size, own, own=own)
    name = found.whole if found.stem in taken else found.stem
    return Entry(name, found, Facts("vae", "sd1"), known(found))


def _with(entry: Entry, vae: Path) -> Entry:
    told = f"VAE taken from {vae.name}, which the server names for checkpoints without one"
    notes = (*(note for note in entry.facts.notes if note != NO_VAE), told)
    return replace(entry, vae=vae, facts=replace(entry.facts, needs_vae=False, notes=notes))

"""The library in the terminal."""

from __future__ import annotations

from limner.cli import terminal
from limner.models.entries import Entry
from limner.models.facts import NO_VAE
from limner.models.listing import Library
from limner.settings import Settings


def opened(settings: Settings) -> Library:
    """The library that the settings name."""
    return Library(settings.data_dir, settings.models_dirs, vae=settings.vae)


def show(settings: Settings, *, as_json: bool) -> None:
    """Print what is in it; as JSON ``path`` is the whole path."""
    entries = opened(settings).entries()
    if as_json:
        terminal.data([e.as_dict() | {"path": str(e.file)} for e in entries], indent=2)
        return
    for entry in entries:
        terminal.say(_line(entry))


def _line(entry: Entry) -> str:
    facts = entry.facts
    size = f"{entry.found.bytes / 1e6:,.0f} MB"
    kind = facts.kind if facts.base in ("unknown", facts.kind) else f"{facts.kind} for {facts.base}"
    told = facts.reason or (NO_VAE if facts.needs_vae else facts.licence) or ""
    return f"{entry.name:<28} {size:>10}  {kind:<26} {entry.file}  {told}".rstrip()

"""Importing one model, or all pickles of the library."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from limner.cli import listing, terminal
from limner.errors import CheckpointError
from limner.models.entries import Entry
from limner.settings import Settings

if TYPE_CHECKING:
    from limner.engine.checkpoints.importing import Imported
    from limner.engine.checkpoints.prediction import Wish


@dataclass(frozen=True)
class Wanted:
    """How to import: the options of ``limner models import``."""

    precision: str
    licence: str | None
    ema: bool
    wish: Wish
    vae: Path | None = None

    @property
    def named(self) -> list[str]:
        """The parts that are taken from other files."""
        parts = {"vae": self.vae, "text_encoder": self.wish.text_encoder}
        return [name for name, path in parts.items() if path]


def one(file: Path, models: Path, name: str | None, wanted: Wanted, *, as_json: bool) -> None:
    """Import a file or folder and say what was done."""
    made = _made(file, models, name, wanted)
    if as_json:
        terminal.data(_row(made), indent=2)
    else:
        _tell(made)


def every(settings: Settings, models: Path, wanted: Wanted, *, as_json: bool) -> None:
    """Import all pickled checkpoints and VAEs of the library that are not imported yet.

    One that is refused is told, the others go on; then the command ends with status 1.
    """
    from limner.engine.checkpoints.importable import KINDS

    those = [
        entry
        for entry in listing.opened(settings).entries()
        if entry.facts.pickled and entry.facts.kind in KINDS
    ]
    rows: list[dict[str, Any]] = []
    refused = 0
    for entry in those:
        try:
            if _is_imported(entry, models):
                terminal.note(f"{entry.file.name} is imported already")
                continue
            made = _made(entry.file, models, None, wanted)
        except CheckpointError as error:
            refused += 1
            terminal.note(f"{entry.found.whole}: {error}")
            continue
        rows.append(_row(made))
        if not as_json:
            _tell(made)
    if as_json:
        terminal.data(rows, indent=2)
    else:
        terminal.say(f"Imported {len(rows)} of {len(those)} pickled models; {refused} refused.")
    if refused:
        raise typer.Exit(1)


def _is_imported(entry: Entry, models: Path) -> bool:
    """Whether the folder of its name was made of this very file."""
    from limner.engine.checkpoints.digests import sha256
    from limner.engine.checkpoints.layouts import PROVENANCE, SOURCE_SHA256
    from limner.engine.checkpoints.shapes import read_json

    papers = models / entry.file.stem / PROVENANCE
    return papers.is_file() and read_json(papers).get(SOURCE_SHA256) == sha256(entry.file)


def _made(file: Path, models: Path, name: str | None, wanted: Wanted) -> Imported:
    from limner.engine.checkpoints import importable

    importable.check(
        file, models, name, wanted.precision, wanted.named
    )  # before PyTorch is imported
    from limner.engine.checkpoints.importing import import_checkpoint

    return import_checkpoint(
        file,
        models,
        name=name,
        precision=wanted.precision,
        licence=wanted.licence,
        ema=wanted.ema,
        vae=wanted.vae,
        wish=wanted.wish,
    )


def _row(made: Imported) -> dict[str, Any]:
    return {"path": str(made.path), **made.provenance}


def _tell(made: Imported) -> None:
    for change in made.provenance["changes"]:
        terminal.say(f"  {change}")
    flag = "--vae" if made.provenance["kind"] == "vae" else "--model"
    terminal.say(f"sha256 {made.provenance['sha256']}")
    terminal.say(f"Use it with: limner serve {flag} {shlex.quote(str(made.path))}")
    if flag == "--model":
        _tell_what_lacks(made.path)


def _tell_what_lacks(model: Path) -> None:
    """What must be named beside it, as loading it would say."""
    from limner.engine.checkpoints import layouts

    try:
        layouts.check(model, None)
    except CheckpointError as error:
        terminal.say(str(error))

"""Importing one model, or all pickles of the library."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from limner.cli import files, listing, terminal
from limner.errors import CheckpointError
from limner.models.entries import Entry, copy_of
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
    """Import a file or folder and say what was done; a network's own folder gives its name."""
    from limner.engine.checkpoints import folders

    source = folders.alone(file)
    name = name or (None if source == file else file.resolve().name)
    made = _made(source, models, name, wanted)
    if as_json:
        terminal.data(_row(made), indent=2)
    else:
        _tell(made)


def every(settings: Settings, models: Path, wanted: Wanted, *, as_json: bool) -> None:
    """Import all pickled checkpoints, VAEs and LoRAs of the library that are not imported yet.

    One that is refused is told, the others go on; then the command ends with status 1.
    """
    from limner.engine.checkpoints.importable import KINDS

    entries = listing.opened(settings).entries()
    those = [entry for entry in entries if entry.facts.gives_way and entry.facts.kind in KINDS]
    shelf = _Shelf(models, entries, those)
    rows: list[dict[str, Any]] = []
    refused = 0
    for entry in those:
        try:
            made = _copied(entry, shelf, wanted)
        except CheckpointError as error:
            refused += 1
            terminal.note(f"{entry.found.whole}: {error}")
            continue
        if made is None:
            continue
        rows.append(_row(made))
        if not as_json:
            terminal.say(f"{entry.found.whole} is imported as {made.path.stem}:")
            _tell(made)
    if as_json:
        terminal.data(rows, indent=2)
    else:
        terminal.say(f"Imported {len(rows)} of {len(those)} pickled models; {refused} refused.")
    if refused:
        raise typer.Exit(1)


class _Shelf:
    """What is imported already, and which names are left. ``models``: the folder of imports."""

    def __init__(self, models: Path, entries: Sequence[Entry], pickles: Sequence[Entry]) -> None:
        from limner.engine.checkpoints.digests import sha256

        self.models = models
        self._pickles = [replace(each, sha256=sha256(each.file)) for each in pickles]
        self._copies = [entry for entry in entries if entry.source_sha256]
        named = (entry for entry in entries if not entry.facts.gives_way)
        self._taken = {(_sort(entry), entry.found.stem) for entry in named}

    def copy_of(self, entry: Entry) -> Entry | None:
        """What was imported from it, or from an equal file that is drawn alike."""
        pickle = next(each for each in self._pickles if each.id == entry.id)
        return copy_of(pickle, self._pickles, self._copies)

    def add(self, entry: Entry, made: Imported) -> None:
        """It is imported now."""
        facts = replace(entry.facts, source_sha256=made.provenance["source_sha256"])
        place = replace(entry.found.place, imported=True)
        found = replace(entry.found, place=place)
        self._copies.append(replace(entry, name=made.path.stem, found=found, facts=facts))

    def name(self, entry: Entry) -> str:
        """The file's own, or with a number: what a name means today it shall mean tomorrow."""
        free = (path.name for path in files.free_names(self.models / entry.file.stem))
        return next(n for n in free if self._is_free(_sort(entry), n))

    def _is_free(self, sort: str, name: str) -> bool:
        return (sort, name) not in self._taken and not (self.models / name).exists()


def _sort(entry: Entry) -> str:
    """Within which a request's names are looked for."""
    return entry.facts.kind.partition("-")[0]


def _copied(entry: Entry, shelf: _Shelf, wanted: Wanted) -> Imported | None:
    """Of a pickle of the library; None where there is one, which is told."""
    if copy := shelf.copy_of(entry):
        terminal.note(f"{entry.found.whole} is imported already, as {copy.name}")
        return None
    made = _made(entry.file, shelf.models, shelf.name(entry), wanted)
    shelf.add(entry, made)
    return made


def _made(file: Path, models: Path, name: str | None, wanted: Wanted) -> Imported:
    from limner.engine.checkpoints import importable

    importable.check(
        file, models, name, wanted.precision, wanted.named
    )  # before PyTorch is imported
    from limner.engine.checkpoints.importing import import_checkpoint

    made = import_checkpoint(
        file,
        models,
        name=name,
        precision=wanted.precision,
        licence=wanted.licence,
        ema=wanted.ema,
        vae=wanted.vae,
        wish=wanted.wish,
    )
    _take_along(file, made.path)
    return made


def _take_along(source: Path, made: Path) -> None:
    """The notes and the picture beside it, which say how it is called and drawn with."""
    from limner.models import sidecars

    for suffix in sidecars.NOTES_AND_PICTURES:
        beside = source.with_name(source.stem + suffix)
        if source.is_file() and beside.is_file():
            shutil.copyfile(beside, made.with_name(made.stem + suffix))


def _row(made: Imported) -> dict[str, Any]:
    return {"path": str(made.path), **made.provenance}


def _tell(made: Imported) -> None:
    for change in made.provenance["changes"]:
        terminal.say(f"  {change}")
    terminal.say(f"sha256 {made.provenance['sha256']}")
    if made.provenance["kind"] == "lora":
        terminal.say(f"Use it in a prompt: <lora:{made.path.stem}:1>")
        return
    flag = "--vae" if made.provenance["kind"] == "vae" else "--model"
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

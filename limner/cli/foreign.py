"""What ``limner replay`` does with another program's picture or text: read, find, tell, draw."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from limner import imaging
from limner.cli import checks, choosing, drawing, engines, files, listing, terminal
from limner.errors import InvalidInput
from limner.settings import Settings
from limner.usecases.drawing.pictures import Picture
from limner.usecases.pictures.foreign import FileFinder, Settled, settle
from limner.web.native import foreign
from limner.web.reading import form
from limner.web.reading.intake import Intake


@dataclass(frozen=True)
class Target:
    """Where the picture goes, a free name if None; ``dry``: nothing is drawn."""

    output: Path | None
    dry: bool = False


def text_of(file: Path) -> str | None:
    """The settings that a ``.txt`` or a picture without a receipt holds; None for what has one.

    Raises ``InvalidInput`` for what holds neither.
    """
    if file.suffix == ".json":
        return None
    try:
        data = file.read_bytes()
    except OSError as error:
        raise InvalidInput("file", f"{file} cannot be read: {error.strerror}") from error
    if file.suffix == ".txt":
        return data.decode("utf-8-sig", "replace")
    found = imaging.read_metadata(data, str(file))
    if found.receipt is not None and "parameters" in found.receipt:
        return None
    if not found.parameters:
        raise InvalidInput(
            "file",
            f"{file} holds no receipt and no settings: it was not written by a program that keeps "
            "them, or its metadata was taken out",
        )
    return found.parameters


@dataclass(frozen=True)
class Understood:
    """What a text means here; ``told`` as an answer of ``POST /api/replay`` says it."""

    settled: Settled
    call: form.Call
    told: Mapping[str, Any]

    @property
    def work(self) -> engines.Work:
        return engines.Work(self.call.generation, self.call.pixels, choice=self.call.choice)


def run(
    settings: Settings,
    text: str,
    given: Mapping[str, Path | None],
    target: Target,
    *,
    as_json: bool,
) -> None:
    """Tell what ``text`` means here, and draw it."""
    found = understand(settings, text, given)
    told = dict(found.told)
    if not as_json:
        _tell(found.settled)
    if not target.dry:
        [picture] = engines.all_drawn(settings, [found.work])
        path = write(picture, found, target.output)
        told |= {"file": str(path)}
    if as_json:
        terminal.data(told)
    elif target.dry:
        _tell_settings(told["settings"])
    else:
        terminal.say(f"{path}  seed {found.call.generation.seed}")


def understand(settings: Settings, text: str, given: Mapping[str, Path | None]) -> Understood:
    """Find what ``text`` names, and read it as a request. Raises ``InvalidInput``."""
    checks.model(settings)
    sources = {name: path.read_bytes() for name, path in given.items() if path is not None}
    finder = FileFinder(listing.opened(settings), checks.card(settings), thorough=True)
    with terminal.waiting("looking for its files"):
        settled = settle(text, finder, from_picture="image" in sources)
    found = foreign.as_read(settled, sources, settings)
    call = asyncio.run(_call(found, settings))
    return Understood(settled, call, found.told() | {"adjustments": list(call.notes)})


async def _call(found: foreign.Read, settings: Settings) -> form.Call:
    call = await form.to_call(found.asked, Intake(settings, choose=choosing.chooser(settings)))
    bound = engines.adapter_files(settings).bind(call.lines)
    call = replace(call, lines=bound)
    return replace(call, notes=drawing.told(call))


def write(picture: Picture, found: Understood, output: Path | None) -> Path:
    """The file that the picture was written to: ``output``, or one of a free name."""
    if output is None:
        free = Path(f"limner-{found.call.generation.seed}.png")
        return files.write_new(free, picture.encode("png"))
    files.write(output, picture.encode("png"))
    return output


def _tell(settled: Settled) -> None:
    for head, sentences in (("missing", settled.missing), ("differs", settled.differs)):
        for sentence in sentences:
            terminal.note(f"{head}: {sentence}", style="red" if head == "missing" else "yellow")


def _tell_settings(said: Mapping[str, Any]) -> None:
    for name, value in said.items():
        terminal.say(f"{name}: {value}")

"""What ``limner draw`` does: read requests, put them through the engine together, write files."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from limner import imaging
from limner.cli import choosing, engines, files, loading, options, terminal
from limner.engine.batching.ticket import Failed
from limner.errors import EngineFault, InvalidInput, MalformedBody, SettingsError
from limner.settings import Settings
from limner.usecases.drawing import models, prices
from limner.usecases.drawing.pictures import Picture
from limner.usecases.preprocessing import Preprocessing
from limner.web.native import form as native_form
from limner.web.reading import body
from limner.web.reading import form as wire
from limner.web.reading.intake import Choose, Intake

LINES_MAX = 100_000
PATH_LENGTH_MAX = 1000
FIRST_PASS = "-first"  # behind the name of the picture that became of it


@dataclass(frozen=True)
class Target:
    """Where pictures go: numbered in ``folder`` with their receipts, or to ``file``."""

    folder: Path | None
    file: Path | None
    format: imaging.Format
    sprite: bool
    overwrite: bool = False

    @classmethod
    def of(
        cls,
        *,
        output: Path | None,
        out: Path | None,
        batch: Path | None,
        format: str | None,
        sprite: bool,
        overwrite: bool = False,
    ) -> Target:
        """From the command's options. Raises ``SettingsError`` for those that do not fit."""
        named = files.format_of(output) if format is None else format
        if sprite and named != "png":
            raise SettingsError(f"--sprite writes PNG; -o is {output}, --format is {format}.")
        format = named
        if format not in imaging.MEDIA_TYPES:
            raise SettingsError(
                f"--format is {format!r}; it must be one of {', '.join(imaging.MEDIA_TYPES)}."
            )
        if batch is not None and out is None:
            raise SettingsError("--batch needs --out FOLDER for its pictures.")
        if batch is None and out is not None:
            raise SettingsError("--out goes with --batch; a single picture is named by -o FILE.")
        if batch is not None and output is not None:
            raise SettingsError("-o names a single picture; those of --batch go to --out FOLDER.")
        return cls(out, output, format, sprite, overwrite)  # type: ignore[arg-type]

    @property
    def suffix(self) -> str:
        """How its files end."""
        return {"jpeg": ".jpg"}.get(self.format, f".{self.format}")

    def path(self, number: int, index: int, *, first_pass: bool = False) -> Path | None:
        """File of a picture: the batch's line ``number`` from 1, sample ``index``.

        Or of its first pass. None where nothing names it: then it is called by its seed.
        """
        more = (f"-{index + 1}" if index else "") + (FIRST_PASS if first_pass else "")
        if self.folder is not None:
            return self.folder / f"{number:04d}{more}{self.suffix}"
        if self.file is not None:
            return self.file.with_name(f"{self.file.stem}{more}{self.file.suffix}")
        return None

    def refuse_taken(self, calls: Sequence[wire.Call]) -> None:
        """Raise ``SettingsError`` where a file of these calls is there already."""
        paths = [
            path
            for number, call in enumerate(calls, 1)
            for index in range(sum(line.samples for line in call.lines))
            for first in ((False, True) if _wants_first_passes(call) else (False,))
            if (path := self.path(number, index, first_pass=first)) is not None
        ]
        receipts = [path.with_suffix(".json") for path in paths] if self.folder else []
        files.refuse_taken([*paths, *receipts], overwrite=self.overwrite)


def _wants_first_passes(call: wire.Call) -> bool:
    return any(line.hires is not None and line.hires.first_pass for line in call.lines)


def read_calls(settings: Settings, batch: Path | None, given: Mapping[str, Any]) -> list[wire.Call]:
    """The calls of a batch file, ``given`` their defaults; or the one call of ``given``."""
    lines: list[tuple[int, dict[str, Any]]] = [(1, {})]
    if batch is not None:
        data = sys.stdin.buffer.read() if str(batch) == "-" else batch.read_bytes()
        lines = _lines(data)

    async def all_calls() -> list[wire.Call]:
        calls, choose = [], choosing.chooser(settings)
        for number, line in lines:
            defaults = _defaults(line, given)
            try:
                with options.in_flags(defaults):
                    call = await to_call({**defaults, **line}, settings, choose)
            except InvalidInput as error:
                where = f"line {number}: " if batch is not None else ""
                raise InvalidInput(error.field, f"{where}{error}") from error
            calls.append(call)
        return calls

    return asyncio.run(all_calls())


async def to_call(fields: Mapping[str, Any], settings: Settings, choose: Choose) -> wire.Call:
    """A body as the terminal takes it: the engine's limits, and pictures also as files' names."""
    body.check(fields)  # bytes of an argument that are no UTF-8 come as lone surrogates
    read = {name: _from_file(name, value) for name, value in fields.items()}
    asked = wire.ask(read, settings, mixed=True, form=native_form.FORM)
    library = Preprocessing(loading.open_library(settings))
    intake = Intake(settings, choose=choose, preprocessing=library)
    call = await wire.to_call(asked, intake)
    call = replace(call, lines=engines.adapter_files(settings).bind(call.lines))
    return replace(call, notes=told(call))


def told(call: wire.Call) -> tuple[str, ...]:
    """What is done differently from the letter of a call, as a server tells it.

    Raises ``InvalidInput`` as a server does, for prompts beyond the engine's limits.
    """
    notes = [note for line in call.lines for note in prices.price(line)[1]]
    return tuple(dict.fromkeys((*call.notes, *notes)))


def _from_file(name: str, value: Any, inside: str = "") -> Any:
    """A picture's bytes, where ``value`` names a file; else what it was.

    Raises ``InvalidInput`` for a file's name, told by its suffix, where there is no such file;
    ``inside``, such as ``controls.0.``, is the entry that names it.
    """
    own = wire.ALIASES.get(name, name)
    if own in ("controls", "regions"):
        return _from_files(own, value)
    if own not in ("image", "mask") or not isinstance(value, str) or len(value) > PATH_LENGTH_MAX:
        return value
    path = Path(value)
    if path.is_file():
        return path.read_bytes()
    if path.suffix and "://" not in value and not value.startswith("data:"):  # base64 has no dot
        raise InvalidInput(f"{inside}{own}", f"{inside}{own} is {value}; there is no such file.")
    return value


def _from_files(field: str, value: Any) -> Any:
    """The same of the pictures of a list of objects, or of its JSON."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return value  # and is refused as whoever reads it says
    if not isinstance(value, list):
        return value
    return [
        {n: _from_file(n, v, f"{field}.{place}.") for n, v in each.items()}
        if isinstance(each, dict)
        else each
        for place, each in enumerate(value)
    ]


def _defaults(line: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """What a line does not say itself under a field's name or its alias."""
    said = {wire.ALIASES.get(name, name) for name in line}
    return {name: value for name, value in given.items() if name not in said}


def _lines(data: bytes) -> list[tuple[int, dict[str, Any]]]:
    """The requests of a batch, each with the number of its line in the file."""
    found = []
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            found.append((number, body.parse_json(line)))
        except MalformedBody as error:
            raise MalformedBody(f"line {number}: {error}") from error
    if not 0 < len(found) <= LINES_MAX:
        raise MalformedBody(f"The file holds {len(found)} requests; 1 to {LINES_MAX:,} are drawn.")
    return found


def run(settings: Settings, calls: Sequence[wire.Call], target: Target, *, as_json: bool) -> None:
    """Draw every call and write its pictures; raises ``EngineFault`` when one did not come."""
    target.refuse_taken(calls)
    works = list(_works(calls))
    failures: dict[str, list[str]] = {}
    for made in engines.drawn(settings, [work for _, _, work in works]):
        (number, before, _), picture = works[made.place], made.picture
        if isinstance(picture, Failed):
            failed = f"request {number}, picture {before + picture.index + 1}"
            failures.setdefault(str(picture.error), []).append(failed)
            continue
        path = _write(replace(picture, index=before + picture.index), target, number)
        call = calls[number - 1]
        notes = (*call.notes, *models.told(made.model, call.lines))
        _tell(path, picture, notes, as_json=as_json)
    if failures:
        raise EngineFault("; ".join(map(_failed, failures, failures.values())))


def _failed(reason: str, places: Sequence[str]) -> str:
    more = f" and {len(places) - 1} more" if len(places) > 1 else ""
    return f"{places[0]}{more}: {reason}"


def _works(calls: Sequence[wire.Call]) -> Iterator[tuple[int, int, engines.Work]]:
    """What to draw, with its call's number from 1 and the pictures of that call before it."""
    for number, call in enumerate(calls, 1):
        before = 0
        for line in call.lines:
            yield number, before, engines.Work(line, call.pixels, choice=call.choice)
            before += line.samples


def _write(picture: Picture, target: Target, number: int) -> Path:
    data = picture.sprite() if target.sprite else picture.encode(target.format)
    path = target.path(number, picture.index, first_pass=picture.first_pass)
    if path is None:
        seed, more = picture.receipt["parameters"]["seed"], FIRST_PASS if picture.first_pass else ""
        return files.write_new(Path(f"limner-{seed}{more}{target.suffix}"), data)
    files.write(path, data)
    if target.folder is not None:
        receipt = json.dumps(picture.receipt, indent=1) + "\n"
        files.write(path.with_suffix(".json"), receipt.encode())
    return path


def _tell(path: Path, picture: Picture, notes: Sequence[str], *, as_json: bool) -> None:
    if as_json:
        line = {"file": str(path), "adjustments": list(notes), "receipt": picture.receipt}
        terminal.data(line)
        return
    terminal.say(f"{path}  seed {picture.receipt['parameters']['seed']}")
    for note in notes:
        terminal.note(f"  {note}", style="yellow")

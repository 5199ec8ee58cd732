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
from limner.cli import easel, terminal
from limner.engine.request import Failed
from limner.errors import EngineFault, InvalidInput, MalformedBody, SettingsError
from limner.settings import Settings
from limner.usecases.develop import Picture
from limner.web import body, native_form, wire

LINES_MAX = 100_000
PATH_LENGTH_MAX = 1000


@dataclass(frozen=True)
class Target:
    """Where pictures go: numbered in ``folder`` with their receipts, or to ``file``."""

    folder: Path | None
    file: Path | None
    format: imaging.Format
    sprite: bool

    @classmethod
    def of(
        cls,
        *,
        output: Path | None,
        out: Path | None,
        batch: Path | None,
        format: str | None,
        sprite: bool,
    ) -> Target:
        """From the command's options. Raises ``SettingsError`` for those that do not fit."""
        format = "png" if sprite else format or _format_of(output)
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
        return cls(out, output, format, sprite)  # type: ignore[arg-type]

    def path(self, number: int, picture: Picture) -> Path:
        """File of a picture: the batch's line ``number`` from 1, sample ``picture.index``."""
        more = f"-{picture.index + 1}" if picture.index else ""
        suffix = {"jpeg": "jpg"}.get(self.format, self.format)
        if self.folder is not None:
            return self.folder / f"{number:04d}{more}.{suffix}"
        if self.file is not None:
            return self.file.with_name(f"{self.file.stem}{more}{self.file.suffix}")
        return Path(f"limner-{picture.receipt['parameters']['seed']}.{suffix}")


def _format_of(output: Path | None) -> str:
    """The format that a file's name asks for; PNG where it asks for none that is written."""
    ending = output.suffix.lower().removeprefix(".") if output else ""
    named = {"jpg": "jpeg"}.get(ending, ending)
    return named if named in imaging.MEDIA_TYPES else "png"


def read_calls(settings: Settings, batch: Path | None, given: Mapping[str, Any]) -> list[wire.Call]:
    """The calls of a batch file, ``given`` their defaults; or the one call of ``given``."""
    lines = [(1, dict(given))]
    if batch is not None:
        data = sys.stdin.buffer.read() if str(batch) == "-" else batch.read_bytes()
        lines = [(number, _with_defaults(line, given)) for number, line in _lines(data)]

    async def all_calls() -> list[wire.Call]:
        calls = []
        for number, fields in lines:
            try:
                call = await to_call(fields, settings)
            except InvalidInput as error:
                where = f"line {number}: " if batch is not None else ""
                raise InvalidInput(error.field, f"{where}{error}") from error
            calls.append(call)
        return calls

    return asyncio.run(all_calls())


async def to_call(fields: Mapping[str, Any], settings: Settings) -> wire.Call:
    """A body as the terminal takes it: the engine's limits, and pictures also as files' names."""
    body.check(fields)  # bytes of an argument that are no UTF-8 come as lone surrogates
    read = {name: _from_file(name, value) for name, value in fields.items()}
    asked = wire.ask(read, settings, mixed=True, form=native_form.FORM)
    return await wire.to_call(asked, settings)


def _from_file(name: str, value: Any) -> Any:
    """A picture's bytes, where ``value`` names a file; else what it was."""
    own = wire.ALIASES.get(name, name)
    if own not in ("image", "mask") or not isinstance(value, str) or len(value) > PATH_LENGTH_MAX:
        return value
    path = Path(value)
    return path.read_bytes() if path.is_file() else value


def _with_defaults(line: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """A line, and what it does not say itself under a field's name or its alias."""
    said = {wire.ALIASES.get(name, name) for name in line}
    return {**{name: value for name, value in given.items() if name not in said}, **line}


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
    works = list(_works(calls))
    failures: list[str] = []
    with easel.opened(
        settings, sum(line.samples for call in calls for line in call.lines)
    ) as engine:
        drawn = easel.draw(engine, [work for _, _, work in works])
        for place, picture in drawn:
            number, before, _ = works[place]
            if isinstance(picture, Failed):
                failures.append(f"request {number}, picture {picture.index + 1}: {picture.error}")
                continue
            path = _write(replace(picture, index=before + picture.index), target, number)
            _tell(path, picture, calls[number - 1].notes, as_json=as_json)
    if failures:
        raise EngineFault("; ".join(failures))


def _works(calls: Sequence[wire.Call]) -> Iterator[tuple[int, int, easel.Work]]:
    """What to draw, with its call's number from 1 and the pictures of that call before it."""
    for number, call in enumerate(calls, 1):
        before = 0
        for line in call.lines:
            yield number, before, easel.Work(line, call.pixels)
            before += line.samples


def _write(picture: Picture, target: Target, number: int) -> Path:
    path = target.path(number, picture)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(picture.sprite() if target.sprite else picture.encode(target.format))
    if target.folder is not None:
        path.with_suffix(".json").write_text(json.dumps(picture.receipt, indent=1) + "\n")
    return path


def _tell(path: Path, picture: Picture, notes: Sequence[str], *, as_json: bool) -> None:
    if as_json:
        line = {"file": str(path), "adjustments": list(notes), "receipt": picture.receipt}
        terminal.data(line)
        return
    terminal.say(f"{path}  seed {picture.receipt['parameters']['seed']}")
    for note in notes:
        terminal.note(f"  {note}", style="yellow")

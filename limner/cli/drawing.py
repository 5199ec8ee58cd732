"""What ``limner draw`` does: read requests, put them through the engine together, write files."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from limner import imaging
from limner.domain.params import SAMPLES_MAX
from limner.engine import request as engine_request
from limner.engine.loop import ThreadEngine
from limner.engine.request import Drawn, Failed, Request
from limner.engine.starting import loader
from limner.errors import EngineFault, InvalidInput, MalformedBody, SettingsError
from limner.settings import Settings
from limner.usecases.develop import Picture, develop
from limner.web import native_form, wire

LINES_MAX = 100_000
_console = Console(stderr=True)


@dataclass(frozen=True)
class Target:
    """Where pictures go: numbered in ``folder`` with their receipts, or to ``file``."""

    folder: Path | None
    file: Path | None
    format: imaging.Format
    sprite: bool

    @classmethod
    def of(
        cls, *, output: Path | None, out: Path | None, batch: Path | None, format: str, sprite: bool
    ) -> Target:
        """From the command's options. Raises ``SettingsError`` for those that do not fit."""
        if format not in imaging.MEDIA_TYPES:
            raise SettingsError(
                f"--format is {format!r}; it must be one of {', '.join(imaging.MEDIA_TYPES)}."
            )
        if batch is not None and out is None:
            raise SettingsError("--batch needs --out FOLDER for its pictures.")
        if batch is None and out is not None:
            raise SettingsError("--out goes with --batch; a single picture is named by -o FILE.")
        return cls(out, output, "png" if sprite else format, sprite)  # type: ignore[arg-type]

    def path(self, number: int, picture: Picture) -> Path:
        """File of a picture: the batch's line ``number`` from 1, sample ``picture.index``."""
        more = f"-{picture.index + 1}" if picture.index else ""
        suffix = {"jpeg": "jpg"}.get(self.format, self.format)
        if self.folder is not None:
            return self.folder / f"{number:04d}{more}.{suffix}"
        if self.file is not None:
            return self.file.with_name(f"{self.file.stem}{more}{self.file.suffix}")
        return Path(f"limner-{picture.receipt['parameters']['seed']}.{suffix}")


def read_calls(settings: Settings, batch: Path | None, given: Mapping[str, Any]) -> list[wire.Call]:
    """The calls of a batch file, ``given`` their defaults; or the one call of ``given``."""
    bodies = [dict(given)]
    if batch is not None:
        text = sys.stdin.read() if str(batch) == "-" else batch.read_text(encoding="utf-8")
        bodies = [_with_defaults(line, given) for line in _lines(text)]

    async def all_calls() -> list[wire.Call]:
        calls = []
        for number, body in enumerate(bodies, 1):
            try:
                call = await wire.to_call(body, settings, mixed=True, form=native_form.FORM)
            except InvalidInput as error:
                where = f"line {number}: " if batch is not None else ""
                raise InvalidInput(error.field, f"{where}{error}") from error
            calls.append(call)
        return calls

    return asyncio.run(all_calls())


def _with_defaults(line: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """A line, and what it does not say itself under a field's name or its alias."""
    said = {wire.ALIASES.get(name, name) for name in line}
    return {**{name: value for name, value in given.items() if name not in said}, **line}


def _lines(text: str) -> list[dict[str, Any]]:
    bodies = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            body = json.loads(line)
        except ValueError as error:
            raise MalformedBody(f"line {number} is not JSON: {error}") from error
        if not isinstance(body, dict):
            raise MalformedBody(f"line {number} is not a JSON object")
        bodies.append(body)
    if not 0 < len(bodies) <= LINES_MAX:
        raise MalformedBody(f"The file holds {len(bodies)} requests; 1 to {LINES_MAX:,} are drawn.")
    return bodies


def run(settings: Settings, calls: Sequence[wire.Call], target: Target, *, as_json: bool) -> None:
    """Draw every call and write its pictures; raises ``EngineFault`` when one did not come."""
    pictures = sum(call.generation.samples for call in calls)
    with _engine(settings, pictures) as engine:
        events: SimpleQueue[tuple[int, engine_request.Event]] = SimpleQueue()
        for number, call in enumerate(calls, 1):
            engine.submit(_request(number, call, events))
        failures = _write_all(engine, calls, events, target, as_json=as_json)
    if failures:
        raise EngineFault("; ".join(failures))


@contextmanager
def _engine(settings: Settings, pictures: int) -> Iterator[ThreadEngine]:
    """An engine that is ready; how many rows run together is measured only for a batch."""
    load = loader(
        settings.model,
        vae=settings.vae,
        device=settings.device,
        dtype=settings.dtype,
        knee_file=settings.data_dir / "throughput.json",
        max_rows=None if pictures > 4 else 8,
        prompt_cache_bytes=settings.prompt_cache_max_mib << 20,
    )
    engine = ThreadEngine(load, max_queue=LINES_MAX * SAMPLES_MAX)
    try:
        with _console.status("starting") as status:
            while not engine.status().ready:
                if engine.failure is not None:
                    raise engine.failure
                status.update(engine.status().message)
                time.sleep(0.05)
        yield engine
    finally:
        engine.close()


def _request(
    number: int, call: wire.Call, events: SimpleQueue[tuple[int, engine_request.Event]]
) -> Request:
    return Request(
        id=f"draw-{number}",
        generation=call.generation,
        owner="terminal",
        sink=lambda event: events.put((number, event)),
        pixels=call.pixels,
    )


def _write_all(
    engine: ThreadEngine,
    calls: Sequence[wire.Call],
    events: SimpleQueue[tuple[int, engine_request.Event]],
    target: Target,
    *,
    as_json: bool,
) -> list[str]:
    """Write pictures as they come; returns a sentence for each that did not."""
    model = engine.status().model
    assert model is not None
    failures: list[str] = []
    open_pictures = sum(call.generation.samples for call in calls)
    with _progress() as bar:
        task = bar.add_task("drawing", total=None)
        done: dict[tuple[int, int], int] = {}
        while open_pictures:
            number, event = events.get()
            generation = calls[number - 1].generation
            if isinstance(event, engine_request.Progress):
                done[number, event.index] = event.evaluation
                total = event.evaluations * sum(c.generation.samples for c in calls)
                bar.update(task, completed=sum(done.values()), total=total)
            elif isinstance(event, Drawn):
                open_pictures -= 1
                picture = develop(generation, event, model)
                path = _write(picture, target, number)
                _tell(path, picture, calls[number - 1].notes, as_json=as_json)
            elif isinstance(event, Failed):
                open_pictures -= 1
                failures.append(f"request {number}, picture {event.index + 1}: {event.error}")
    return failures


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
        print(json.dumps(line), flush=True)
        return
    print(f"{path}  seed {picture.receipt['parameters']['seed']}", flush=True)
    for note in notes:
        _console.print(f"  {note}", style="yellow", highlight=False)


@contextmanager
def _progress() -> Iterator[Progress]:
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=_console, transient=True) as bar:
        yield bar

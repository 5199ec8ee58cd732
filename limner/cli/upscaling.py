"""What ``limner upscale`` does: read pictures, make them larger one by one, write PNGs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limner import imaging
from limner.cli import engines, files, loading, terminal
from limner.domain.upscalers import Upscaler
from limner.errors import InvalidInput, SettingsError
from limner.imaging.tasks import TASKS
from limner.settings import Settings
from limner.usecases.upscaling import Upscaling, Wish, size_of
from limner.web.enlarging import Layers, written
from limner.web.native.upscale import READERS


@dataclass(frozen=True)
class Target:
    """Where a picture goes, a free name beside it if None."""

    output: Path | None
    overwrite: bool = False

    def check(self, pictures: Sequence[Path]) -> None:
        """Raises ``SettingsError`` where they cannot go there."""
        if self.output is None:
            return
        if len(pictures) > 1:
            raise SettingsError(f"-o names a single picture; {len(pictures)} are made larger.")
        if files.format_of(self.output) != "png":
            raise SettingsError(f"-o is {self.output}; larger pictures are written as PNG.")
        files.refuse_taken([self.output], overwrite=self.overwrite)

    def write(self, picture: Path, data: bytes) -> Path:
        """Write what became of ``picture``; where it is."""
        if self.output is None:
            return files.write_new(picture.with_name(f"{picture.stem}-larger.png"), data)
        files.write(self.output, data)
        return self.output


def run(
    settings: Settings,
    pictures: Sequence[Path],
    upscaler: str,
    given: Mapping[str, Any],
    target: Target,
    *,
    as_json: bool,
) -> None:
    """Make ``pictures`` larger, to what ``given`` says: scale, width, height."""
    target.check(pictures)
    values = {name: READERS[name].read(name, value) for name, value in given.items()}
    upscaling = loading.upscaling(settings, engines.adapter_files(settings))
    chosen = upscaling.found(upscaler)
    for picture in pictures:
        layers = _read(picture)
        with terminal.waiting(f"making {picture.name} larger"):
            data, record = _made(upscaling, layers, chosen, values)
        path = target.write(picture, data)
        if as_json:
            terminal.data({"file": str(path), "upscale": record, "adjustments": layers.notes})
        else:
            terminal.say(f"{path}  {record['width']}x{record['height']}  {chosen.name}")


def _read(path: Path) -> Layers:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InvalidInput("file", f"{path} cannot be read: {error.strerror}") from error
    found = TASKS["layers"](data, str(path))
    told = imaging.read_metadata(data, str(path))
    pixels, *alpha = found.arrays
    notes = (*found.notes, *told.notes)
    return Layers(pixels, alpha[0] if alpha else None, found.digests[0], told, notes)


def _made(
    upscaling: Upscaling, layers: Layers, upscaler: Upscaler, values: dict[str, Any]
) -> tuple[bytes, dict[str, Any]]:
    wish = Wish(layers.pixels, layers.alpha, upscaler, *size_of(values, layers.size))
    made = upscaling.made(wish, threading.Event())
    larger = asyncio.run(written(layers, made, upscaler))
    return larger.png, dict(larger.record)

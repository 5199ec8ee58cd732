"""The files that a command writes: no picture is lost to a second run, none is misnamed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path
from typing import Annotated

import typer

from limner.errors import SettingsError

FORMATS = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp"}
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Write over files that are there already.")
]


def format_of(output: Path | None) -> str:
    """The format that a file's name asks for, PNG where it asks for none.

    Raises ``SettingsError`` for one that is not written.
    """
    ending = output.suffix.lower() if output else ""
    if ending and ending not in FORMATS:
        raise SettingsError(
            f"-o is {output}: {ending} is not written; a name ends in {', '.join(FORMATS)}, or "
            f"--format says one of png, jpeg, webp."
        )
    return FORMATS.get(ending, "png")


def refuse_taken(paths: Iterable[Path], *, overwrite: bool) -> None:
    """Raise ``SettingsError`` where one of these is there already; before anything is drawn."""
    taken = next((path for path in paths if path.exists()), None) if not overwrite else None
    if taken is not None:
        raise SettingsError(f"{taken} is there already; choose another name, or say --overwrite.")


def free_names(path: Path) -> Iterator[Path]:
    """``path``, then the same with -2, -3 and so on."""
    yield path
    for number in count(2):
        yield path.with_name(f"{path.stem}-{number}{path.suffix}")


def write_new(path: Path, data: bytes) -> Path:
    """Write a file of a name that is free; another process may look for one at the same time."""
    for free in free_names(path):
        try:
            with free.open("xb") as file:
                file.write(data)
        except FileExistsError:
            continue
        return free
    raise AssertionError("there is always a next number")

"""The files that a command writes: no picture is lost to a second run, none is misnamed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Annotated, Literal

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


def write(path: Path, data: bytes, mode: Literal["wb", "xb"] = "wb") -> None:
    """Write a file whole, with its folder, or leave none and raise an ``OSError`` that names it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open(mode)
    with _named(path), file:
        file.write(data)


def write_new(path: Path, data: bytes) -> Path:
    """Write a file of a name that is free; another process may look for one at the same time."""
    for free in free_names(path):
        try:
            write(free, data, "xb")
        except FileExistsError:
            continue
        return free
    raise AssertionError("there is always a next number")


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """A full disk does not say of which file it had no room for the rest."""
    try:
        yield
    except OSError as error:
        if path.is_file():  # and no device
            path.unlink()
        raise OSError(error.errno, error.strerror, str(path)) from error

"""The one place through which the terminal prints.

Whatever comes from a user (a key's name, a prompt, a file's name) is shown as it is: it is never
markup, and what would steer the terminal is spelt out.
"""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from rich.progress import Progress
    from rich.status import Status

_WIDE = 10_000  # columns where no terminal sets a width: a table in a pipe is not folded
# They turn the order of what follows; the other format characters hold letters and emoji together.
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def plain(value: object) -> str:
    """``value`` as text in which control characters, half surrogates and turns are spelt out."""
    return "".join(_spelt(char) if _steers(char) else char for char in str(value))


def say(value: object = "", *, style: str = "", end: str = "\n") -> None:
    """A line of the result, on standard output."""
    _print(sys.stdout, value, style, end)


def data(value: Any, *, indent: int | None = None) -> None:
    """A result for scripts, on standard output: JSON in ASCII, so nothing in it steers."""
    print(json.dumps(value, indent=indent), flush=True)


def note(value: object, *, style: str = "", end: str = "\n") -> None:
    """A line beside the result, on standard error."""
    _print(sys.stderr, value, style, end)


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table on standard output."""
    from rich.table import Table

    made = Table(*heads)
    for column in made.columns:
        column.overflow = "fold"
    for row in rows:
        made.add_row(*(Text(plain(cell)) for cell in row))
    console(sys.stdout).print(made)


@contextmanager
def waiting(message: str) -> Iterator[Status]:
    """A line on standard error that says what is waited for; ``shown`` makes its updates."""
    with console(sys.stderr).status(shown(message)) as status:
        yield status


@contextmanager
def progress() -> Iterator[Progress]:
    """A bar on standard error, gone at the end."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeRemainingColumn())
    where = console(sys.stderr)
    with Progress(*columns, console=where, transient=True, disable=not where.is_terminal) as bar:
        yield bar


def shown(value: object) -> Text:
    """``value`` for rich, which reads a string's brackets, but not a ``Text``'s."""
    return Text(plain(value))


def console(stream: TextIO) -> Console:
    """Rich's console for a stream: no markup, no emoji names, no colours of its own choice."""
    width = None if stream.isatty() else _WIDE
    return Console(file=stream, width=width, markup=False, emoji=False, highlight=False)


def _print(stream: TextIO, value: object, style: str, end: str) -> None:
    text = value if isinstance(value, Text) else Text(plain(value), style=style)
    console(stream).print(text, end=end, soft_wrap=True)
    stream.flush()


def _steers(char: str) -> bool:
    if char in "\n\t":
        return False
    return char in _TURNING or unicodedata.category(char) in ("Cc", "Cs")


def _spelt(char: str) -> str:
    return f"\\x{ord(char):02x}" if ord(char) < 0x100 else f"\\u{ord(char):04x}"

"""Commands for a person to copy: they work on the same database, wherever they are typed."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from limner.settings import PREFIX, Settings, load, without_password


def command(words: str, settings: Settings) -> str:
    """``limner WORDS`` for a shell, with what it needs to find the database of ``settings``."""
    return " ".join([shlex.quote(program()), words, *map(shlex.quote, place(settings))])


def program() -> str:
    """How the shell finds this program: ``limner``, or its path where that names no other."""
    mine, found = Path(sys.argv[0]), shutil.which("limner")
    if mine.name != "limner" or str(mine) == "limner":
        return "limner"
    return "limner" if found and Path(found).samefile(mine) else str(mine.absolute())


def place(settings: Settings) -> Iterator[str]:
    """The flags that name the database of ``settings``, where nothing but its file is known.

    This process's ``LIMNER_*`` variables do not hold in another shell, so what they say is a
    flag, too. A password is not shown.
    """
    if settings.file is not None:
        yield from ("--config", str(settings.file.absolute()))
    others = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    known = load(environ=others, file=settings.file)
    if settings.data_dir.absolute() != known.data_dir.absolute():
        yield from ("--data-dir", str(settings.data_dir.absolute()))
        known = load({"data_dir": settings.data_dir}, environ=others, file=settings.file)
    if settings.database_url != known.database_url:
        yield from ("--database-url", without_password(settings.database_url))

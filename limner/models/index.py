"""What was read of files once, kept in a file, so that no header is read twice.

An entry holds as long as the stamp of its file does. Where nothing can be written, or what is
there is of another version or broken, headers are just read again.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from limner import __version__
from limner.models.facts import UNREADABLE, Facts
from limner.models.walking import Found

_FORMAT = f"1 of {__version__}"  # a newer Limner may tell more kinds of file


class Index:
    """Facts by path; of ``file``, or of this process alone where that is None."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._known = {} if file is None else _read(file)
        self._changed = False

    def facts(self, found: Found, read: Callable[[Found], Facts]) -> Facts:
        """Those that are known of what was found as it is now, else what ``read`` says.

        What could not be read is tried again each time: a disk may have failed for a moment.
        """
        known = self._known.get(str(found.path))
        if known and known[0] == found.stamp:
            return known[1]
        facts = read(found)
        if facts.kind != UNREADABLE:
            self._known[str(found.path)] = found.stamp, facts
            self._changed = True
        return facts

    def keep(self, seen: Iterable[Path], folders: Iterable[Path]) -> None:
        """Forget what is no longer in ``folders``, all of which ``seen`` was; write the rest."""
        there = set(map(str, seen))
        roots = tuple(f"{folder}/" for folder in folders)
        gone = [path for path in self._known if path.startswith(roots) and path not in there]
        for path in gone:
            del self._known[path]
        if self._file is not None and (gone or self._changed):
            _write(self._file, self._known)
        self._changed = False


def _read(file: Path) -> dict[str, tuple[str, Facts]]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if content["format"] != _FORMAT:
            return {}
        return {path: (str(row[0]), _facts(row[1])) for path, row in content["files"].items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return {}


def _facts(row: dict[str, Any]) -> Facts:
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in row.items()}
    return Facts(**values)


def _write(file: Path, known: dict[str, tuple[str, Facts]]) -> None:
    rows = {path: (stamp, asdict(facts)) for path, (stamp, facts) in known.items()}
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=file.parent, prefix=".models-")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as made:
                json.dump({"format": _FORMAT, "files": rows}, made)
            os.replace(name, file)
        except BaseException:
            os.unlink(name)
            raise

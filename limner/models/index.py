"""What was read of files once, kept in a file, so that no header is read and no sum made twice.

An entry holds as long as the stamp of its file does. Where nothing can be written, or what is
there is of another version or broken, files are just read again.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from limner import __version__
from limner.models import walking
from limner.models.facts import UNREADABLE, Facts
from limner.models.walking import Found

_FORMAT = f"13 of {__version__}"  # a newer Limner may tell more kinds of file
_SUMS_KEPT_S = 5.0  # how long sums wait to be written, for each writes the whole file

_Known = dict[str, tuple[str, Facts]]  # by path: the stamp with everything beside, the facts
# By path, and kind of sum where it is not SHA-256: the stamp of the file itself, and the sum.
_Sums = dict[str, tuple[str, str]]


class Index:
    """Facts and sums by path; of ``file``, or of this process alone where that is None.

    Sums are for any thread; the rest is for one at a time.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._known, self._sums = ({}, {}) if file is None else _read(file)
        self._changed = False
        self._written = -_SUMS_KEPT_S
        self._lock = threading.Lock()

    def facts(self, found: Found, read: Callable[[Found], Facts]) -> Facts:
        """Those that are known of what was found as it is now, else what ``read`` says.

        What could not be read is tried again each time: a disk may have failed for a moment.
        """
        known = self._known.get(str(found.path))
        if known and known[0] == found.stamp:
            return known[1]
        facts = read(found)
        if facts.kind != UNREADABLE:
            with self._lock:
                self._known[str(found.path)] = found.stamp, facts
                self._changed = True
        return facts

    def known_sum(self, found: Found, kind: str = "") -> str | None:
        """The sum of what was found, where it is known: its SHA-256, or another ``kind``."""
        known = self._sums.get(_key(found.path, kind))
        return known[1] if known and known[0] == found.own else None

    def sum(self, path: Path, compute: Callable[[Path], str], kind: str = "") -> str | None:
        """The sum of what is at ``path`` now: as it is known, else as ``compute`` says.

        None where that changed while it was read. Raises OSError where it cannot be read.
        """
        now = walking.own_stamp(path)
        key = _key(path, kind)
        known = self._sums.get(key)
        if known and known[0] == now:
            return known[1]
        made = compute(path)
        if walking.own_stamp(path) != now:
            return None
        with self._lock:
            self._sums[key] = now, made
            self._changed = True
        if time.monotonic() - self._written >= _SUMS_KEPT_S:
            self.write()
        return made

    def keep(self, seen: Iterable[Path], folders: Iterable[Path]) -> None:
        """Forget what is no longer in ``folders``, all of which ``seen`` was; write the rest."""
        there = set(map(str, seen))
        roots = tuple(f"{folder}/" for folder in folders)
        with self._lock:
            for rows in (self._known, self._sums):
                for key in [k for k in rows if k.startswith(roots) and _path(k) not in there]:
                    del rows[key]
                    self._changed = True
        self.write()

    def write(self) -> None:
        """Write what changed since the last time."""
        with self._lock:
            if self._file is not None and self._changed:
                _write(self._file, self._known, self._sums)
                self._written = time.monotonic()
            self._changed = False


def _key(path: Path, kind: str) -> str:
    return f"{path}\0{kind}" if kind else str(path)


def _path(key: str) -> str:
    return key.partition("\0")[0]


def _read(file: Path) -> tuple[_Known, _Sums]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if content["format"] != _FORMAT:
            return {}, {}
        known = {path: (str(row[0]), _facts(row[1])) for path, row in content["files"].items()}
        sums = {path: (str(stamp), str(made)) for path, (stamp, made) in content["sha256"].items()}
        return known, sums
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return {}, {}


def _facts(row: dict[str, Any]) -> Facts:
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in row.items()}
    return Facts(**values)


def _write(file: Path, known: _Known, sums: _Sums) -> None:
    rows = {path: (stamp, asdict(facts)) for path, (stamp, facts) in known.items()}
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=file.parent, prefix=".models-")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as made:
                json.dump({"format": _FORMAT, "files": rows, "sha256": sums}, made)
            os.replace(name, file)
        except BaseException:
            os.unlink(name)
            raise

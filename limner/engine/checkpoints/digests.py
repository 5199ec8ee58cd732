"""SHA-256 of checkpoint files, remembered, so that a start does not read 2 GB once more.

The memory is a JSON file in the user's cache folder. An entry holds as long as the file's ``stamp``
does; where nothing can be written, the sum is just computed again.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import tempfile
from pathlib import Path

from limner.engine.checkpoints.headers import stamp


def cache_file() -> Path:
    """Where sums are remembered: ``$XDG_CACHE_HOME/limner/sha256.json`` (``~/.cache``)."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "limner" / "sha256.json"


def sha256(path: Path, cache: Path | None = None) -> str:
    """The file's SHA-256 in hexadecimal, from memory when the file has not changed."""
    cache = cache or cache_file()
    key, now = str(path.resolve()), stamp(path)
    known = _read(cache)
    if (entry := known.get(key)) and entry[0] == now:
        return entry[1]
    digest = compute(path)
    _write(cache, {**_read(cache), key: (now, digest)})
    return digest


def known(path: Path, cache: Path | None = None) -> str | None:
    """The same where it is remembered; None where the file had to be read."""
    cache = cache or cache_file()
    try:
        entry = _read_once(cache, stamp(cache)).get(str(path.resolve()))
        return entry[1] if entry and entry[0] == stamp(path) else None
    except OSError:
        return None


def compute(path: Path) -> str:
    """The file's SHA-256 in hexadecimal, read anew."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_sha256(folder: Path, files: list[Path], cache: Path | None = None) -> str:
    """One sum for several files of a folder: that of ``sha256sum``'s lines, sorted by path."""
    names = sorted((file.relative_to(folder).as_posix(), file) for file in files)
    lines = "".join(f"{sha256(file, cache)}  {name}\n" for name, file in names)
    return hashlib.sha256(lines.encode()).hexdigest()


def _read(cache: Path) -> dict[str, tuple[str, str]]:
    try:
        entries = json.loads(cache.read_text(encoding="utf-8"))
        return {key: (str(when), str(digest)) for key, (when, digest) in entries.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


@functools.lru_cache(maxsize=1)
def _read_once(cache: Path, _stamp: str) -> dict[str, tuple[str, str]]:
    """For who asks of many files in a row."""
    return _read(cache)


def _write(cache: Path, entries: dict[str, tuple[str, str]]) -> None:
    with contextlib.suppress(OSError):
        cache.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=cache.parent, prefix=".sha256-")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(entries, file, indent=1)
        Path(temporary).replace(cache)

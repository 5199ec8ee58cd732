"""What lies in a folder and may be a model: files by their suffix, and whole diffusers folders.

Nothing is opened here. Which kind of model a file is says its header, never its folder.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from limner.domain.model import SUFFIXES, called, sendable
from limner.engine.checkpoints.parts import PARTS
from limner.models import sidecars
from limner.models.places import Place

PICTURES = (".png",)  # in which embeddings may hide
_PARTS = ("", *PARTS, "scheduler", "tokenizer")

Identity = tuple[int, int]  # of a folder: its device and its number there


@dataclass(frozen=True)
class Found:
    """Something that may be a model.

    ``own`` changes when it does, ``stamp`` also when what lies beside it does; ``beside`` are the
    names of its sidecars; ``reason`` says why it cannot be looked at, if so.
    """

    place: Place
    path: Path
    bytes: int = 0
    stamp: str = ""
    beside: tuple[str, ...] = ()
    own: str = ""
    reason: str | None = None

    @property
    def shown(self) -> str:
        """Its path inside its place; the place's own name for the place itself."""
        inside = self.path.relative_to(self.place.folder).as_posix()
        return sendable(self.place.folder.name if inside == "." else inside)

    @property
    def inner(self) -> str:
        """The same without the suffix of a file of tensors."""
        suffix = self.path.suffix
        named = suffix.lower() in (*SUFFIXES, *PICTURES)
        return sendable(self.shown.removesuffix(suffix)) if named else self.shown

    @property
    def stem(self) -> str:
        """The last part of ``inner``; in a hub's cache the repository's name."""
        return sendable(called(self.path, (*SUFFIXES, *PICTURES)))

    @property
    def whole(self) -> str:
        """``LIBRARY:PATH``, which nothing else in the library is called."""
        return sendable(f"{self.place.label}:{self.shown}")


def walk(place: Place, seen: set[Identity]) -> Iterator[Found]:
    """All that lies in ``place``; folders in ``seen``, to which it adds, are not looked at again.

    Links are followed. What cannot be looked at is among the results with its reason. Names that
    begin with a dot, and Python environments, are left out.
    """
    if place.reason:
        yield Found(place, place.folder, reason=place.reason)
        return
    waiting: list[tuple[Path, frozenset[Identity]]] = [(place.folder, frozenset())]
    while waiting:
        folder, above = waiting.pop()
        try:
            about = folder.stat()
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            yield Found(place, folder, reason=_failed("opened", error))
            continue
        identity = about.st_dev, about.st_ino
        if identity in above:
            yield Found(place, folder, reason="It is a link that leads back to a folder above it.")
        elif identity not in seen:
            seen.add(identity)
            inner: list[Path] = []
            yield from _in_folder(place, folder, entries, inner)
            waiting += [(path, above | {identity}) for path in reversed(inner)]


def _in_folder(
    place: Place, folder: Path, entries: Sequence[os.DirEntry[str]], inner: list[Path]
) -> Iterator[Found]:
    """What may be a model; the folders in it are added to ``inner``."""
    names = {entry.name for entry in entries}
    if "pyvenv.cfg" in names:
        return
    if _is_whole(folder, names):
        yield _whole(place, folder)
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        suffix = os.path.splitext(entry.name)[1].lower()
        try:
            about = entry.stat()
        except OSError as error:
            if suffix in SUFFIXES or error.errno == errno.ELOOP:
                yield Found(place, folder / entry.name, reason=_failed("opened", error))
            continue
        if stat.S_ISDIR(about.st_mode):
            inner.append(folder / entry.name)
        elif suffix in SUFFIXES or (suffix in PICTURES and not _is_beside(entry.name, names)):
            yield _file(place, folder / entry.name, about, names)


def _is_beside(picture: str, names: set[str]) -> bool:
    """Whether it shows a model that lies beside it."""
    stem = os.path.splitext(picture)[0].removesuffix(".preview")
    return any(f"{stem}{suffix}" in names for suffix in SUFFIXES)


def _file(place: Place, path: Path, about: os.stat_result, names: set[str]) -> Found:
    beside = tuple(name for name in sidecars.names_for(path.stem) if name in names)
    own = _stamp(about)
    stamp = " ".join((own, *(_stamped(path.with_name(name)) for name in beside)))
    return Found(place, path, about.st_size, stamp, beside, own)


def _is_whole(folder: Path, names: set[str]) -> bool:
    """Whether it is a checkpoint in diffusers' layout."""
    inner = (folder / part / "config.json" for part in ("unet", "text_encoder"))
    return "model_index.json" in names or (
        {"unet", "text_encoder"} <= names and all(map(Path.is_file, inner))
    )


def _whole(place: Place, folder: Path) -> Found:
    try:
        size = sum(path.stat().st_size for path in _files(folder))
        stamp = own_stamp(folder)
    except OSError as error:
        return Found(place, folder, reason=_failed("read", error))
    return Found(place, folder, size, stamp, own=stamp)


def own_stamp(path: Path) -> str:
    """That of a file, or of a whole folder, as it is now. Raises OSError where it is gone."""
    if not path.is_dir():
        return _stamp(path.stat())
    lines = "".join(f"{file} {_stamped(file)}\n" for file in _files(path))
    return hashlib.sha256(lines.encode(errors="surrogateescape")).hexdigest()


def _files(folder: Path) -> list[Path]:
    """Those of a whole folder that are the model."""
    inside = (folder / part for part in _PARTS)
    files = (path for part in inside if part.is_dir() for path in part.iterdir())
    return sorted(path for path in files if path.is_file())


def _stamped(path: Path) -> str:
    try:
        return f"{path.name}={_stamp(path.stat())}"
    except OSError:
        return f"{path.name}=gone"


def _stamp(about: os.stat_result) -> str:
    return f"{about.st_size}:{about.st_mtime_ns}:{about.st_ctime_ns}:{about.st_ino}"


def _failed(what: str, error: OSError) -> str:
    return f"It cannot be {what}: {str(error.strerror or error).lower()}."

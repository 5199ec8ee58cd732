"""The folders of a library: those that were named, and those that ComfyUI's file of paths names."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

PATHS_FILE = "extra_model_paths.yaml"
_SUFFIXES = (".yaml", ".yml")
_MAX_BYTES = 1 << 20
_NO_FOLDERS = ("base_path", "is_default", "custom_nodes")


@dataclass(frozen=True)
class Place:
    """A folder of models under a ``label``, and why it cannot be looked at, if so.

    ``imported``: what lies in it Limner made itself, so that its papers are believed. ``yields``:
    its names are those of its files only where nothing else in the library has them.
    """

    label: str
    folder: Path
    reason: str | None = None
    imported: bool = False
    yields: bool = False


def of(named: Iterable[Path], own: Iterable[Place] = ()) -> list[Place]:
    """``own``, then the folders that were ``named`` and those of their files of paths.

    One of ``named`` may be such a file itself. Labels are folders' names, made different from
    each other by numbers; no folder is there twice.
    """
    found = list(own)
    for path in named:
        for place in _named(path):
            if all(place.folder != other.folder for other in found):
                found.append(Place(_free(place.label, found), place.folder, place.reason))
    return found


def _named(path: Path) -> Iterator[Place]:
    path = path.expanduser().absolute()
    if path.suffix in _SUFFIXES:
        yield from _listed(path)
        return
    yield Place(path.name or "/", path)
    if (path / PATHS_FILE).is_file():
        yield from _listed(path / PATHS_FILE)


def _listed(file: Path) -> Iterator[Place]:
    """The folders that a file of paths names; the file itself where it cannot be read."""
    try:
        with file.open("rb") as opened:
            text = opened.read(_MAX_BYTES + 1)
        if len(text) > _MAX_BYTES:
            raise ValueError(f"it is longer than {_MAX_BYTES:,} bytes")
        sections = yaml.safe_load(text) or {}
        if not isinstance(sections, dict):
            raise ValueError("it holds no sections")
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        why = getattr(error, "strerror", None) or getattr(error, "problem", None) or str(error)
        yield Place(file.name, file, f"{file.name} cannot be read: {why}.")
        return
    for section in sections.values():
        if isinstance(section, dict):
            yield from _of_section(file.parent, section)


def _of_section(beside: Path, section: dict[Any, Any]) -> Iterator[Place]:
    """One folder a line, below ``base_path``, which lies below the file's own folder."""
    base = beside / os.path.expandvars(str(section.get("base_path") or ""))
    base = Path(os.path.normpath(base.expanduser()))
    for kind, folders in section.items():
        if kind in _NO_FOLDERS or not isinstance(folders, str):
            continue
        for line in filter(None, map(str.strip, folders.splitlines())):
            folder = Path(os.path.normpath(base / line))
            yield Place(folder.name, folder)


def _free(label: str, taken: list[Place]) -> str:
    labels, number = {place.label for place in taken}, 1
    tried = label
    while tried in labels:
        number += 1
        tried = f"{label}-{number}"
    return tried

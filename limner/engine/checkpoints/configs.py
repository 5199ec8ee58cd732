"""The ``.yaml`` (or ``.yml``) of its name that lies beside a checkpoint, as AUTOMATIC1111 reads it.

It is a config of latent diffusion, of which one word matters here: what is predicted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import yaml

from limner.engine.checkpoints.regular import opened

_DEEPEST = 100  # brackets within brackets
SUFFIXES = (".yaml", ".yml")
_MAX_BYTES = 1 << 16
_WORD = re.compile(r"^\s*parameterization\s*:\s*[\"']?(\w+)", re.MULTILINE)


@dataclass(frozen=True)
class Config:
    """Its ``parameterization``, by the file of that ``name``; ``notes`` on files without sense."""

    parameterization: str | None = None
    name: str = ""
    notes: tuple[str, ...] = ()


def beside(path: Path) -> Config:
    """What the first config beside a checkpoint says that says something."""
    notes: list[str] = []
    for file in (path.with_suffix(suffix) for suffix in SUFFIXES):
        word, why = _read(file)
        if word:
            return Config(word, file.name, tuple(notes))
        if why:
            notes.append(f"{file.name} beside left aside: {why}")
    return Config(notes=tuple(notes))


def _read(file: Path) -> tuple[str | None, str | None]:
    """Its word, or why it is no config; neither of one that is missing, or says nothing of it."""
    try:
        with opened(file) as config:
            text = config.read(_MAX_BYTES + 1).decode(errors="replace")
    except FileNotFoundError:
        return None, None
    except OSError as error:
        return None, f"it cannot be read: {str(error.strerror).lower()}"
    found = _WORD.search(text[:_MAX_BYTES])
    return (found[1], None) if found else (None, _fault(text))


def _fault(text: str) -> str | None:
    if len(text) > _MAX_BYTES:
        return f"it is longer than {_MAX_BYTES:,} bytes and names no parameterization"
    try:
        return None if _has_model(text) else "it is no config of Stable Diffusion"
    except (yaml.YAMLError, ValueError):
        return "it is not valid YAML"


def _has_model(text: str) -> bool:
    """Whether it is a mapping whose ``model`` is one too.

    Events are read, not values: what refers to itself costs no more. PyYAML's time grows with the
    square of how deeply brackets are nested, and no config nests much.
    """
    depth = place = 0
    key, found = None, False
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.NodeEvent):
            mapping = isinstance(event, yaml.MappingStartEvent)
            if (depth == 0 and not mapping) or depth > _DEEPEST:
                return False
            if depth == 1:
                found = found or (place % 2 == 1 and key == "model" and mapping)
                key, place = getattr(event, "value", None), place + 1
            depth += isinstance(event, yaml.CollectionStartEvent)
    return found

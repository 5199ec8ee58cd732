"""What other tools leave beside a model: words that call it, notes, and a picture.

``NAME.json`` is AUTOMATIC1111's, ``NAME.civitai.info`` that of helpers that fetch from Civitai.
A picture is ``NAME.preview.png`` or ``NAME.png`` and their kin. The ``NAME.yaml`` and the
``NAME.vae.*`` of a checkpoint are read with it (``engine.checkpoints``).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limner.domain import few_steps
from limner.domain.few_steps import Family
from limner.engine.checkpoints import configs
from limner.engine.checkpoints.layouts import PROVENANCE, VAE_BESIDE
from limner.engine.checkpoints.regular import opened
from limner.errors import NotFound

_MAX_BYTES = 1 << 20
_MAX_PICTURE_BYTES = 8 << 20
WORDS_MAX, WORD_CHARS = 32, 200
_NOTE_CHARS = 2000
_ROW_SUFFIXES = (".json", ".civitai.info")  # the operator's own words before a site's
_PICTURES = tuple(
    f"{middle}.{suffix}" for middle in (".preview", "") for suffix in ("png", "jpg", "jpeg", "webp")
)
NOTES_AND_PICTURES = (*_ROW_SUFFIXES, *_PICTURES)
_CHANGES_WHAT_IT_IS = (*configs.SUFFIXES, *VAE_BESIDE)
_MAGIC: Mapping[bytes, str] = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"RIFF": "image/webp",
}
# By the beginnings of what tools write as base model, small letters without spaces.
_BASES: Mapping[str, str] = {
    "sd1": "sd1", "sd2": "sd2", "sd3": "sd3", "sdxl": "sdxl", "pony": "sdxl",
    "illustrious": "sdxl", "noobai": "sdxl", "flux": "flux",
}  # fmt: skip


@dataclass(frozen=True)
class Told:
    """What sidecars say, as in ``facts.Facts``; None where they do not."""

    trigger_words: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    base: str | None = None
    few_steps: Family | None = None
    picture: str | None = None


def names_for(stem: str) -> list[str]:
    """The names of everything that may lie beside a file of this stem and say something of it."""
    suffixes = (*NOTES_AND_PICTURES, *_CHANGES_WHAT_IT_IS)
    return [*(stem + suffix for suffix in suffixes), PROVENANCE]


def picture_bytes(path: Path) -> tuple[bytes, str]:
    """A picture's bytes and media type, told by its first bytes.

    Raises:
        NotFound: it is gone, of another kind, or larger than 8 MiB.
    """
    try:
        with opened(path) as file:
            data = file.read(_MAX_PICTURE_BYTES + 1)
    except OSError as error:
        raise NotFound(f"{path.name} cannot be read") from error
    if len(data) > _MAX_PICTURE_BYTES:
        raise NotFound(f"{path.name} is larger than {_MAX_PICTURE_BYTES >> 20} MiB")
    if media_type := _media_type(data):
        return data, media_type
    raise NotFound(f"{path.name} is no PNG, JPEG or WebP picture")


def _media_type(data: bytes) -> str | None:
    """By a file's first bytes."""
    kinds = (kind for magic, kind in _MAGIC.items() if data.startswith(magic))
    kind = next(kinds, None)
    return None if kind == "image/webp" and data[8:12] != b"WEBP" else kind


def _picture(path: Path, beside: Iterable[str], notes: list[str]) -> str | None:
    """The name of the first picture beside a model that is one; notes on those that are none."""
    for name in (path.stem + suffix for suffix in _PICTURES):
        if name in beside:
            why = _no_picture(path.with_name(name))
            if why is None:
                return name
            notes.append(f"{name} is left aside: {why}.")
    return None


def _no_picture(path: Path) -> str | None:
    try:
        with opened(path) as file:
            kind, size = _media_type(file.read(16)), file.seek(0, os.SEEK_END)
    except OSError as error:
        return _why(error)
    if kind is None:
        return "it is no PNG, JPEG or WebP picture"
    large = size > _MAX_PICTURE_BYTES
    return f"it is larger than {_MAX_PICTURE_BYTES >> 20} MiB" if large else None


def read(path: Path, beside: Iterable[str]) -> Told:
    """What the sidecars of the model at ``path`` say; of one that cannot be read, a note why."""
    words: tuple[str, ...] = ()
    notes: list[str] = []
    base = few = None
    for name in (path.stem + suffix for suffix in _ROW_SUFFIXES):
        if name not in beside:
            continue
        try:
            row = _row(path.with_name(name))
        except (OSError, ValueError, RecursionError) as error:
            notes.append(f"{name} is left aside: {_why(error)}.")
            continue
        words = words or tuple(_words(row))
        notes += _notes(row)
        base = base or _base(row.get("sd version") or row.get("baseModel"))
        few = few or few_steps.named(row.get("few steps")) or few_steps.said(row.get("baseModel"))
    picture = _picture(path, beside, notes)
    return Told(words, tuple(notes), base, few, picture)


def _row(path: Path) -> dict[str, Any]:
    with opened(path) as file:
        text = file.read(_MAX_BYTES + 1)
    if len(text) > _MAX_BYTES:
        raise ValueError(f"it is longer than {_MAX_BYTES:,} bytes")
    row = json.loads(text.decode("utf-8-sig"))
    if not isinstance(row, dict):
        raise ValueError("it holds no JSON object")
    return row


def _why(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"it cannot be read: {str(error.strerror).lower()}"
    foreign = (json.JSONDecodeError, UnicodeDecodeError, RecursionError)
    return "it is not valid JSON" if isinstance(error, foreign) else str(error)


def _words(row: Mapping[str, Any]) -> Iterator[str]:
    own, trained = row.get("activation text"), row.get("trainedWords")
    given = own.split(",") if isinstance(own, str) else trained if isinstance(trained, list) else []
    words = (word.strip(" ,\n\t")[:WORD_CHARS] for word in given if isinstance(word, str))
    yield from [word for word in dict.fromkeys(words) if word][:WORDS_MAX]


def _notes(row: Mapping[str, Any]) -> Iterator[str]:
    """AUTOMATIC1111's; a site's description is a page, which nobody asked for here."""
    if "trainedWords" in row:
        return
    for field in ("description", "notes"):
        text = row.get(field)
        if isinstance(text, str) and text.strip():
            yield text.strip()[:_NOTE_CHARS]


def _base(said: Any) -> str | None:
    plain = said.lower().replace(" ", "") if isinstance(said, str) else ""
    return next((base for start, base in _BASES.items() if plain.startswith(start)), None)

"""The style catalogue: TOML files in the package, and the user's own folder beside them."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import limner.assets
from limner.domain.styles import KINDS, RANDOM, Catalogue, Kind, Style
from limner.errors import SettingsError

BUILT_IN = Path(limner.assets.__file__).parent / "styles"
FILES: Mapping[Kind, str] = {
    "concept": "concepts",
    "image_type": "image_types",
    "direction": "directions",
    "mood": "moods",
    "colors": "colors",
    "artists": "artists",
    "movements": "movements",
    "preset": "presets",
}
TEXT_LENGTH_MAX = 1000
_FIELDS = ("text", "suffix", "negative")


def load(folder: Path | None = None) -> Catalogue:
    """The built-in catalogue, with the entries of ``folder`` added; equal names replace.

    The folder may hold any of ``concepts.toml``, ``moods.toml`` and so on. An entry is a table:
    its name is the table's, ``text`` the phrase (the name, when absent), ``suffix`` and
    ``negative`` are optional.

    Raises:
        SettingsError: a file that nobody reads, or an entry that cannot be used.
    """
    catalogue = {kind: _read(BUILT_IN / f"{name}.toml") for kind, name in FILES.items()}
    if folder is None or not folder.is_dir():
        return catalogue
    kinds = {f"{name}.toml": kind for kind, name in FILES.items()}
    for file in sorted(folder.glob("*.toml")):
        if file.name not in kinds:
            raise SettingsError(
                f"{file} is no file of a style catalogue; these are: {', '.join(kinds)}."
            )
        catalogue[kinds[file.name]] |= _read(file)
    return catalogue


def _read(file: Path) -> dict[str, Style]:
    try:
        tables = tomllib.loads(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{file} cannot be read as TOML: {error}.") from error
    return {name: _style(file, name, table) for name, table in tables.items()}


def _style(file: Path, name: str, table: Any) -> Style:
    if not isinstance(table, dict) or set(table) - set(_FIELDS):
        raise SettingsError(
            f"{file}: {name!r} must be a table with {', '.join(_FIELDS)} and nothing else."
        )
    for field, value in table.items():
        if not isinstance(value, str) or len(value) > TEXT_LENGTH_MAX:
            raise SettingsError(
                f"{file}: {field} of {name!r} must be a text of at most {TEXT_LENGTH_MAX} "
                "characters."
            )
    if not name.strip() or name.casefold() == RANDOM:
        raise SettingsError(f"{file}: an entry cannot be named {name!r}.")
    return Style(name, **{"text": name, **table})


def listed(catalogue: Catalogue) -> dict[str, list[dict[str, str]]]:
    """The catalogue ready for JSON: by kind, each entry with what it adds."""
    return {
        kind: [
            {
                "name": style.name,
                "text": style.text,
                "suffix": style.suffix,
                "negative": style.negative,
            }
            for style in catalogue[kind].values()
        ]
        for kind in KINDS
    }

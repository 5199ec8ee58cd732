"""What is said of a setting that is unknown or wrong."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from limner.errors import SettingsError
from limner.passwords import without_password
from limner.settings.fields import flag


def unknown(name: str, shown: str, known: Iterable[str]) -> SettingsError:
    """For a name that is no setting, ``shown`` as it was written: with the nearest known one."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.4)
    hint = f" Did you mean {_alike(shown, near[0])}?" if near else ""
    return SettingsError(f"{shown} is not a setting.{hint} `limner serve --help` lists them all.")


def _alike(shown: str, name: str) -> str:
    if shown.startswith("LIMNER_"):
        return "LIMNER_" + name.upper()
    return flag(name) if shown.startswith("--") else name


def wrong(error: ValidationError, given: Mapping[str, tuple[str, Any]]) -> SettingsError:
    """One line for each wrong setting: where it came from, its value, what is wrong."""
    lines = []
    for fault in error.errors(include_url=False):
        if fault["type"] == "default_factory_not_called":  # it only follows from another fault
            continue
        name = str(fault["loc"][0])
        shown, value = given.get(name, (name, None))
        value = without_password(str(value)) if name == "database_url" else value
        said = fault["msg"].removeprefix("Value error, ")  # pydantic's, before words of ours
        lines.append(f"{shown} = {value!r}: {said}")
    return SettingsError("; ".join(lines))

"""``alwayson_scripts``: what extensions of AUTOMATIC1111 are asked to do, by their titles."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from limner.domain import guidance_names
from limner.errors import InvalidInput
from limner.web.automatic1111 import units
from limner.web.reading.fields import cut, shown
from limner.web.reading.guidance import Thresholds

ALWAYS_ON = "alwayson_scripts"
ARGUMENTS_MAX = 100

Networks = Mapping[str, str]
Script = Callable[[str, list[Any], list[str], Networks], dict[str, Any]]
"""From the name of its arguments, for errors, and themselves to fields of a ``Generation``.

It may add notes, and knows the networks of the library that make maps. Of a control it gives what
is wanted, whose picture nobody has read."""


def _thresholding(
    field: str, arguments: list[Any], _notes: list[str], _: Networks
) -> dict[str, Any]:
    given = guidance_names.from_script(arguments)
    return {} if given is None else {"thresholding": Thresholds().read(field, given)}


def _controls(
    field: str, arguments: list[Any], notes: list[str], networks: Networks
) -> dict[str, Any]:
    return {"controls": units.wanted(field, arguments, notes, networks)}


SCRIPTS: Mapping[str, Script] = {
    guidance_names.SCRIPT.lower(): _thresholding,
    units.TITLE: _controls,
}


def fields_of(scripts: Mapping[str, Any], notes: list[str], networks: Networks) -> dict[str, Any]:
    """Fields of a ``Generation`` by the scripts that are served; others are noted.

    Raises ``InvalidInput``.
    """
    fields: dict[str, Any] = {}
    for title, given in scripts.items():
        field = f"{ALWAYS_ON}.{cut(title)}"
        if title.strip().lower() not in SCRIPTS:
            notes.append(f"{field} was ignored")
            continue
        script, arguments = SCRIPTS[title.strip().lower()], _arguments(field, given)
        fields |= script(f"{field}.args", arguments, notes, networks)
    return fields


def _arguments(field: str, given: Any) -> list[Any]:
    arguments = given.get("args", []) if isinstance(given, dict) else given
    if not isinstance(arguments, list) or len(arguments) > ARGUMENTS_MAX:
        raise InvalidInput(
            field,
            f'{field} is {shown(given)}; it must be as {{"args": [...]}}, of at most '
            f"{ARGUMENTS_MAX} arguments",
        )
    return arguments

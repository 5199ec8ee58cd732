"""Licences of checkpoints: which of them a person must accept before drawing.

The texts themselves are data (``limner/assets/licenses``); this file only knows their names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath

from limner.domain.model import called


@dataclass(frozen=True)
class Licence:
    """``id`` is the name model cards use; ``text`` the file in ``assets/licenses``, if shipped."""

    id: str
    name: str
    version: str
    needs_acceptance: bool
    text: str | None = None


RAIL_M = Licence(
    "creativeml-openrail-m",
    "CreativeML Open RAIL-M",
    "2022-08-22",
    needs_acceptance=True,
    text="creativeml-openrail-m.txt",
)
APACHE_2 = Licence(
    "apache-2.0", "Apache License 2.0", "2.0", needs_acceptance=False, text="apache-2.0.txt"
)
LICENCES: Mapping[str, Licence] = {
    licence.id: licence
    for licence in (
        RAIL_M,
        APACHE_2,
        Licence("mit", "MIT License", "", needs_acceptance=False),
        Licence("cc0-1.0", "Creative Commons Zero 1.0", "1.0", needs_acceptance=False),
        Licence("cc-by-4.0", "Creative Commons Attribution 4.0", "4.0", needs_acceptance=False),
    )
}


def find(name: str | None) -> Licence:
    """The licence a card names.

    Nothing named, or a name we do not know, means RAIL-M: every SD 1.5 descendant inherits its
    use restrictions, and asking once too often harms nobody.
    """
    return LICENCES.get((name or "").strip().lower(), RAIL_M)


def origin(path: PurePath, licence: Licence, *, embedded: bool) -> tuple[str, tuple[str, ...], str]:
    """Name, attribution and source of a checkpoint, as its licence wants them shown."""
    name = called(path)
    if embedded:
        return "Squire", ("Squire by the Limner project",), "embedded in the limner package"
    if licence is not RAIL_M:
        return name, (), path.name
    family = "Stable Diffusion 1.5 by Robin Rombach, Patrick Esser and contributors"
    if re.fullmatch(r"rpg[-_ ]?v4.*", name, re.IGNORECASE):
        return "RPG V4", ("RPG V4 by Anashel", family), "Hugging Face hub: Anashel/rpg"
    return name, (family,), path.name

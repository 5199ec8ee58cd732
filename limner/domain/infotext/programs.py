"""Which program wrote a text, as far as its meaning depends on that."""

from __future__ import annotations

import re
from collections.abc import Mapping

# Of AUTOMATIC1111, and of its kin, which name its version behind their own.
_VERSION = re.compile(r"(?:f\d[\d.]*)?v?(\d+)\.(\d+)[\w.+-]*")
_APART = (1, 9)  # since when samplers and schedules are two names
_COMFY = ("comfyui", "fooocus", "ruinedfooocus", "swarmui")
_OURS = "limner"


def names_schedules(pairs: Mapping[str, str]) -> bool:
    """Whether it is AUTOMATIC1111 since 1.9: what it does not name is automatic."""
    found = _VERSION.fullmatch(pairs.get("Version", ""))
    return found is not None and (int(found[1]), int(found[2])) >= _APART


def is_comfy(pairs: Mapping[str, str]) -> bool:
    """Whether it is ComfyUI or built on it, whose noise begins on the processor."""
    return pairs.get("Version", "").casefold().startswith(_COMFY)


def is_ours(pairs: Mapping[str, str]) -> bool:
    """Whether it is Limner."""
    return pairs.get("Version", "").startswith(_OURS)

"""How a body says to guide beside ``guidance_scale``: over which steps, and how tempered."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from limner.domain.guidance import (
    DEFAULTS,
    MODE_NAMES,
    SCALE_MAX,
    VALUE_MAX,
    Thresholding,
    check_interval,
)
from limner.errors import InvalidInput
from limner.web.reading.fields import Choice, Flag, Number, Reader, cut, shown

_SHARE, _SCALE = Number(0, 1), Number(0, SCALE_MAX)
_THRESHOLDING: Mapping[str, Reader] = {
    "mimic_scale": _SCALE,
    "percentile": _SHARE,
    "mimic_mode": Choice(MODE_NAMES),
    "mimic_min": _SCALE,
    "guidance_mode": Choice(MODE_NAMES),
    "guidance_min": _SCALE,
    "mode_value": Number(0, VALUE_MAX),
    "separate_channels": Flag(),
    "startpoint": Choice(("mean", "zero")),
    "variability": Choice(("ad", "std")),
    "phi": _SHARE,
}
_TEXT_MAX = 2000


class Thresholds:
    """An object, or its JSON as text of a form; a number stands for the mimic scale alone."""

    def read(self, field: str, value: Any) -> Thresholding:
        """Raises ``InvalidInput`` naming the part that cannot be read."""
        given = _parsed(value) if isinstance(value, str) else value
        if type(given) in (int, float):
            given = {"mimic_scale": given}
        if not isinstance(given, dict):
            raise InvalidInput(
                field, f'{field} is {shown(value)}; it must be as {{"mimic_scale": 7}}'
            )
        if foreign := [name for name in given if name not in _THRESHOLDING]:
            known = ", ".join(_THRESHOLDING)
            raise InvalidInput(field, f"{field} has {cut(foreign[0])}; it may have {known}")
        read = {
            name: _THRESHOLDING[name].read(f"{field}.{name}", each)
            for name, each in given.items()
            if each is not None
        }
        return Thresholding(**read)

    def schema(self) -> dict[str, Any]:
        """JSON schema of the object."""
        parts = {name: reader.schema() for name, reader in _THRESHOLDING.items()}
        return {"type": "object", "properties": parts, "additionalProperties": False}


READERS: Mapping[str, Reader] = {
    "guidance_start": _SHARE,
    "guidance_end": _SHARE,
    "guidance_rescale": _SHARE,
    "thresholding": Thresholds(),
}


def chosen(values: Mapping[str, Any]) -> dict[str, Any]:
    """What of ``values`` a ``Generation`` is made with. Raises ``InvalidInput``."""
    given = {name: values.get(name, silent) for name, silent in DEFAULTS.items()}
    check_interval(given["guidance_start"], given["guidance_end"])
    return given


def _parsed(text: str) -> Any:
    try:
        return json.loads(text) if len(text) <= _TEXT_MAX else None
    except (ValueError, RecursionError):
        return None

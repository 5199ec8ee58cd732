"""The field ``loras``: which LoRAs a request is drawn with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from limner.domain.loras import LORAS_MAX, STRENGTH_MAX, Lora
from limner.errors import InvalidInput
from limner.web.reading.fields import Number, Reader, Text, cut, shown

_STRENGTH, _SHARE = Number(-STRENGTH_MAX, STRENGTH_MAX), Number(0, 1)
_READERS: Mapping[str, Reader] = {
    "name": Text(1, 500),
    "sha256": Text(64, 64),
    "unet": _STRENGTH,
    "text_encoder": _STRENGTH,
    "start": _SHARE,
    "end": _SHARE,
}
_TEXT_MAX = 20_000


class Loras:
    """A list of objects, or its JSON as text of a form; an object stands for a list of itself."""

    def read(self, field: str, value: Any) -> tuple[Lora, ...]:
        """The LoRAs; raises ``InvalidInput`` naming the one that cannot be read."""
        if isinstance(value, str):
            value = _parsed(field, value)
        given = value if isinstance(value, list) else [value]
        if len(given) > LORAS_MAX:
            raise InvalidInput(
                field, f"{field} has {len(given)} entries; at most {LORAS_MAX} are read"
            )
        return tuple(_lora(f"{field}.{place}", each) for place, each in enumerate(given))

    def schema(self) -> dict[str, Any]:
        """JSON schema of the list."""
        item = {
            "type": "object",
            "properties": {name: reader.schema() for name, reader in _READERS.items()},
            "additionalProperties": False,
        }
        return {"type": "array", "maxItems": LORAS_MAX, "items": item}


def _parsed(field: str, text: str) -> Any:
    try:
        if len(text) > _TEXT_MAX:
            raise ValueError(f"{len(text)} characters")
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(
            field, f"{field} is {shown(text)}; it must be a list of objects, as JSON"
        ) from error


def _lora(field: str, value: Any) -> Lora:
    if not isinstance(value, dict):
        raise InvalidInput(field, f'{field} is {shown(value)}; it must be as {{"name": "..."}}')
    if foreign := [name for name in value if name not in _READERS]:
        raise InvalidInput(
            field, f"{field} has {cut(foreign[0])}; it may have {', '.join(_READERS)}"
        )
    given = {
        name: _READERS[name].read(f"{field}.{name}", each)
        for name, each in value.items()
        if each is not None
    }
    if ("name" in given) == ("sha256" in given):
        raise InvalidInput(field, f"{field} must have either name or sha256")
    return Lora(**_checked(field, given))


def _checked(field: str, given: dict[str, Any]) -> dict[str, Any]:
    sha256 = given.get("sha256", "").lower()
    if set(sha256) - set("0123456789abcdef"):
        raise InvalidInput(
            f"{field}.sha256",
            f"{field}.sha256 is {shown(sha256)}; it must be 64 hexadecimal digits",
        )
    start, end = given.get("start", 0.0), given.get("end", 1.0)
    if start >= end:  # no evaluation lies between: rather the wrong way round than meant
        raise InvalidInput(
            f"{field}.start", f"{field}.start is {start:g}; it must be below end, which is {end:g}"
        )
    return given | ({"sha256": sha256} if sha256 else {})

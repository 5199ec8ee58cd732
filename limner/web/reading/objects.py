"""A field that is a list of objects, each of which names a file of the library."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from limner.errors import InvalidInput
from limner.web.reading.fields import Number, Reader, Text, cut, shown

Made = TypeVar("Made")

# How each object names its file, and from when to when it counts.
NAMING: Mapping[str, Reader] = {"name": Text(1, 500), "sha256": Text(64, 64)}
TIMING: Mapping[str, Reader] = {"start": Number(0, 1), "end": Number(0, 1)}
_TEXT_MAX = 30_000
PICTURES_TEXT_MAX = 100_000_000
"""Of a form's field that holds pictures; the body has its own bound."""


@dataclass(frozen=True)
class Objects(Generic[Made]):
    """A list of objects, or its JSON as text of a form; an object stands for a list of itself.

    ``make`` is given the name of an object's field, such as ``loras.0``, and its typed values.
    Text is read up to ``text_max`` characters. ``like`` shows one, ``check`` raises for what its
    fields may not be together: ``_checked``, where a file is named.
    """

    readers: Mapping[str, Reader]
    high: int
    make: Callable[[str, dict[str, Any]], Made]
    text_max: int = _TEXT_MAX
    like: str = '{"name": "..."}'
    check: Callable[[str, dict[str, Any]], dict[str, Any]] | None = None

    def read(self, field: str, value: Any) -> tuple[Made, ...]:
        """What ``make`` makes of each; raises ``InvalidInput`` naming the one that is wrong."""
        if isinstance(value, str):
            value = self._parsed(field, value)
        given = value if isinstance(value, list) else [value]
        if len(given) > self.high:
            raise InvalidInput(
                field, f"{field} has {len(given)} entries; at most {self.high} are read"
            )
        return tuple(self._one(f"{field}.{place}", each) for place, each in enumerate(given))

    def schema(self) -> dict[str, Any]:
        """JSON schema of the list."""
        item = {
            "type": "object",
            "properties": {name: reader.schema() for name, reader in self.readers.items()},
            "additionalProperties": False,
        }
        return {"type": "array", "maxItems": self.high, "items": item}

    def _parsed(self, field: str, text: str) -> Any:
        try:
            if len(text) > self.text_max:
                raise ValueError(f"{len(text)} characters")
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InvalidInput(
                field, f"{field} is {shown(text)}; it must be a list of objects, as JSON"
            ) from error

    def _one(self, field: str, value: Any) -> Made:
        if not isinstance(value, dict):
            raise InvalidInput(field, f"{field} is {shown(value)}; it must be as {self.like}")
        given = typed(field, value, self.readers)
        return self.make(field, (self.check or _checked)(field, given))


@dataclass(frozen=True)
class One:
    """An object, or its JSON as text of a form; a number stands for ``{"scale": number}``."""

    readers: Mapping[str, Reader]

    def read(self, field: str, value: Any) -> dict[str, Any]:
        """Its fields, typed; raises ``InvalidInput`` naming the one that cannot be read."""
        if isinstance(value, str):
            try:
                if len(value) > _TEXT_MAX:
                    raise ValueError(f"{len(value)} characters")
                value = json.loads(value)
            except (ValueError, RecursionError):
                pass
        if isinstance(value, int | float) and not isinstance(value, bool):
            value = {"scale": value}
        if not isinstance(value, dict):
            raise InvalidInput(field, f'{field} is {shown(value)}; it must be as {{"scale": 2}}')
        return typed(field, value, self.readers)

    def schema(self) -> dict[str, Any]:
        """JSON schema of the object."""
        properties = {name: reader.schema() for name, reader in self.readers.items()}
        return {"type": "object", "properties": properties, "additionalProperties": False}


def typed(field: str, value: Mapping[str, Any], readers: Mapping[str, Reader]) -> dict[str, Any]:
    """The object's fields as ``readers`` read them, without those that are null.

    Raises ``InvalidInput`` for one that has no reader, or that cannot be read.
    """
    if foreign := [name for name in value if name not in readers]:
        raise InvalidInput(
            field, f"{field} has {cut(foreign[0])}; it may have {', '.join(readers)}"
        )
    return {
        name: readers[name].read(f"{field}.{name}", each)
        for name, each in value.items()
        if each is not None
    }


def _checked(field: str, given: dict[str, Any]) -> dict[str, Any]:
    if ("name" in given) == ("sha256" in given):
        raise InvalidInput(field, f"{field} must have either name or sha256")
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

"""Reading one field of the wire: lenient in form, strict in value, and its JSON schema.

Clients send numbers as strings and booleans as words; these are coerced. What is out of range
is refused with the field, the value, and what is allowed.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from limner.errors import InvalidInput

SHOWN_MAX = 60
NOTES_MAX = 50
_WHOLE = re.compile(r"\s*([+-]?\d{1,40})(\.0*)?\s*", re.ASCII)
_DECIMAL = re.compile(
    r"\s*[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?\s*", re.ASCII | re.IGNORECASE
)  # no two repetitions that could share a digit: tried in every way, they take quadratic time
_TRUE, _FALSE = frozenset({"true", "1", "yes", "on"}), frozenset({"false", "0", "no", "off"})


class Reader(Protocol):
    """Turns a JSON value, or text of a form, into a typed one."""

    def read(self, field: str, value: Any) -> Any:
        """The typed value; raises ``InvalidInput``."""

    def schema(self) -> dict[str, Any]:
        """JSON schema of the typed value."""


@dataclass(frozen=True)
class Text:
    """Text of ``low`` to ``high`` characters."""

    low: int
    high: int

    def read(self, field: str, value: Any) -> str:
        allowed = f"it must be text of {self.low:,} to {self.high:,} characters"
        if not isinstance(value, str):
            raise InvalidInput(field, f"{field} is {shown(value)}; {allowed}")
        if not self.low <= len(value) <= self.high:
            raise InvalidInput(field, f"{field} has {len(value):,} characters; {allowed}")
        return value

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "minLength": self.low, "maxLength": self.high}


@dataclass(frozen=True)
class Whole:
    """A whole number from ``low`` to ``high``, a multiple of ``step``; 2.0 and "2" are 2."""

    low: int
    high: int
    step: int = 1

    def read(self, field: str, value: Any) -> int:
        number = _whole(value)
        if number is None or not self.low <= number <= self.high or number % self.step:
            kind = "whole number" if self.step == 1 else f"multiple of {self.step} from"
            raise InvalidInput(
                field, f"{field} is {shown(value)}; it must be a {kind} {self.low} to {self.high}"
            )
        return number

    def schema(self) -> dict[str, Any]:
        made: dict[str, Any] = {"type": "integer", "minimum": self.low, "maximum": self.high}
        return made if self.step == 1 else made | {"multipleOf": self.step}


@dataclass(frozen=True)
class Number:
    """A finite number from ``low`` to ``high``."""

    low: float
    high: float

    def read(self, field: str, value: Any) -> float:
        number = _number(value)
        if number is None or not self.low <= number <= self.high:
            raise InvalidInput(
                field,
                f"{field} is {shown(value)}; it must be a number {self.low:g} to {self.high:g}",
            )
        return number

    def schema(self) -> dict[str, Any]:
        return {"type": "number", "minimum": self.low, "maximum": self.high}


@dataclass(frozen=True)
class Flag:
    """A boolean; also 0 and 1, and the words true, false, yes, no, on, off."""

    def read(self, field: str, value: Any) -> bool:
        word = str(value).strip().lower() if isinstance(value, str | int | float) else ""
        if word in _TRUE or word in _FALSE:
            return word in _TRUE
        raise InvalidInput(field, f"{field} is {shown(value)}; it must be true or false")

    def schema(self) -> dict[str, Any]:
        return {"type": "boolean"}


@dataclass(frozen=True)
class Bit:
    """0 or 1, which clients also write as a boolean or its word."""

    def read(self, field: str, value: Any) -> int:
        word = value.strip().lower() if isinstance(value, str) else ""
        if isinstance(value, bool) or word in _TRUE | _FALSE:
            return int(Flag().read(field, value))
        return Whole(0, 1).read(field, value)

    def schema(self) -> dict[str, Any]:
        return Whole(0, 1).schema()


@dataclass(frozen=True)
class Choice:
    """One of some words; case does not matter."""

    names: tuple[str, ...]

    def read(self, field: str, value: Any) -> str:
        word = value.strip().lower() if isinstance(value, str) else ""
        if word not in self.names:
            allowed = ", ".join(self.names)
            raise InvalidInput(field, f"{field} is {shown(value)}; it must be one of {allowed}")
        return word

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "enum": list(self.names)}


@dataclass(frozen=True)
class Blob:
    """A picture: base64, a data URI or a URL, or the bytes of a form's file."""

    def read(self, field: str, value: Any) -> str | bytes:
        if isinstance(value, str | bytes) and value:
            return value
        raise InvalidInput(
            field, f"{field} is {shown(value)}; it must be a picture as base64, a data URI or a URL"
        )

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "description": "Base64, a data URI, or a URL."}


@dataclass(frozen=True)
class Items:
    """A list of at most ``high`` items; a single one may stand for a list of itself."""

    item: Reader
    high: int

    def read(self, field: str, value: Any) -> list[Any]:
        items = value if isinstance(value, list) else [value]
        if len(items) > self.high:
            raise InvalidInput(
                field, f"{field} has {len(items)} entries; at most {self.high} are read"
            )
        return [self.item.read(field, item) for item in items]

    def schema(self) -> dict[str, Any]:
        return {"type": "array", "maxItems": self.high, "items": self.item.schema()}


@dataclass(frozen=True)
class Object:
    """A JSON object, whatever it holds."""

    def read(self, field: str, value: Any) -> dict[str, Any]:
        if isinstance(value, dict):
            return value
        raise InvalidInput(field, f"{field} is {shown(value)}; it must be an object")

    def schema(self) -> dict[str, Any]:
        return {"type": "object"}


def read(
    readers: Mapping[str, Reader], aliases: Mapping[str, str], body: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """Typed values of the fields present in ``body``, and a note for each field ignored.

    A field that is null, or empty where text is not asked for, counts as absent. A field's own
    name wins over its alias.
    """
    values: dict[str, Any] = {}
    ignored: list[str] = []
    for name, value in body.items():
        own = aliases.get(name, name)
        if value is None:
            continue
        if own not in readers or (own != name and own in body):
            ignored.append(f"{cut(name)} was ignored")
        elif value != "" or isinstance(readers[own], Text):
            values[own] = readers[own].read(name, value)
    return values, bounded(ignored)


def bounded(notes: Sequence[str], limit: int = NOTES_MAX) -> list[str]:
    """At most ``limit`` notes, then how many more there are."""
    if len(notes) <= limit:
        return list(notes)
    return [*notes[:limit], f"and {len(notes) - limit} more"]


def shown(value: Any) -> str:
    """A value as the caller wrote it, cut to a readable length."""
    if isinstance(value, bytes):
        return "a file"
    try:
        # In pieces, of which only the first are made: a value may be megabytes long.
        pieces = json.JSONEncoder(ensure_ascii=False).iterencode(_begun(value))
        return cut("".join(itertools.islice(pieces, SHOWN_MAX)))
    except (TypeError, ValueError):
        return cut(repr(value))


def _begun(value: Any) -> Any:
    return value[: SHOWN_MAX + 1] if isinstance(value, str | list) else value


def cut(text: str) -> str:
    """``text``, or its beginning and three dots."""
    return text if len(text) <= SHOWN_MAX else text[: SHOWN_MAX - 3] + "..."


def _whole(value: Any) -> int | None:
    if isinstance(value, str):
        found = _WHOLE.fullmatch(value)
        return int(found[1]) if found else None
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    if isinstance(value, str) and not _DECIMAL.fullmatch(value):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None

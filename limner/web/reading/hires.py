"""The field ``hires``: how a picture is drawn a second time, larger."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from limner.domain.hires import STRENGTH, UPSCALERS, Hires
from limner.domain.params import (
    PROMPT_LENGTH_MAX,
    SIDE_MAX,
    SIDE_MIN,
    SIDE_MULTIPLE,
    STEPS_MAX,
)
from limner.errors import InvalidInput
from limner.web.reading.fields import Flag, Number, Reader, Text, Whole, shown
from limner.web.reading.objects import typed

SCALE_MAX = 4.0
_SIDE = Whole(SIDE_MIN, SIDE_MAX, SIDE_MULTIPLE)
_NAME = Text(0, 100)
_READERS: Mapping[str, Reader] = {
    "scale": Number(1, SCALE_MAX),
    "width": _SIDE,
    "height": _SIDE,
    "upscaler": _NAME,
    "steps": Whole(1, STEPS_MAX),
    "strength": Number(0, 1),
    "prompt": Text(0, PROMPT_LENGTH_MAX),
    "negative_prompt": Text(0, PROMPT_LENGTH_MAX),
    "sampler": _NAME,
    "schedule": _NAME,
    "guidance": Number(0.1, 25),
    "first_pass": Flag(),
}
_TEXT_MAX = 30_000
_FOLDED = {name.casefold(): name for name in UPSCALERS}


class HiresFields:
    """An object, or its JSON as text of a form; a number stands for ``{"scale": number}``."""

    def read(self, field: str, value: Any) -> dict[str, Any]:
        """Its fields, typed; raises ``InvalidInput`` naming the one that cannot be read."""
        return typed(field, _object(field, value), _READERS)

    def schema(self) -> dict[str, Any]:
        """JSON schema of the object."""
        properties = {name: reader.schema() for name, reader in _READERS.items()}
        return {"type": "object", "properties": properties, "additionalProperties": False}


def chosen(values: Mapping[str, Any]) -> Hires | None:
    """The second pass of a form's ``values``; None where it names none."""
    given = values.get("hires")
    return None if given is None else second_pass(given, values["img_width"], values["img_height"])


def second_pass(given: Mapping[str, Any], width: int, height: int) -> Hires:
    """The second pass of a picture of this size, from what ``HiresFields`` read.

    Without a size it is twice as large; one side alone keeps the proportions. Raises
    ``InvalidInput`` for a size beyond what is drawn, and for an upscaler nobody knows.
    """
    said = {name: value for name, value in given.items() if value != ""}
    if said.pop("first_pass", False):
        raise InvalidInput(
            "hires.first_pass",
            "hires.first_pass is true, which is not served: the same request without hires draws "
            "the first pass, to the bit",
        )
    scale = said.pop("scale", None)
    sides = said.pop("width", None), said.pop("height", None)
    if scale is not None and any(sides):
        raise InvalidInput("hires.scale", "hires has both scale and a size: leave one out")
    large = _size(scale, sides, (width, height))
    if "upscaler" in said:
        said["upscaler"] = _FOLDED.get(said["upscaler"].casefold(), said["upscaler"])
        if said["upscaler"] not in UPSCALERS:
            known = ", ".join(UPSCALERS)
            raise InvalidInput(
                "hires.upscaler",
                f"hires.upscaler is {shown(said['upscaler'])}; it must be one of {known}",
            )
    try:
        return Hires(width=large[0], height=large[1], **{"strength": STRENGTH, **said})
    except InvalidInput as error:
        raise InvalidInput(f"hires.{error.field}", f"hires: {error}") from error


def _size(
    scale: float | None, sides: tuple[int | None, int | None], first: tuple[int, int]
) -> tuple[int, int]:
    width, height = sides
    if width is None and height is None:
        factor = 2.0 if scale is None else scale
        found = first[0] * factor, first[1] * factor
    else:
        found = (
            width or height * first[0] / first[1],  # type: ignore[operator]
            height or width * first[1] / first[0],  # type: ignore[operator]
        )
    large = tuple(int(side) - int(side) % SIDE_MULTIPLE for side in found)
    if max(large) > SIDE_MAX:
        raise InvalidInput(
            "hires", f"hires would be {large[0]}x{large[1]}; a side has at most {SIDE_MAX} pixels"
        )
    return large[0], large[1]


def _object(field: str, value: Any) -> Mapping[str, Any]:
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
    return value

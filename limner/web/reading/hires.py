"""The field ``hires``: how a picture is drawn a second time, larger."""

from __future__ import annotations

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
from limner.domain.upscalers import BUILT_IN
from limner.errors import InvalidInput
from limner.web.reading.fields import Flag, Number, Reader, Text, Whole
from limner.web.reading.objects import One

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
_FOLDED = {name.casefold(): name for name in (*UPSCALERS, *BUILT_IN)}


HIRES = One(_READERS)


def chosen(values: Mapping[str, Any]) -> Hires | None:
    """The second pass of a form's ``values``; None where it names none."""
    given = values.get("hires")
    return None if given is None else second_pass(given, values["img_width"], values["img_height"])


def second_pass(given: Mapping[str, Any], width: int, height: int) -> Hires:
    """The second pass of a picture of this size, from what ``HIRES`` read.

    Without a size it is twice as large; one side alone keeps the proportions. Raises
    ``InvalidInput`` for a size beyond what is drawn. What is no upscaler's name is a file's.
    """
    said = {name: value for name, value in given.items() if value != ""}
    scale = said.pop("scale", None)
    sides = said.pop("width", None), said.pop("height", None)
    if scale is not None and any(sides):
        raise InvalidInput("hires.scale", "hires has both scale and a size: leave one out")
    large = _size(scale, sides, (width, height))
    if "upscaler" in said:
        said["upscaler"] = _FOLDED.get(said["upscaler"].casefold(), said["upscaler"])
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
    if min(large) < SIDE_MIN or max(large) > SIDE_MAX:
        bound = f"at least {SIDE_MIN}" if min(large) < SIDE_MIN else f"at most {SIDE_MAX}"
        raise InvalidInput(
            "hires", f"hires would be {large[0]}x{large[1]}; a side has {bound} pixels"
        )
    return large[0], large[1]

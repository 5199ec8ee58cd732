"""The fields ``sd_upscale`` and ``details``: a picture in tiles, and boxes of one once more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from limner.domain.detectors import CLASS_MAX, CLASSES_MAX
from limner.domain.masking import BLUR_MAX, PADDING_MAX
from limner.domain.params import PROMPT_LENGTH_MAX, STEPS_MAX
from limner.domain.parts import (
    DETAILS_MAX,
    OVERLAP_MAX,
    THRESHOLD_MIN,
    UPSCALE_MAX,
    Detail,
    SdUpscale,
)
from limner.domain.upscalers import BUILT_IN
from limner.errors import InvalidInput
from limner.web.reading import ranges
from limner.web.reading.fields import Items, Number, Text, Whole, shown
from limner.web.reading.objects import Objects, One

SD_UPSCALE = One(
    {
        "scale": Number(1, UPSCALE_MAX),
        "upscaler": Text(0, 100),
        "tile_width": ranges.SIDE,
        "tile_height": ranges.SIDE,
        "overlap": Whole(0, OVERLAP_MAX),
    }
)
_FOLDED = {name.casefold(): name for name in BUILT_IN}


@dataclass(frozen=True)
class Shares:
    """A box as ``[left, top, width, height]``, in shares of the picture."""

    def read(self, field: str, value: Any) -> tuple[float, ...]:
        """The four numbers. Raises ``InvalidInput``."""
        if not isinstance(value, list) or len(value) != 4:
            raise InvalidInput(
                field,
                f"{field} is {shown(value)}; it must be [left, top, width, height] in shares of "
                "the picture",
            )
        return tuple(Number(0, 1).read(f"{field}.{n}", each) for n, each in enumerate(value))

    def schema(self) -> dict[str, Any]:
        """JSON schema of the box."""
        item = {"type": "number", "minimum": 0, "maximum": 1}
        return {"type": "array", "minItems": 4, "maxItems": 4, "items": item}


def _detail(field: str, given: dict[str, Any]) -> Detail:
    try:
        return Detail(**given)
    except InvalidInput as error:
        raise InvalidInput(f"{field}.{error.field}", f"{field}.{error}") from error


def _boxed(field: str, given: dict[str, Any]) -> dict[str, Any]:
    if "box" not in given and "detector" not in given:
        raise InvalidInput(
            f"{field}.box",
            f"{field}.box is missing; it says what is drawn again, or a detector finds it",
        )
    return given


DETAILS = Objects(
    {
        "box": Shares(),
        "detector": Text(1, 500),
        "threshold": Number(THRESHOLD_MIN, 1),
        "classes": Items(Whole(0, CLASS_MAX), CLASSES_MAX),
        "max": Whole(1, DETAILS_MAX),
        "prompt": Text(0, PROMPT_LENGTH_MAX),
        "negative_prompt": Text(0, PROMPT_LENGTH_MAX),
        "strength": Number(0, 1),
        "steps": Whole(1, STEPS_MAX),
        "guidance": ranges.GUIDANCE,
        "width": ranges.SIDE,
        "height": ranges.SIDE,
        "padding": Whole(0, PADDING_MAX),
        "blur": Whole(0, BLUR_MAX),
    },
    DETAILS_MAX,
    _detail,
    text_max=200_000,
    like='{"box": [0.4, 0.1, 0.2, 0.2]}',
    check=_boxed,
)


def chosen(values: Mapping[str, Any]) -> dict[str, Any]:
    """Both fields of a ``Generation``, from a form's ``values``."""
    given = values.get("sd_upscale")
    size = values["img_width"], values["img_height"]
    upscale = None if given is None else upscaled(given, *size, starts=values["source"] is not None)
    return {"sd_upscale": upscale, "details": values["details"]}


def upscaled(given: Mapping[str, Any], width: int, height: int, *, starts: bool) -> SdUpscale:
    """What becomes of a picture of this size, from what ``SD_UPSCALE`` read: twice as large.

    What is no upscaler's name is a file's. Raises ``InvalidInput`` for what would be too large, and
    where nothing ``starts``.
    """
    if not starts:
        raise InvalidInput("sd_upscale", "sd_upscale makes a picture larger: image is missing")
    said = {name: value for name, value in given.items() if value != ""}
    scale = said.pop("scale", 2.0)
    if "upscaler" in said:
        said["upscaler"] = _FOLDED.get(said["upscaler"].casefold(), said["upscaler"])
    return SdUpscale(width=int(width * scale), height=int(height * scale), **said)

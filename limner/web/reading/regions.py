"""The field ``regions``: prompts of their own for parts of the picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from limner.domain.params import PROMPT_LENGTH_MAX
from limner.domain.regions import REGIONS_MAX, WEIGHT_MAX, Region
from limner.engine.batching.ticket import Pixels
from limner.errors import InvalidInput
from limner.web.reading import inputs
from limner.web.reading.fields import Blob, Number, Text
from limner.web.reading.intake import Intake
from limner.web.reading.objects import PICTURES_TEXT_MAX, Objects
from limner.web.reading.parts import Shares


@dataclass(frozen=True)
class Wanted:
    """A region as a body asks for it, its mask unread; ``name`` is such as ``regions.0``."""

    region: Region
    name: str
    mask: str | bytes | None = None


def _region(field: str, given: dict[str, Any]) -> Wanted:
    mask = given.pop("mask", None)
    named = {} if mask is None else {"mask_sha256": inputs.UNREAD}
    try:
        return Wanted(Region(**given, **named), field, mask)
    except InvalidInput as error:
        raise InvalidInput(f"{field}.{error.field}", f"{field}.{error}") from error


def _complete(field: str, given: dict[str, Any]) -> dict[str, Any]:
    if "prompt" not in given:
        raise InvalidInput(
            f"{field}.prompt", f"{field}.prompt is missing; it says what is drawn there"
        )
    if given.get("weight") == 0:
        raise InvalidInput(f"{field}.weight", f"{field}.weight is 0; it must be above 0")
    return given


REGIONS = Objects(
    {
        "prompt": Text(1, PROMPT_LENGTH_MAX),
        "box": Shares(),
        "mask": Blob(),
        "weight": Number(0, WEIGHT_MAX),
    },
    REGIONS_MAX,
    _region,
    text_max=PICTURES_TEXT_MAX,
    like='{"prompt": "a knight", "box": [0, 0, 0.5, 1]}',
    check=_complete,
)


def unread(wanted: Sequence[Wanted]) -> tuple[Region, ...]:
    """The regions of a ``Generation`` whose masks nobody has read; no price depends on them."""
    return tuple(each.region for each in wanted)


async def read_masks(
    intake: Intake, wanted: Sequence[Wanted], width: int, height: int
) -> tuple[dict[str, Pixels], tuple[Region, ...], list[str]]:
    """The masks (height, width) by their SHA-256, the regions that name them, and notes.

    Raises ``InvalidInput`` for pictures that cannot be had or read, and for a mask of nothing.
    """
    pixels, regions, notes = dict[str, Pixels](), list[Region](), list[str]()
    fitting: dict[str, Any] = {"width": width, "height": height, "resize_mode": "crop"}
    for each in wanted:
        region = each.region
        if each.mask is not None:
            field, area = f"{each.name}.mask", width * height
            result = await intake.run(
                "mask", field, each.mask, area, by="white", invert=False, **fitting
            )
            [sha256], [array] = result.digests, result.arrays
            pixels[sha256] = array
            region = region.model_copy(update={"mask_sha256": sha256})
            notes += result.notes
        regions.append(region)
    return pixels, tuple(regions), notes

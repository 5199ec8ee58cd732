"""What OpenAI's edits mean by their pictures: transparency says where to repaint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from limner.errors import InvalidInput
from limner.web.reading import adjusting
from limner.web.reading.fields import Blob
from limner.web.reading.intake import Intake

LONGEST = 1024
OPAQUE = "mask has no transparent pixels; its white ones were repainted"


async def prepare(
    fields: Mapping[str, Any], intake: Intake
) -> tuple[dict[str, Any], tuple[int, int], list[str]]:
    """``fields`` as the vendor's route means them, the picture's size, and notes.

    ``image[]`` is ``image`` and ``mask[]`` is ``mask``; without a mask, the picture's own
    transparency is one; with one, ``strength`` is 1 unless given. Raises ``InvalidInput``.
    """
    own = ("image[]", "mask[]", "mask")
    rest = {name: value for name, value in fields.items() if name not in own}
    image = fields.get("image[]", fields.get("image"))
    if not isinstance(image, str | bytes) or not image:
        raise InvalidInput("image", "image is missing; send a picture as a file of the form")
    twice = [name for name in ("image", "mask") if {name, f"{name}[]"} <= fields.keys()]
    told = [f"{name} was ignored beside {name}[]" for name in twice]
    await intake.afford(())
    rest["image"] = image = await intake.fetch("image", image)
    clear = await intake.run("transparency", "image", image)
    size = adjusting.fitted(*clear.told["size"], longest=LONGEST)
    area = clear.arrays
    if mask := fields.get("mask[]", fields.get("mask")):
        found = await intake.run("area", "mask", Blob().read("mask", mask))
        area = found.arrays
        told += [OPAQUE] if found.told["opaque"] else []
    if area:
        rest = {"strength": 1.0, **rest, "mask": area[0].tobytes()}
    return rest, size, told

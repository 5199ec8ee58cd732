"""AUTOMATIC1111's script "SD upscale": ``script_name`` and ``script_args`` of ``img2img``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from limner.domain.params import SIDE_MAX, SIDE_MIN, SIDE_MULTIPLE
from limner.domain.parts import OVERLAP, OVERLAP_MAX, UPSCALE_MAX, SdUpscale
from limner.domain.upscalers import BUILT_IN
from limner.errors import InvalidInput
from limner.web.reading import parts
from limner.web.reading.fields import Number, Reader, Text, Whole, cut, shown
from limner.web.reading.intake import Intake

TITLE = "sd upscale"
UPSCALERS = ("None", *BUILT_IN)
"""In the order of the script's buttons, by whose number one may be named."""

NAME_MAX = 100
_ARGUMENTS = "script_args"
_ARGUMENTS_MAX = 100


@dataclass(frozen=True)
class Arguments:
    """Those of a script, in its order: a list of anything."""

    def read(self, field: str, value: Any) -> list[Any]:
        """The list. Raises ``InvalidInput``."""
        if not isinstance(value, list) or len(value) > _ARGUMENTS_MAX:
            raise InvalidInput(
                field, f"{field} is {shown(value)}; it must be a list of at most {_ARGUMENTS_MAX}"
            )
        return value

    def schema(self) -> dict[str, Any]:
        """JSON schema of the list."""
        return {"type": "array", "maxItems": _ARGUMENTS_MAX, "items": {}}


READERS: Mapping[str, Reader] = {"script_name": Text(0, 100), _ARGUMENTS: Arguments()}


def wanted(values: Mapping[str, Any]) -> bool:
    """Whether the script is asked for."""
    return str(values.get("script_name", "")).strip().lower() == TITLE


def told(values: Mapping[str, Any]) -> list[str]:
    """What is ignored of another script."""
    if wanted(values) or not values.get("script_name"):
        return []
    return [f"script_name {cut(values['script_name'])} was ignored"]


async def settle(
    values: Mapping[str, Any], intake: Intake, notes: list[str]
) -> tuple[SdUpscale, dict[str, Any]]:
    """What is asked for, and ``values`` in which ``width`` and ``height`` are the picture's own,
    where they were a tile's.

    The size of the picture says how many tiles there are, so it is looked at before the price.
    Raises ``InvalidInput``.
    """
    name, scale, overlap = _arguments(values.get(_ARGUMENTS, []))
    if not values.get("init_images"):
        raise InvalidInput("init_images", "init_images is missing; send a list of one picture")
    await intake.afford(())
    found = await intake.run("size", "init_images", values["init_images"][0])
    own = found.told["size"]
    size = [side - side % SIDE_MULTIPLE for side in own]
    if min(size) < SIDE_MIN or max(size) > SIDE_MAX:
        raise InvalidInput(
            "init_images",
            f"init_images is {own[0]}x{own[1]}; SD upscale takes sides of {SIDE_MIN} to {SIDE_MAX}",
        )
    if size != own:
        notes.append(f"init_images of {own[0]}x{own[1]} was cut to {size[0]}x{size[1]}")
    sides = ("width", "height")
    tile = {f"tile_{side}": values[side] - values[side] % SIDE_MULTIPLE for side in sides}
    own_size = {"width": size[0], "height": size[1], "resize_mode": 1}
    given = {**tile, "overlap": overlap, "scale": scale, "upscaler": name}
    return parts.upscaled(given, size[0], size[1], starts=True), {**values, **own_size}


def _arguments(given: list[Any]) -> tuple[str, float, int]:
    """Upscaler, scale and overlap: the second to the fourth argument, the first says nothing."""
    _, overlap, upscaler, scale = [*given, *[None] * 4][:4]
    name = _upscaler(0 if upscaler is None else upscaler)
    factor = Number(1, UPSCALE_MAX).read(f"{_ARGUMENTS}.3", 2 if scale is None else scale)
    pixels = Whole(0, OVERLAP_MAX).read(f"{_ARGUMENTS}.1", OVERLAP if overlap is None else overlap)
    return (name, factor, pixels) if name != "None" else ("Lanczos", 1.0, pixels)


def _upscaler(given: Any) -> str:
    """What is no name of ours is a file's of the library."""
    names = {name.lower(): name for name in UPSCALERS}
    if isinstance(given, str) and 0 < len(given) <= NAME_MAX:
        return names.get(given.lower(), given)
    if isinstance(given, int) and not isinstance(given, bool) and 0 <= given < len(UPSCALERS):
        return UPSCALERS[given]
    field = f"{_ARGUMENTS}.2"
    raise InvalidInput(
        field,
        f"{field} is {shown(given)}; it must be one of {', '.join(UPSCALERS)}, its number, or an "
        "upscaler of the library",
    )

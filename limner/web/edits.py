"""What OpenAI's edits mean by their pictures: transparency says where to repaint."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import numpy as np

from limner import imaging
from limner.domain.params import SIDE_MIN, SIDE_MULTIPLE
from limner.engine.request import Pixels
from limner.errors import InvalidInput
from limner.settings import Settings
from limner.web import inputs, masks

LONGEST = 1024
OPAQUE = "mask has no transparent pixels; its white ones were repainted"


async def prepare(
    fields: Mapping[str, Any], settings: Settings
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
    rest["image"] = await inputs.read_bytes("image", image, settings)
    mask = fields.get("mask[]", fields.get("mask")) or None
    if mask is not None:
        mask = await inputs.read_bytes("mask", mask, settings)
    size, area, notes = await asyncio.to_thread(_look, rest["image"], mask)
    if area is not None:
        rest = {"strength": 1.0, **rest, "mask": area}
    return rest, size, [*told, *notes]


def _look(image: bytes, mask: bytes | None) -> tuple[tuple[int, int], bytes | None, list[str]]:
    """The size to draw, the mask as a PNG with white to repaint, and notes."""
    clear = imaging.read_mask(image, "image", alpha=True)
    size = _fitted(clear.shape[1], clear.shape[0])
    if mask is None:
        return size, _png(clear) if masks.marks(clear) else None, []
    area = imaging.read_mask(mask, "mask", alpha=True)
    if masks.marks(area):
        return size, _png(area), []
    return size, _png(imaging.read_mask(mask, "mask")), [OPAQUE]


def _fitted(width: int, height: int) -> tuple[int, int]:
    """The picture's own proportions in whole latent pixels, at most ``LONGEST`` a side."""
    scale = min(1.0, LONGEST / max(width, height))
    sides = (int(side * scale) // SIDE_MULTIPLE * SIDE_MULTIPLE for side in (width, height))
    fitted_width, fitted_height = (max(SIDE_MIN, side) for side in sides)
    return fitted_width, fitted_height


def _png(mask: Pixels) -> bytes:
    return imaging.to_png(np.repeat(mask[..., None], 3, axis=2))

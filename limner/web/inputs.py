"""The pictures a request brings along: base64, data URIs, files of a form, and URLs."""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections.abc import Mapping, MutableMapping
from typing import Any

from limner import fetching, imaging
from limner.domain import schedulers
from limner.domain.params import Source
from limner.engine.request import Pixels
from limner.errors import InvalidInput
from limner.imaging import canvas
from limner.settings import Settings
from limner.web import masks

# What acts only beside ``image``, and what makes a canvas round it.
WITH_IMAGE = ("mask", "strength", "resize_mode", "mask_blur")
CANVAS = ("scale", "offset_x", "offset_y", "mask_expand")


def drop_without_image(values: MutableMapping[str, Any]) -> list[str]:
    """Takes out of a body without ``image`` what would act on one; a note for each."""
    if "image" in values:
        return []
    dropped = [name for name in WITH_IMAGE if name in values]
    for name in dropped:
        del values[name]
    return [f"{name} was ignored: it acts only where image is present" for name in dropped]


async def read_source(
    values: Mapping[str, Any], settings: Settings
) -> tuple[dict[str, Pixels], Source | None]:
    """The ``Source`` of typed ``values``, and its pixels by their SHA-256.

    Raises ``InvalidInput`` for pictures that cannot be had or read, for a strength that leaves
    no step to run, and for a mask that repaints nothing.
    """
    if "image" not in values:
        return {}, None
    check_strength(values["num_inference_steps"], values["strength"])
    image = await _pixels("image", values["image"], settings)
    mask = await _pixels("mask", values["mask"], settings) if "mask" in values else None
    if "scale" in values:
        image, mask = await asyncio.to_thread(_on_canvas, image, values)
    if mask is not None:
        size = (values["img_width"], values["img_height"], values["resize_mode"])
        field = "scale" if "scale" in values else "mask"
        await asyncio.to_thread(masks.check, mask, *size, field)
    pixels = {digest(image): image} | ({} if mask is None else {digest(mask): mask})
    return pixels, Source(
        sha256=digest(image),
        strength=values["strength"],
        resize_mode=values["resize_mode"],
        mask_sha256=None if mask is None else digest(mask),
        mask_blur=values["mask_blur"],
    )


def check_strength(steps: int, strength: float) -> None:
    """Raises ``InvalidInput`` where none of the steps would run, naming a strength that does."""
    if schedulers.steps_run(steps, strength) == 0:
        raise InvalidInput(
            "strength",
            f"strength is {strength:g}, which leaves none of {steps} steps to run; "
            f"at least {math.ceil(1000 / steps) / 1000:g} would do",
        )


def digest(pixels: Pixels) -> str:
    """The name of pixels: the SHA-256 of their bytes."""
    return hashlib.sha256(pixels.tobytes()).hexdigest()


async def read_bytes(name: str, value: str | bytes, settings: Settings) -> bytes:
    """The file that a field holds or names. Raises ``InvalidInput``."""
    if isinstance(value, str) and fetching.is_url(value):
        limits = fetching.Limits(
            settings.fetch_max_bytes, settings.fetch_max_s, settings.fetch_private
        )
        return await fetching.fetch(value, name, limits)
    if isinstance(value, str):
        return await asyncio.to_thread(imaging.parse_base64, value, name)
    return value


async def _pixels(name: str, value: str | bytes, settings: Settings) -> Pixels:
    return await asyncio.to_thread(_decode, name, await read_bytes(name, value, settings))


def _decode(name: str, data: bytes) -> Pixels:
    return imaging.read_mask(data, name) if name == "mask" else imaging.read_image(data, name)


def _on_canvas(image: Pixels, values: Mapping[str, Any]) -> tuple[Pixels, Pixels]:
    size = {"width": values["img_width"], "height": values["img_height"]}
    return canvas.place(image, **size, **{name: values[name] for name in CANVAS})

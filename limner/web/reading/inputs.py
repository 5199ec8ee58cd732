"""The pictures a request brings along: base64, data URIs, files of a form, and URLs."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

from limner.domain import schedulers
from limner.domain.masking import BLUR_MAX, FILLS, PADDING, PADDING_MAX, PIXELS_MAX
from limner.domain.params import Source
from limner.domain.samplers import RULED_NAMES
from limner.engine.batching.ticket import Pixels
from limner.errors import InvalidInput
from limner.imaging.reading import MaskBy
from limner.imaging.tasks import Result
from limner.web.reading.fields import Choice, Flag, Reader, Whole
from limner.web.reading.intake import Intake

# What acts only beside ``image``, and what makes a canvas round it.
MASK_READERS: Mapping[str, Reader] = {
    "mask_blur": Whole(0, BLUR_MAX),
    "mask_fill": Choice(FILLS),
    "only_masked": Flag(),
    "mask_padding": Whole(0, PADDING_MAX),
}
MASK_DEFAULTS: Mapping[str, Any] = {
    "mask_blur": 0,
    "mask_fill": "original",
    "only_masked": False,
    "mask_padding": PADDING,
}
WITH_IMAGE = ("mask", "strength", "resize_mode", *MASK_READERS)
MASK_ONLY = ("mask_fill", "only_masked", "mask_padding")
PICTURES = ("image", "mask")
CANVAS = ("scale", "offset_x", "offset_y", "mask_expand")


def drop_without_image(values: MutableMapping[str, Any]) -> list[str]:
    """Takes out of a body without ``image``, or without ``mask``, what would act on one; a note
    for each."""
    names, needed = (WITH_IMAGE, "image") if "image" not in values else (MASK_ONLY, "mask")
    dropped = [name for name in names if name in values and needed not in values]
    for name in dropped:
        del values[name]
    if values.get("only_masked") and values.pop("resize_mode", None) is not None:
        return ["resize_mode was ignored: with only_masked the picture keeps its own size"]
    return [f"{name} was ignored: it acts only where {needed} is present" for name in dropped]


# The digest of pictures that nobody has read yet; no price depends on it.
UNREAD = "0" * 64


@dataclass(frozen=True)
class Wanted:
    """A picture to start from as a body names it, before anybody has fetched or read it.

    ``source`` says how it is used, with ``UNREAD`` digests; ``field`` is the picture's name on the
    wire. ``canvas`` holds the options of ``imaging.canvas.place`` where a mask is made with it.
    """

    source: Source
    image: str | bytes
    width: int
    height: int
    field: str = "image"
    mask: str | bytes | None = None
    mask_by: MaskBy = "white"
    invert: bool = False
    canvas: Mapping[str, Any] | None = None


def wanted(values: Mapping[str, Any]) -> Wanted | None:
    """What typed ``values`` start from. Raises ``InvalidInput`` where no step would be left."""
    if "image" not in values:
        return None
    if values.get("sampler") not in RULED_NAMES:  # of those one step runs always
        check_strength(values["num_inference_steps"], values["strength"])
    masked = "mask" in values or "scale" in values
    source = Source(
        sha256=UNREAD,
        strength=values["strength"],
        resize_mode=values["resize_mode"],
        mask_sha256=UNREAD if masked else None,
        **{name: values[name] for name in MASK_READERS},
    )
    return Wanted(
        source,
        values["image"],
        values["img_width"],
        values["img_height"],
        mask=values.get("mask"),
        canvas={name: values[name] for name in CANVAS} if "scale" in values else None,
    )


async def read_source(
    intake: Intake, wanted: Wanted
) -> tuple[dict[str, Pixels], Source, list[str]]:
    """The pixels at the size to draw by their SHA-256, the ``Source`` that names them, and notes.

    Raises ``InvalidInput`` for pictures that cannot be had or read, and for a mask that repaints
    nothing.
    """
    size = {"width": wanted.width, "height": wanted.height}
    area = wanted.width * wanted.height
    if wanted.source.only_masked:
        results = await _read_whole(intake, wanted)
    elif wanted.canvas is not None:
        options = {**size, **wanted.canvas}
        results = [await intake.run("canvas", wanted.field, wanted.image, 4 * area, **options)]
    else:
        fitted = {**size, "resize_mode": wanted.source.resize_mode}
        results = [await intake.run("picture", wanted.field, wanted.image, 3 * area, **fitted)]
        if wanted.mask is not None:
            options = {**fitted, "by": wanted.mask_by, "invert": wanted.invert}
            results.append(await intake.run("mask", "mask", wanted.mask, area, **options))
    digests = [digest for result in results for digest in result.digests]
    arrays = [array for result in results for array in result.arrays]
    named = {"sha256": digests[0], "mask_sha256": digests[1] if len(digests) > 1 else None}
    notes = [note for result in results for note in result.notes]
    pixels = dict(zip(digests, arrays, strict=True))
    return pixels, wanted.source.model_copy(update=named), notes


async def _read_whole(intake: Intake, wanted: Wanted) -> list[Result]:
    """Picture and mask at the picture's own size."""
    assert wanted.mask is not None
    picture = await intake.run("whole", wanted.field, wanted.image, 3 * PIXELS_MAX)
    height, width = picture.arrays[0].shape[:2]
    names = ("mask_sha256", "mask_blur", "mask_blur_y", "mask_padding", "only_masked")
    options = {
        "width": width,
        "height": height,
        "by": wanted.mask_by,
        "invert": wanted.invert,
        "masking": {name: getattr(wanted.source, name) for name in names},
        "drawn": (wanted.width, wanted.height),
    }
    return [picture, await intake.run("part", "mask", wanted.mask, width * height, **options)]


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

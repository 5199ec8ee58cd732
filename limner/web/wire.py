"""The vendor's fields: names, aliases, ranges and defaults, and the way to a ``Generation``."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from limner import imaging
from limner.domain import schedulers
from limner.domain.params import PROMPT_LENGTH_MAX, Generation, NoiseSource, ResizeMode, Source
from limner.domain.params import SEED_MAX as SEED_64_MAX
from limner.engine.request import Pixels
from limner.errors import InvalidInput, UnknownScheduler
from limner.settings import Settings
from limner.web.fields import Blob, Choice, Flag, Number, Reader, Text, Whole, read, shown

STEPS_MIN, STEPS_MAX = 20, 100
SAMPLES_MAX = 4
SEED_MAX = 999_999_999_999_999
SIDE_MIN, SIDE_MAX, SIDE_STEP = 512, 1024, 64
DEFAULT_SCHEDULER: schedulers.SchedulerName = "UniPC"

_SIDE = Whole(SIDE_MIN, SIDE_MAX, SIDE_STEP)
_NAME_MAX = 100

READERS: Mapping[str, Reader] = {
    "prompt": Text(1, PROMPT_LENGTH_MAX),
    "negative_prompt": Text(0, PROMPT_LENGTH_MAX),
    "scheduler": Text(0, _NAME_MAX),
    "num_inference_steps": Whole(STEPS_MIN, STEPS_MAX),
    "guidance_scale": Number(0.1, 25),
    "samples": Whole(1, SAMPLES_MAX),
    "seed": Whole(-1, SEED_MAX),
    "img_width": _SIDE,
    "img_height": _SIDE,
    "base64": Flag(),
    # Ours, beyond the vendor's page:
    "image": Blob(),
    "mask": Blob(),
    "strength": Number(0, 1),
    "resize_mode": Choice(get_args(ResizeMode)),
    "mask_blur": Whole(0, 64),
    "output": Choice(("single", "grid", "sprite")),
    "output_format": Choice(("jpeg", "png", "webp")),
    "metadata": Flag(),
    "exact": Flag(),
    "noise_source": Choice(get_args(NoiseSource)),
    "clip_skip": Whole(1, 12),
    "subseed": Whole(-1, SEED_64_MAX),
    "subseed_strength": Number(0, 1),
}
ALIASES: Mapping[str, str] = {
    "negativePrompt": "negative_prompt",
    "width": "img_width",
    "height": "img_height",
    "steps": "num_inference_steps",
    "imageUrl": "image",
    "maskUrl": "mask",
}
# What acts only beside ``image``.
_WITH_IMAGE = ("mask", "strength", "resize_mode", "mask_blur")


@dataclass(frozen=True)
class Call:
    """One request as the wire meant it: what to draw, and how to answer."""

    generation: Generation
    notes: tuple[str, ...]
    pixels: Mapping[str, Pixels] = field(default_factory=dict)
    base64: bool = False
    grid: bool = False
    sprite: bool = False
    mixed: bool = False
    metadata: bool = True
    format: imaging.Format = "jpeg"


async def to_call(
    body: Mapping[str, Any],
    settings: Settings,
    *,
    mixed: bool = False,
    draw_seed: Callable[[int], int] = secrets.randbelow,
    readers: Mapping[str, Reader] = READERS,
) -> Call:
    """What a body asks for. ``mixed``: the client takes several pictures in one answer.

    ``draw_seed(n)`` gives a number below n where the seed is left to chance. Raises
    ``InvalidInput`` for a field the caller can correct.
    """
    values, notes = read(readers, ALIASES, body)
    if "prompt" not in values:
        raise InvalidInput(
            "prompt", f"prompt is missing; it must be text of 1 to {PROMPT_LENGTH_MAX:,} characters"
        )
    notes += _drop_without_image(values)
    scheduler = _scheduler(values, settings, notes)
    encoded = values.get("base64", settings.base64_default)
    output = values.get("output", "single")
    grid = output == "grid"
    if output == "sprite" and values.setdefault("output_format", "png") != "png":
        values["output_format"] = "png"
        notes.append("output_format was ignored: sprites are PNG")
    pixels, source = await _source(values, scheduler)
    return Call(
        generation=Generation(
            prompt=values["prompt"],
            negative_prompt=values.get("negative_prompt", ""),
            scheduler=scheduler,
            steps=values.get("num_inference_steps", 20),
            guidance=values.get("guidance_scale", 7.5),
            samples=_samples(values, notes, all_fit=encoded or grid or mixed),
            seed=_seed(values.get("seed", -1), draw_seed),
            width=values.get("img_width", 512),
            height=values.get("img_height", 512),
            clip_skip=values.get("clip_skip", 1),
            subseed=_seed(values.get("subseed", -1), draw_seed) if "subseed" in values else 0,
            subseed_strength=values.get("subseed_strength", 0.0),
            noise_source=values.get("noise_source", "philox"),
            exact=values.get("exact", False),
            source=source,
        ),
        notes=tuple(notes),
        pixels=pixels,
        base64=encoded,
        grid=grid,
        sprite=output == "sprite",
        mixed=mixed and not encoded and not grid,
        metadata=values.get("metadata", settings.embed_metadata),
        format=values.get("output_format", "jpeg"),
    )


def _drop_without_image(values: dict[str, Any]) -> list[str]:
    if "image" in values:
        return []
    dropped = [name for name in _WITH_IMAGE if name in values]
    for name in dropped:
        del values[name]
    return [f"{name} was ignored: it acts only where image is present" for name in dropped]


def _scheduler(
    values: Mapping[str, Any], settings: Settings, notes: list[str]
) -> schedulers.SchedulerName:
    given = values.get("scheduler", DEFAULT_SCHEDULER)
    found = schedulers.find(given)
    if found:
        return found
    known = ", ".join(schedulers.SCHEDULER_NAMES)
    if settings.strict:
        raise UnknownScheduler(
            "scheduler", f"scheduler is {shown(given)}; it must be one of {known}"
        )
    notes.append(f"scheduler {shown(given)} is unknown; {DEFAULT_SCHEDULER} was used")
    return DEFAULT_SCHEDULER


def _samples(values: Mapping[str, Any], notes: list[str], *, all_fit: bool) -> int:
    samples: int = values.get("samples", 1)
    if samples == 1 or all_fit:
        return samples
    notes.append(
        f"one of {samples} samples was drawn and billed: this answer holds one picture; for all, "
        "send base64 true, output grid, or the header Accept: multipart/mixed"
    )
    return 1


def _seed(seed: int, draw_seed: Callable[[int], int]) -> int:
    return draw_seed(SEED_MAX + 1) if seed == -1 else seed


async def _source(
    values: Mapping[str, Any], scheduler: schedulers.SchedulerName
) -> tuple[dict[str, Pixels], Source | None]:
    if "image" not in values:
        return {}, None
    steps = values.get("num_inference_steps", 20)
    strength = values.get("strength", 0.75)
    if schedulers.steps_run(scheduler, steps, strength) == 0:
        raise InvalidInput(
            "strength",
            f"strength is {strength:g}, which leaves none of {steps} steps to run; "
            f"at least {1 / steps + 0.0005:.3f} would do",
        )
    image = await asyncio.to_thread(_pixels, "image", values["image"])
    pixels = {_digest(image): image}
    mask = None
    if "mask" in values:
        mask = await asyncio.to_thread(_pixels, "mask", values["mask"])
        pixels[_digest(mask)] = mask
    return pixels, Source(
        sha256=_digest(image),
        strength=strength,
        resize_mode=values.get("resize_mode", "crop"),
        mask_sha256=None if mask is None else _digest(mask),
        mask_blur=values.get("mask_blur", 0),
    )


def _pixels(name: str, value: str | bytes) -> Pixels:
    if isinstance(value, str):
        if value[:8].lower().startswith(("http://", "https://")):
            raise InvalidInput(
                name, f"{name} is a URL; this server takes base64 or a data URI, and fetches none"
            )
        value = imaging.parse_base64(value, name)
    return imaging.read_mask(value, name) if name == "mask" else imaging.read_image(value, name)


def _digest(pixels: Pixels) -> str:
    return hashlib.sha256(pixels.tobytes()).hexdigest()

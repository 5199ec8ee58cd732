"""Refusals in the caller's words: a field is named as the body named it, not as we do inside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from limner.errors import InvalidInput

# A ``Generation``'s fields, where a surface has other names for them.
WIRE: Mapping[str, str] = {
    "steps": "num_inference_steps",
    "guidance": "guidance_scale",
    "width": "img_width",
    "height": "img_height",
}
AUTOMATIC1111: Mapping[str, str] = {
    "guidance": "cfg_scale",
    "strength": "denoising_strength",
    "sampler": "sampler_name",
    "scheduler": "sampler_name",
    "schedule": "scheduler",
    "hires.upscaler": "hr_upscaler",
    "hires.strength": "denoising_strength",
    "hires.prompt": "hr_prompt",
    "hires.negative_prompt": "hr_negative_prompt",
    "hires.guidance": "hr_cfg",
    "sd_upscale.upscaler": "script_args.2",
    "clip_skip": "CLIP_stop_at_last_layers",
}


def of_surface(surface: str) -> Mapping[str, str]:
    """The names of a surface, by what its orders say that they came through."""
    return AUTOMATIC1111 if surface == "automatic1111" else WIRE


def written(body: Mapping[str, object], aliases: Mapping[str, str]) -> dict[str, str]:
    """The name that a body uses for each of a ``Generation``'s fields, and for its own ones."""
    short = {own: alias for alias, own in aliases.items() if alias in body and own not in body}
    return {**short, **{ours: short.get(own, own) for ours, own in WIRE.items()}}


@contextmanager
def named(names: Mapping[str, str]) -> Iterator[None]:
    """A refusal from within names its field by ``names``, also where its sentence begins."""
    try:
        yield
    except InvalidInput as error:
        name = names.get(error.field, error.field)
        if name != error.field:
            rest = str(error).removeprefix(error.field)
            error.args = (name + rest if rest != str(error) else str(error),)
            error.field = name
        raise

"""AUTOMATIC1111's hires fix: ``enable_hr`` and the fields beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from limner.domain import automatic1111
from limner.domain.hires import Hires
from limner.domain.params import SIDE_MAX, SIDE_MIN, STEPS_MAX
from limner.errors import InvalidInput
from limner.web.automatic1111.sides import floored
from limner.web.reading import ranges
from limner.web.reading.fields import Flag, Number, Reader, Text, Whole, cut
from limner.web.reading.hires import SCALE_MAX, second_pass

_NAME = Text(0, 100)
ENABLED = "enable_hr"
READERS: Mapping[str, Reader] = {
    ENABLED: Flag(),
    "denoising_strength": Number(0, 1),
    "hr_scale": Number(1, SCALE_MAX),
    "hr_upscaler": _NAME,
    "hr_second_pass_steps": Whole(0, STEPS_MAX),
    "hr_resize_x": Whole(0, SIDE_MAX),
    "hr_resize_y": Whole(0, SIDE_MAX),
    "hr_sampler_name": _NAME,
    "hr_scheduler": _NAME,
    "hr_prompt": ranges.MAYBE_PROMPT,
    "hr_negative_prompt": ranges.MAYBE_PROMPT,
    "hr_cfg": ranges.GUIDANCE,
    "hr_checkpoint_name": Text(0, 500),
}
DEFAULTS: Mapping[str, Any] = {"denoising_strength": 0.75, "hr_scale": 2.0, "hr_upscaler": "Latent"}
_SIDES = {"width": "hr_resize_x", "height": "hr_resize_y"}
_UPSCALERS = {"None": "Lanczos", "": "Latent"}
_SAME = frozenset({"", "Use same sampler", "Use same scheduler", "Use same checkpoint"})
_NAMES = {
    "hires.upscaler": "hr_upscaler",
    "hires.sampler": "hr_sampler_name",
    "hires": "hr_scale",
}


def idle(name: str, body: Mapping[str, Any]) -> bool:
    """Whether a field of ``body`` asks for nothing, since no second pass is wanted."""
    if "init_images" in body or body.get(ENABLED):
        return False
    return name == "denoising_strength" or name.startswith(("hr_", "firstphase_"))


def read(values: Mapping[str, Any], width: int, height: int, notes: list[str]) -> Hires | None:
    """The second pass of a picture of this size; None where it is not enabled.

    Raises ``InvalidInput`` of the field that cannot be; ``notes`` has what is ignored.
    """
    if not values.get(ENABLED):
        return None
    if values.get("hr_checkpoint_name", "") not in _SAME:
        notes.append(
            f"hr_checkpoint_name {cut(values['hr_checkpoint_name'])} was ignored; both passes are "
            "drawn with the same checkpoint"
        )
    upscaler = values["hr_upscaler"]
    given = {
        **_size(values, notes),
        "upscaler": _UPSCALERS.get(upscaler, upscaler),
        "strength": values["denoising_strength"],
        "steps": values.get("hr_second_pass_steps") or None,
        "prompt": values.get("hr_prompt") or None,
        "negative_prompt": values.get("hr_negative_prompt") or None,
        "guidance": values.get("hr_cfg"),
        **_method(values, notes),
    }
    said = {name: value for name, value in given.items() if value is not None}
    try:
        return second_pass(said, width, height)
    except InvalidInput as error:
        field = _NAMES.get(error.field, error.field)
        raise InvalidInput(field, f"{field}: {error}") from error


def _size(values: Mapping[str, Any], notes: list[str]) -> dict[str, Any]:
    """A side of 0 is none; another is floored, and that is told."""
    given = {side: name for side, name in _SIDES.items() if values.get(name)}
    for name in given.values():
        if values[name] < SIDE_MIN:
            raise InvalidInput(
                name, f"{name} is {values[name]}; it must be 0, or {SIDE_MIN} to {SIDE_MAX}"
            )
    named = {side: floored(name, values[name], notes) for side, name in given.items()}
    return named or {"scale": values["hr_scale"]}


def _method(values: Mapping[str, Any], notes: list[str]) -> dict[str, Any]:
    """Sampler and schedule where they are not the first pass's."""
    sampler, schedule = values.get("hr_sampler_name", ""), values.get("hr_scheduler", "")
    if sampler in _SAME and schedule in _SAME:
        return {}
    first = values.get("sampler_name") or values["sampler_index"]
    named = first if sampler in _SAME else sampler
    spaced = values["scheduler"] if schedule in _SAME else schedule
    method = automatic1111.find(named, spaced)
    notes += method.notes
    if "scheduler" not in method.fields:
        return dict(method.fields)
    if named != first:
        notes.append(f"hr_sampler_name {cut(named)} was ignored; the first pass's was used")
    return {}

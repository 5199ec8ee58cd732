"""What AUTOMATIC1111's ``img2img`` starts from: a picture, and what of it a mask repaints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from limner.domain.masking import BLUR_MAX, FILLS, PADDING_MAX, Masking
from limner.domain.params import NOISE_MULTIPLIER_MAX, SIDE_MULTIPLE, ResizeMode, Source
from limner.errors import InvalidInput
from limner.web.reading import inputs, naming
from limner.web.reading.fields import Bit, Blob, Flag, Items, Number, Reader, Whole

READERS: Mapping[str, Reader] = {
    "init_images": Items(Blob(), 16),
    "mask": Blob(),
    "denoising_strength": Number(0, 1),
    "resize_mode": Whole(0, 3),
    "mask_blur": Whole(0, BLUR_MAX),
    "mask_blur_x": Whole(0, BLUR_MAX),
    "mask_blur_y": Whole(0, BLUR_MAX),
    "inpainting_fill": Whole(0, 3),
    "inpainting_mask_invert": Bit(),
    "inpaint_full_res": Flag(),
    "inpaint_full_res_padding": Whole(0, PADDING_MAX),
    "initial_noise_multiplier": Number(0, NOISE_MULTIPLIER_MAX),
    "include_init_images": Flag(),
}
DEFAULTS: Mapping[str, Any] = {
    "resize_mode": 0,
    "mask_blur_x": 4,
    "mask_blur_y": 4,
    "inpainting_fill": 0,
    "inpainting_mask_invert": 0,
    "inpaint_full_res": True,
    "inpaint_full_res_padding": 0,
    "include_init_images": False,
}
_RESIZE: Mapping[int, ResizeMode] = {0: "stretch", 1: "crop", 2: "fill", 3: "stretch"}


def wanted(values: Mapping[str, Any], notes: list[str], *, ruled: bool) -> inputs.Wanted:
    """What img2img starts from, unread. ``ruled``: one step runs always."""
    if not values.get("init_images"):
        raise InvalidInput("init_images", "init_images is missing; send a list of one picture")
    if len(values["init_images"]) > 1:
        notes.append(f"one of {len(values['init_images'])} init_images was used")
    strength, mask = values["denoising_strength"], values.get("mask")
    if not ruled:
        with naming.named(naming.AUTOMATIC1111):
            inputs.check_strength(values["steps"], strength)
    if values["resize_mode"] == 3:
        notes.append("resize_mode 3 (latent) was done as 0, in pixels")
    masking = Masking() if mask is None else _masking(values)
    return inputs.Wanted(
        Source(
            sha256=inputs.UNREAD,
            strength=strength,
            resize_mode=_RESIZE[values["resize_mode"]],
            noise_multiplier=values.get("initial_noise_multiplier", 1.0),
            **masking.model_dump(),
        ),
        values["init_images"][0],
        _floored(values["width"]),
        _floored(values["height"]),
        field="init_images",
        mask=mask,
        mask_by="painted",
        invert=bool(values["inpainting_mask_invert"]),
    )


def _floored(pixels: int) -> int:
    return pixels - pixels % SIDE_MULTIPLE


def _masking(values: Mapping[str, Any]) -> Masking:
    """``mask_blur`` says both of the blur's directions, where it is given."""
    across, down = (values.get("mask_blur", values[f"mask_blur_{side}"]) for side in "xy")
    return Masking(
        mask_sha256=inputs.UNREAD,
        mask_blur=across,
        mask_blur_y=None if down == across else down,
        mask_fill=FILLS[values["inpainting_fill"]],
        only_masked=values["inpaint_full_res"],
        mask_padding=values["inpaint_full_res_padding"],
    )

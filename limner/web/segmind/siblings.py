"""The vendor's img2img routes beside the model's own: what each takes, and its defaults.

All draw with the one loaded checkpoint, in the same batches as everybody else.
"""

from __future__ import annotations

from collections.abc import Mapping

from limner.domain.controls import WEIGHT_MAX, WORDS
from limner.web.reading.fields import Number, Reader, Whole
from limner.web.reading.form import DEFAULTS, READERS, SIDE_MAX, SIDE_MIN, Form
from limner.web.reading.inputs import MASK_ONLY, MASK_READERS

CANVAS_SIDE = 768
OFFSET_MAX = 1024
MASK_EXPAND_MAX = 256

# Clients send sizes such as 626: they are floored to a multiple of 8, and told.
_SIDE = Whole(SIDE_MIN, SIDE_MAX)
_READERS: Mapping[str, Reader] = {**READERS, "img_width": _SIDE, "img_height": _SIDE}
_DEFAULTS = {**DEFAULTS, "scheduler": "DDIM", "strength": 1.0}


def _without(*names: str) -> dict[str, Reader]:
    return {name: reader for name, reader in _READERS.items() if name not in names}


MASKING = ("mask", *MASK_READERS)

# ``strength`` is the control's weight, and the picture's size is that of ``image``.
_FOLLOWING = {
    **_without(*MASKING, "img_width", "img_height", "resize_mode", "controls"),
    "strength": Number(0, WEIGHT_MAX),
}

FORMS: Mapping[str, Form] = {
    **{
        f"sd1.5-controlnet-{kind}": Form(
            _FOLLOWING, {**DEFAULTS, "strength": 1.0}, ("image", "prompt"), control=kind
        )
        for kind in WORDS
    },
    "sd1.5-img2img": Form(_without(*MASKING), _DEFAULTS, ("image", "prompt")),
    "sd1.5-inpainting": Form(_READERS, _DEFAULTS, ("image", "mask", "prompt")),
    "sd1.5-outpaint": Form(
        {
            **_without("mask", "resize_mode", *MASK_ONLY),
            "scale": Number(0.1, 10),
            "offset_x": Whole(0, OFFSET_MAX),
            "offset_y": Whole(0, OFFSET_MAX),
            "mask_expand": Whole(0, MASK_EXPAND_MAX),
        },
        {
            **_DEFAULTS,
            "num_inference_steps": 25,
            "img_width": CANVAS_SIDE,
            "img_height": CANVAS_SIDE,
            "scale": 0.2,
            "offset_x": 0,
            "offset_y": 0,
            "mask_expand": 8,
        },
        ("image", "prompt"),
    ),
}

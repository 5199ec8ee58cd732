"""The form of Limner's own calls and of the terminal: the engine's limits, and presets.

The vendor's routes are narrower: 20 to 100 steps, at most four samples, sides from 512.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from limner.domain.params import (
    PROMPT_LENGTH_MAX,
    SAMPLES_MAX,
    SEED_MAX,
    SIDE_MAX,
    SIDE_MIN,
    SIDE_MULTIPLE,
    STEPS_MAX,
)
from limner.web.fields import Choice, Number, Reader, Text, Whole
from limner.web.wire import DEFAULTS, READERS, Form

# Guidance and steps that the guide to RPG V4 names for easy, medium and hard prompts.
PRESETS: Mapping[str, Mapping[str, Any]] = {
    "easy": {"guidance_scale": 3.0, "num_inference_steps": 50},
    "medium": {"guidance_scale": 4.5, "num_inference_steps": 75},
    "hard": {"guidance_scale": 6.0, "num_inference_steps": 150},
}
_SIDE = Whole(SIDE_MIN, SIDE_MAX, SIDE_MULTIPLE)
_READERS: Mapping[str, Reader] = {
    **READERS,
    "num_inference_steps": Whole(1, STEPS_MAX),
    "guidance_scale": Number(0, 100),
    "samples": Whole(1, SAMPLES_MAX),
    "seed": Whole(-1, SEED_MAX),
    "img_width": _SIDE,
    "img_height": _SIDE,
    "preset": Choice(tuple(PRESETS)),
}
FORM = Form(_READERS, DEFAULTS, presets=PRESETS)
# Nothing is drawn from what is only explained, so the prompt may be empty.
EXPLAINED = Form({**_READERS, "prompt": Text(0, PROMPT_LENGTH_MAX)}, DEFAULTS, presets=PRESETS)

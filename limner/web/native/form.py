"""The form of Limner's own calls and of the terminal: the engine's limits, and presets.

The vendor's routes are narrower: 20 to 100 steps, at most four samples, sides from 512.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from limner.web.reading import ranges
from limner.web.reading.fields import Choice, Reader
from limner.web.reading.form import DEFAULTS, READERS, Form

# Guidance and steps that the guide to RPG V4 names for easy, medium and hard prompts.
PRESETS: Mapping[str, Mapping[str, Any]] = {
    "easy": {"guidance_scale": 3.0, "num_inference_steps": 50},
    "medium": {"guidance_scale": 4.5, "num_inference_steps": 75},
    "hard": {"guidance_scale": 6.0, "num_inference_steps": 150},
}
_READERS: Mapping[str, Reader] = {
    **READERS,
    "num_inference_steps": ranges.STEPS,
    "guidance_scale": ranges.GUIDANCE,
    "samples": ranges.SAMPLES,
    "seed": ranges.SEED,
    "img_width": ranges.SIDE,
    "img_height": ranges.SIDE,
    "preset": Choice(tuple(PRESETS)),
}
FORM = Form(_READERS, DEFAULTS, presets=PRESETS, vendors_steps=False)
# Nothing is drawn from what is only explained, so the prompt may be empty.
EXPLAINED = Form(
    {**_READERS, "prompt": ranges.MAYBE_PROMPT},
    DEFAULTS,
    presets=PRESETS,
    tags=False,
    vendors_steps=False,
)
# Other programs draw from an empty prompt.
FOREIGN = replace(FORM, readers={**_READERS, "prompt": ranges.MAYBE_PROMPT})

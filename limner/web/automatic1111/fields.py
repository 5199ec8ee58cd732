"""The fields of AUTOMATIC1111's ``txt2img`` and ``img2img``, each with its reader."""

from __future__ import annotations

from collections.abc import Mapping

from limner.domain import samplers
from limner.web.automatic1111 import hires, sd_upscale, sources
from limner.web.reading import guidance, ranges, tiling
from limner.web.reading.fields import (
    Flag,
    Items,
    Number,
    Object,
    Reader,
    Text,
)
from limner.web.reading.mixing import Mix
from limner.web.reading.regions import REGIONS

_NAME = Text(0, 100)

_COMMON: Mapping[str, Reader] = {
    "prompt": ranges.MAYBE_PROMPT,
    "negative_prompt": ranges.MAYBE_PROMPT,
    "styles": Items(_NAME, 32),
    "seed": ranges.SEED,
    "subseed": ranges.SEED,
    "subseed_strength": Number(0, 1),
    "steps": ranges.STEPS,
    "cfg_scale": ranges.GUIDANCE,
    "width": ranges.ANY_SIDE,
    "height": ranges.ANY_SIDE,
    "batch_size": ranges.SAMPLES,
    "n_iter": ranges.SAMPLES,
    "sampler_name": _NAME,
    "sampler_index": _NAME,
    "scheduler": _NAME,
    "eta": Number(*samplers.OPTIONS["eta"]),
    "s_churn": Number(*samplers.OPTIONS["s_churn"]),
    "s_noise": Number(*samplers.OPTIONS["s_noise"]),
    "s_tmin": Number(*samplers.OPTIONS["s_tmin"]),
    "s_tmax": Number(*samplers.OPTIONS["s_tmax"]),
    "override_settings": Object(),
    "alwayson_scripts": Object(),
    "send_images": Flag(),
    # Limner's own, as on every surface.
    "style_mix": Mix(),
    "template": Flag(),
    **guidance.READERS,
    **tiling.READERS,
    "regions": REGIONS,
}
TXT2IMG: Mapping[str, Reader] = {**_COMMON, **hires.READERS}
IMG2IMG: Mapping[str, Reader] = {
    **_COMMON,
    **sources.READERS,
    **sd_upscale.READERS,
}

"""A ``Generation`` of a body's values after defaults."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from limner.domain.params import Generation
from limner.web.reading import controls, guidance, hires, parts, regions, sampling, tiling

SEED_MAX = 999_999_999_999_999  # of the vendor's calls, and of those that are left to chance


def generation_of(values: Mapping[str, Any], draw_seed: Callable[[int], int]) -> Generation:
    """``draw_seed(n)`` gives a number below n where a seed is left to chance."""
    return Generation(
        prompt=values["prompt"],
        negative_prompt=values["negative_prompt"],
        **sampling.chosen(values),
        steps=values["num_inference_steps"],
        guidance=values["guidance_scale"],
        **guidance.chosen(values),
        samples=values["samples"],
        seed=_seed(values["seed"], draw_seed),
        width=values["img_width"],
        height=values["img_height"],
        clip_skip=values["clip_skip"],
        subseed=_seed(values["subseed"], draw_seed),
        subseed_strength=values["subseed_strength"],
        eta_noise_seed_delta=values["eta_noise_seed_delta"],
        noise_source=values["noise_source"],
        exact=values["exact"],
        source=values["source"],
        loras=values["loras"],
        controls=controls.unread(values["controls"]),
        embeddings=None,
        regions=regions.unread(values["regions"]),
        hires=hires.chosen(values),
        **parts.chosen(values),
        **tiling.chosen(values),
    )


def _seed(seed: int, draw_seed: Callable[[int], int]) -> int:
    return draw_seed(SEED_MAX + 1) if seed == -1 else seed

"""Pictures by LCM and TCD, all in one batch, beside diffusers' pipelines with their schedulers."""

from __future__ import annotations

import hashlib
import itertools
import time
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    DDIMScheduler,
    LCMScheduler,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionPipeline,
    TCDScheduler,
)
from PIL import Image

from limner.domain.params import Source
from limner.domain.schedulers import BETAS
from limner.engine.batching.loop import ThreadEngine
from limner.engine.batching.request import Request
from limner.engine.checkpoints.weights import Checkpoint
from tests.engine.factories import Collector, make_generation
from tests.engine.sampling.test_img2img import draw

Array = np.ndarray[Any, Any]
NEAR = 2  # 255ths
MADE = {"LCM": LCMScheduler, "TCD": TCDScheduler}
PROMPT, NEGATIVE = "knight with red armor, desert background", "blue"
# With the unconditional prompt and without; from noise and from a picture.
CASES = list(itertools.product(MADE, (1.0, 2.0), (None, 0.5)))
FEW = [("LCM", 1.0, None), ("TCD", 2.0, 0.5)]


def picture(side: int) -> Array:
    coarse = np.random.default_rng(4).integers(0, 256, (8, 8, 3), np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC))


def request(sampler: Any, guidance: float, strength: float | None, side: int) -> Request:
    named, source = {}, None
    if strength is not None:
        pixels = picture(side)
        named = {hashlib.sha256(pixels.tobytes()).hexdigest(): pixels}
        source = Source(sha256=next(iter(named)), strength=strength)
    generation = make_generation(
        PROMPT, negative_prompt=NEGATIVE, sampler=sampler, steps=4, guidance=guidance, seed=5,
        width=side, height=side, noise_source="torch-cpu", source=source,
    )  # fmt: skip
    return Request(f"few-{time.monotonic_ns()}", generation, "a", Collector(), named)


def oracle(
    untouched: Checkpoint, sampler: str, guidance: float, strength: float | None, side: int
) -> Array:
    kind: Any = StableDiffusionPipeline if strength is None else StableDiffusionImg2ImgPipeline
    made = kind(
        vae=untouched.vae, text_encoder=untouched.text_encoder, tokenizer=untouched.tokenizer,
        unet=untouched.unet, scheduler=DDIMScheduler(), safety_checker=None,
        feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    made.scheduler = MADE[sampler](**BETAS)
    made.set_progress_bar_config(disable=True)
    size: dict[str, Any] = {"width": side, "height": side}
    source = {"image": Image.fromarray(picture(side)), "strength": strength}
    drawn = made(
        PROMPT, negative_prompt=NEGATIVE, num_inference_steps=4, guidance_scale=guidance,
        generator=torch.Generator().manual_seed(5), output_type="np",
        **({"eta": 0.3} if sampler == "TCD" else {}), **(size if strength is None else source),
    ).images[0]  # fmt: skip
    return np.round(drawn * 255)


def check(engine: ThreadEngine, untouched: Checkpoint, cases: list[Any], side: int) -> None:
    pictures = draw(engine, [request(*case, side) for case in cases])
    for case, ours in zip(cases, pictures, strict=True):
        assert np.abs(ours - oracle(untouched, *case, side)).max() <= NEAR, case


def test_some_are_those_of_diffusers(engine: ThreadEngine, untouched: Checkpoint) -> None:
    check(engine, untouched, FEW, 64)


@pytest.mark.slow
def test_they_are_those_of_diffusers(engine: ThreadEngine, untouched: Checkpoint) -> None:
    check(engine, untouched, CASES, 256)

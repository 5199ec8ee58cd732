"""img2img and inpainting through the whole engine, all in one batch, against diffusers' pipelines.

Prompts, guidance and the mask are real ones; the pipelines draw one picture at a time.
"""

from __future__ import annotations

import hashlib
import itertools
import time
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionImg2ImgPipeline, StableDiffusionInpaintPipeline, schedulers
from PIL import Image

from limner.domain.params import Source
from limner.domain.schedulers import BETAS, SCHEDULER_NAMES, SPECS
from limner.engine.batching.loop import ThreadEngine
from limner.engine.batching.request import Request
from limner.engine.batching.ticket import Drawn
from limner.engine.checkpoints.weights import Checkpoint
from limner.engine.sampling import latents
from tests.engine.factories import Collector, make_generation, submit
from tests.engine.sampling.plain import OURS

Array = np.ndarray[Any, Any]
# A size the model knows: at 128 diffusers differs by 6 from itself on another thread count.
SIDE, STEPS, GUIDANCE = 512, 10, 6.0
PROMPT, NEGATIVE = "knight with red armor, desert background", "blue"
STRENGTHS = (0.3, 0.5, 0.75, 1.0)
ALL = [
    (name, strength)
    for name, strength in itertools.product(SCHEDULER_NAMES, STRENGTHS)
    if name not in OURS or strength == 1  # test_samplers has another oracle for them
]


@pytest.fixture(scope="module")
def picture() -> Array:
    coarse = np.random.default_rng(4).integers(0, 256, (8, 8, 3), np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC))


@pytest.fixture(scope="module")
def mask() -> Array:
    y, x = np.mgrid[:SIDE, :SIDE]
    return np.where((x - 240) ** 2 + (y - 280) ** 2 < 160**2, np.uint8(255), np.uint8(0))


def requests(cases: list[tuple[str, float]], *pixels: Array) -> list[Request]:
    named = {hashlib.sha256(each.tobytes()).hexdigest(): each for each in pixels}
    names = dict(zip(("sha256", "mask_sha256"), named, strict=False))
    return [
        Request(
            f"same-{time.monotonic_ns()}",
            make_generation(
                PROMPT, negative_prompt=NEGATIVE, scheduler=name, steps=STEPS, guidance=GUIDANCE,
                seed=5, width=SIDE, height=SIDE, noise_source="torch-cpu",
                source=Source(**names, strength=strength),
            ),
            "a",
            Collector(),
            named,
        )
        for name, strength in cases
    ]  # fmt: skip


def draw(engine: ThreadEngine, batch: list[Request]) -> list[Array]:
    for request in batch:
        submit(engine, request)
    ends = [request.sink.wait(600.0)[0] for request in batch]  # type: ignore[attr-defined]
    assert all(isinstance(end, Drawn) for end in ends), ends
    return [end.pixels for end in ends]


def pipeline(kind: Any, untouched: Checkpoint, name: str) -> Any:
    made = kind(
        vae=untouched.vae,
        text_encoder=untouched.text_encoder,
        tokenizer=untouched.tokenizer,
        unet=untouched.unet,
        scheduler=schedulers.DDIMScheduler(steps_offset=1, clip_sample=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    # Set afterwards: the pipeline's constructor would change DDPM's steps_offset to 1.
    spec = SPECS[name]  # type: ignore[index]
    made.scheduler = getattr(schedulers, spec.class_name)(**BETAS, **spec.arguments)
    made.set_progress_bar_config(disable=True)
    return made


def oracle(untouched: Checkpoint, name: str, strength: float, *pixels: Array) -> Array:
    kind = StableDiffusionImg2ImgPipeline if len(pixels) == 1 else StableDiffusionInpaintPipeline
    fields: dict[str, Any] = {"image": Image.fromarray(pixels[0])}
    if len(pixels) == 2:
        fields |= {"mask_image": Image.fromarray(pixels[1]), "width": SIDE, "height": SIDE}
    drawn = pipeline(kind, untouched, name)(
        PROMPT, negative_prompt=NEGATIVE, num_inference_steps=STEPS, guidance_scale=GUIDANCE,
        strength=strength, generator=torch.Generator().manual_seed(5), output_type="np", **fields,
    ).images[0]  # fmt: skip
    rounded = np.round(drawn * 255).astype(np.uint8)
    return rounded if len(pixels) == 1 else latents.overlay(rounded, *pixels)


def check(engine: Any, untouched: Any, cases: list[tuple[str, float]], *pixels: Array) -> None:
    for case, ours in zip(cases, draw(engine, requests(cases, *pixels)), strict=True):
        theirs = oracle(untouched, *case, *pixels)
        assert np.abs(ours.astype(int) - theirs.astype(int)).max() <= 2, case


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_img2img_with_all_schedulers(engine: Any, untouched: Any, picture: Array) -> None:
    check(engine, untouched, ALL, picture)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_inpainting_with_all_schedulers(
    engine: Any, untouched: Any, picture: Array, mask: Array
) -> None:
    check(engine, untouched, ALL, picture, mask)

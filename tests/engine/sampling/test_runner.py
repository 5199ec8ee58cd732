"""Pictures through the real engine, against diffusers' own pipeline and against themselves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline, schedulers

from limner.domain.schedulers import BETAS, SCHEDULER_NAMES, SPECS
from limner.engine.batching.loop import ThreadEngine
from limner.engine.batching.request import Request
from limner.engine.batching.ticket import Drawn, Progress
from limner.engine.checkpoints.weights import Checkpoint
from limner.engine.sampling.runner import Runner
from tests.engine.factories import make_request, submit
from tests.waiting import wait_until

PROMPTS = [
    "knight with red armor, golden crown, desert background",
    "(blue mage:1.3) with a staff, [snow], night " + "and stars, " * 30,
    "dragon AND lava :0.7",
    "[elf:orc:0.5] with a bow, forest",
]


# The size that people ask for is sixty times the work and shows little else.
SIDES = [64, *(pytest.param(side, marks=pytest.mark.slow) for side in (128, 512))]


@pytest.fixture(scope="module")
def pipeline(untouched: Checkpoint) -> StableDiffusionPipeline:
    pipe = StableDiffusionPipeline(
        vae=untouched.vae,
        text_encoder=untouched.text_encoder,
        tokenizer=untouched.tokenizer,
        unet=untouched.unet,
        scheduler=schedulers.DDIMScheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def draw(engine: ThreadEngine, *requests: Request) -> list[np.ndarray[Any, Any]]:
    for request in requests:
        submit(engine, request)
    pictures = []
    for request in requests:
        for end in request.sink.wait():
            assert isinstance(end, Drawn), end
            pictures.append(end.pixels)
    return pictures


def oracle(pipe: StableDiffusionPipeline, request: Request) -> np.ndarray[Any, Any]:
    g = request.generation
    spec = SPECS[g.scheduler]
    pipe.scheduler = getattr(schedulers, spec.class_name)(**BETAS, **spec.arguments)
    return pipe(
        g.prompt,
        negative_prompt=g.negative_prompt,
        num_inference_steps=g.steps,
        guidance_scale=g.guidance,
        width=g.width,
        height=g.height,
        generator=torch.Generator().manual_seed(g.seed),
        output_type="np",
    ).images[0]


def apart(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> int:
    """Largest difference of two RGB pictures, in 255ths."""
    return int(np.abs(one.astype(int) - other.astype(int)).max())


def mixed(**fields: Any) -> list[Request]:
    """Requests that differ in scheduler, steps, guidance, prompt length and seed."""
    return [
        make_request(
            PROMPTS[n % 4],
            owner=f"key{n % 3}",
            scheduler=SCHEDULER_NAMES[n],
            steps=6 + n % 5,
            guidance=(1.0, 4.0, 7.5)[n % 3],
            seed=2**40 + n,
            negative_prompt=("", "red", "blurry, " * 40)[n % 3],
            **fields,
        )
        for n in range(12)
    ]


def check_against_pipeline(engine: Any, pipe: Any, steps: list[int], size: int) -> None:
    requests = [
        make_request(
            PROMPTS[0], scheduler=name, steps=count, guidance=6.5, negative_prompt="blue",
            seed=11, width=size, height=size, noise_source="torch-cpu",
        )
        for name in SCHEDULER_NAMES
        for count in steps
    ]  # fmt: skip
    for request, picture in zip(requests, draw(engine, *requests), strict=True):
        expected = np.round(oracle(pipe, request) * 255)
        g = request.generation
        assert apart(picture, expected) <= 2, (g.scheduler, g.steps)


@pytest.mark.slow
def test_all_schedulers_in_one_batch_equal_diffusers_pipeline(engine: Any, pipeline: Any) -> None:
    check_against_pipeline(engine, pipeline, [8], 128)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_all_schedulers_equal_diffusers_at_full_size(engine: Any, pipeline: Any) -> None:
    check_against_pipeline(engine, pipeline, [20, 37], 512)


@pytest.mark.parametrize("side", SIDES)
def test_strangers_do_not_change_a_picture(engine: ThreadEngine, side: int) -> None:
    size = {"width": side, "height": side}
    together = draw(engine, *mixed(**size))
    for request, shared in list(zip(mixed(**size), together, strict=True))[
        :: 1 if side > 64 else 5
    ]:
        (alone,) = draw(engine, request)
        np.testing.assert_array_equal(alone, shared, err_msg=str(request.generation))


@pytest.mark.slow
@pytest.mark.parametrize("side", [128, 512])
def test_exact_pictures_are_bit_equal_in_any_company(engine: ThreadEngine, side: int) -> None:
    size = {"width": side, "height": side}
    requests = mixed(exact=True, **size)[:6]
    strangers = mixed(**size)[6:]
    together = draw(engine, *requests, *strangers)
    for request, shared in zip(mixed(exact=True, **size)[:6], together, strict=False):
        (alone,) = draw(engine, request)
        np.testing.assert_array_equal(alone, shared, err_msg=str(request.generation))


def test_samples_use_consecutive_seeds(engine: ThreadEngine) -> None:
    fields = {"steps": 4, "width": 128, "height": 128, "exact": True}
    three = draw(engine, make_request(PROMPTS[0], seed=2**64 - 2, samples=3, **fields))
    single = [
        draw(engine, make_request(PROMPTS[0], seed=seed, **fields))[0]
        for seed in (2**64 - 2, 2**64 - 1, 0)
    ]
    np.testing.assert_array_equal(three, single)


def test_guidance_one_draws_the_conditional_row_alone(squire: Checkpoint) -> None:
    runner = Runner(squire, max_rows=8)
    counts = {g: runner.plan(make_request(guidance=g))[0].rows for g in (0.5, 1.0, 7.0)}
    assert counts == {0.5: 2, 1.0: 1, 7.0: 2}
    composed = runner.plan(make_request("a :0.5 AND b :0.5", guidance=1.0))[0]
    assert composed.rows == 2


@pytest.mark.slow
def test_previews_resemble_the_picture(squire: Checkpoint) -> None:
    request = make_request(PROMPTS[0], steps=12, width=256, height=256)
    request.watched = True
    # An engine of its own: previews learn from every picture that was drawn before.
    engine = ThreadEngine(lambda say, _: Runner(squire, max_rows=64))
    wait_until(lambda: engine.status().ready)
    (picture,) = draw(engine, request)
    engine.close()
    previews = [e.preview for e in request.sink.events if isinstance(e, Progress)][:-1]
    assert all(p is not None and p.shape == (16, 16, 3) for p in previews)
    small = picture.reshape(16, 16, 16, 16, 3).mean(axis=(1, 3))
    errors = [np.abs(p.astype(float) - small).mean() for p in previews]
    assert errors[-1] < 8
    assert errors[-1] < errors[0]


def test_rows_and_cost_are_those_of_the_next_evaluation(squire: Checkpoint) -> None:
    """Guidance that is off at the second of three evaluations leaves out the unconditional row."""
    runner = Runner(squire, max_rows=8)
    same = {"steps": 3, "scheduler": "Euler", "width": 64, "height": 64}
    image, plain, beside = (
        runner.plan(make_request(PROMPTS[0], guidance=g, **same))[0] for g in (7.5, 1.0, 4.0)
    )
    for one in (image, plain, beside):
        runner.prepare(one)
    off = plain.state.guidance.spans
    image.state.guidance = replace(
        image.state.guidance, spans=image.state.guidance.spans + off, span_of=(0, 1, 0)
    )
    seen = []
    while not image.finished:
        seen.append((image.rows, image.cost))
        runner.step([image, beside])
    assert seen == [(rows, rows * image.group.area) for rows in (2, 1, 2)]
    assert runner.facts(image).rows == 2

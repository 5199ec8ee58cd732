"""Models that read a mask and a masked picture, against diffusers' inpainting pipeline."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionInpaintPipeline, schedulers
from PIL import Image as Pillow

from limner.domain.params import Source
from limner.domain.schedulers import BETAS, SPECS, SchedulerName
from limner.engine.batching.image import Image
from limner.engine.batching.request import Request
from limner.engine.checkpoints import weights
from limner.engine.sampling import latents, throughput
from limner.engine.sampling.batch import Batch
from limner.engine.sampling.runner import Runner
from tests.engine import checkpoint_files
from tests.engine.factories import make_generation
from tests.engine.sampling.test_footprint import arrays_in

Array = np.ndarray[Any, Any]
SIDE, STEPS, GUIDANCE = 64, 3, 3.0
Case = tuple[SchedulerName, float | None, bool]
"""Scheduler, strength (None: from text alone), and whether there is a mask."""
CASES: list[Case] = [
    ("DDIM", 1.0, True),
    ("UniPC", 1.0, True),
    ("Euler a", 1.0, True),
    ("DDIM", 0.7, True),
    ("DPM2 a Karras", 0.7, True),
    ("UniPC", 0.4, True),
    ("Euler", 1.0, False),
    ("UniPC", 0.7, False),
    ("Heun", None, False),
    ("DDPM", None, False),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    shallow = checkpoint_files.SHALLOW
    shape = {**shallow, "unet": {**shallow["unet"], "in_channels": 9}}
    path = tmp_path_factory.mktemp("inpainting") / "tiny"
    return checkpoint_files.write_folder(path, checkpoint_files.models(shape))


@pytest.fixture(scope="module")
def runner(folder: Path) -> Runner:
    return Runner(weights.load(folder, device="cpu", dtype="float32"), max_rows=64)


@pytest.fixture(scope="module")
def pipeline(runner: Runner) -> Any:
    checkpoint = runner.checkpoint
    made = StableDiffusionInpaintPipeline(
        vae=checkpoint.vae,
        text_encoder=checkpoint.text_encoder,
        tokenizer=checkpoint.tokenizer,
        unet=checkpoint.unet,
        scheduler=schedulers.DDIMScheduler(steps_offset=1, clip_sample=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    made.set_progress_bar_config(disable=True)
    return made


@pytest.fixture(scope="module")
def picture() -> Array:
    return np.random.default_rng(4).integers(0, 256, (SIDE, SIDE, 3), np.uint8)


@pytest.fixture(scope="module")
def mask() -> Array:
    y, x = np.mgrid[:SIDE, :SIDE]
    return np.where((x - 30) ** 2 + (y - 25) ** 2 < 18**2, np.uint8(255), np.uint8(0))


def request(case: Case, picture: Array, mask: Array, **fields: Any) -> Request:
    name, strength, masked = case
    kept = [] if strength is None else [picture, mask] if masked else [picture]
    pixels = {hashlib.sha256(each.tobytes()).hexdigest(): each for each in kept}
    if strength is not None:
        names = dict(zip(("sha256", "mask_sha256"), pixels, strict=False))
        fields["source"] = Source(**names, strength=strength)
    generation = make_generation(
        "a knight", negative_prompt="blue", scheduler=name, steps=STEPS, guidance=GUIDANCE,
        seed=5, width=SIDE, height=SIDE, noise_source="torch-cpu", **fields,
    )  # fmt: skip
    return Request("same", generation, "a", lambda event: None, pixels)


def begun(runner: Runner, case: Case, picture: Array, mask: Array, **fields: Any) -> Image:
    [image] = runner.plan(request(case, picture, mask, **fields))
    runner.prepare(image)
    return image


def drawn(runner: Runner, images: list[Image]) -> list[torch.Tensor]:
    while running := [image for image in images if not image.finished]:
        runner.step(running)
    return [image.state.at(image.evaluations) for image in images]


def oracle(pipeline: Any, case: Case, picture: Array, mask: Array) -> torch.Tensor:
    """Without a mask, the pipeline repaints all."""
    name, strength, masked = case
    pipeline.scheduler = getattr(schedulers, SPECS[name].class_name)(
        **BETAS, **SPECS[name].arguments
    )
    return pipeline(
        "a knight",
        image=Pillow.fromarray(picture),
        mask_image=Pillow.fromarray(mask if masked else np.full_like(mask, 255)),
        strength=1.0 if strength is None else strength,
        negative_prompt="blue",
        num_inference_steps=STEPS,
        guidance_scale=GUIDANCE,
        width=SIDE,
        height=SIDE,
        generator=torch.Generator().manual_seed(5),
        output_type="latent",
    ).images.flatten()


@pytest.mark.slow
def test_each_equals_diffusers_pipeline_in_one_step_with_all_others(
    runner: Runner, pipeline: Any, picture: Array, mask: Array
) -> None:
    images = [begun(runner, case, picture, mask) for case in CASES]
    for case, ours in zip(CASES, drawn(runner, images), strict=True):
        theirs = oracle(pipeline, case, picture, mask)
        assert float((ours - theirs).abs().max() / theirs.abs().max()) < 1e-5, case


def test_exact_pictures_are_bit_equal_in_any_company(
    runner: Runner, picture: Array, mask: Array
) -> None:
    cases = CASES[2::3]
    company = [begun(runner, case, picture, mask, exact=True) for case in cases]
    for case, together in zip(cases, drawn(runner, company), strict=True):
        [alone] = drawn(runner, [begun(runner, case, picture, mask, exact=True)])
        assert torch.equal(alone, together), case


def test_the_mask_and_the_picture_change_what_is_drawn(
    runner: Runner, picture: Array, mask: Array
) -> None:
    case = CASES[0]
    others = [(picture, 255 - mask), (255 - picture, mask)]
    [ours, *theirs] = drawn(
        runner, [begun(runner, case, *pixels) for pixels in [(picture, mask), *others]]
    )
    assert all((ours - other).abs().max() > 0.01 for other in theirs)


def test_what_the_mask_keeps_is_the_sources_to_the_pixel(
    runner: Runner, picture: Array, mask: Array
) -> None:
    image = begun(runner, CASES[0], picture, mask)
    drawn(runner, [image])
    pixels = runner.advance(image)
    assert pixels is not None
    assert np.array_equal(pixels[mask == 0], picture[mask == 0])
    assert not np.array_equal(pixels, picture)


def test_what_fills_no_whole_latent_pixels_is_padded_by_its_edge(picture: Array) -> None:
    wide = latents.padded(picture[:, :62], (16, 16), 4)
    assert wide.shape == picture.shape
    assert np.array_equal(wide[:, 62:], np.repeat(picture[:, 61:62], 2, axis=1))
    flat = latents.padded(picture[:, :62, 0], (16, 16), 4)
    assert np.array_equal(flat, wide[..., 0])


@pytest.mark.parametrize("case", [CASES[0], CASES[3], CASES[8]], ids=str)
def test_all_that_an_image_holds_is_counted(
    case: Case, runner: Runner, picture: Array, mask: Array
) -> None:
    asked = request(case, picture, mask)
    [image] = runner.plan(asked)
    runner.prepare(image)
    pictures = [dict(asked.pixels)]
    if asked.generation.source is not None:
        pictures.append(dict(latents.fitted(asked)))
    held = sum(dict(arrays_in([image.state, pictures])).values())
    assert held <= image.bytes <= 1.2 * held + 4096


def test_the_model_says_what_it_is(runner: Runner, folder: Path) -> None:
    assert runner.model.kind == "sd1-inpainting"
    assert runner.checkpoint.inpaints


def test_its_speed_is_measured_with_all_its_channels(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[torch.Size] = []

    def unet(batch: Batch) -> torch.Tensor:
        seen.append(batch.y.shape)
        return batch.y

    monkeypatch.setattr(throughput, "Lanes", lambda _: unet)
    throughput.measure(runner.checkpoint)
    assert {shape[1] for shape in seen} == {9}

"""Pictures of models that predict v, with and without zero terminal SNR, in one step with plain
ones, against diffusers' pipelines; the models are tiny and random."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionImg2ImgPipeline, StableDiffusionPipeline, schedulers
from PIL import Image as Pillow

from limner.domain.params import Source
from limner.domain.schedulers import BETAS, SPECS, SchedulerName
from limner.engine.batching.image import Image
from limner.engine.batching.request import Request
from limner.engine.checkpoints import weights
from limner.engine.checkpoints.weights import Checkpoint
from limner.engine.sampling.planning import plan
from limner.engine.sampling.runner import Runner
from limner.engine.sampling.strands import begin
from limner.errors import InvalidInput
from tests.engine import checkpoint_files
from tests.engine.factories import make_generation, make_request
from tests.engine.sampling.test_predictions import ZERO, V

Case = tuple[SchedulerName, Mapping[str, Any], float | None]
SIDE, STEPS, GUIDANCE = 64, 3, 3.0
# Every method is tested by its matrix in test_predictions; here the ways through the engine.
CASES: list[Case] = [
    *((name, V, None) for name in ("DDIM", "DPM Single", "Euler a", "LMS", "PNDM", "UniPC")),
    *((name, BETAS, None) for name in ("UniPC", "Euler a")),
    *((name, ZERO, None) for name in ("DDIM", "DPM Multi", "Euler", "DDPM")),
    ("UniPC", V, 0.5),
    ("DDIM", ZERO, 0.5),
    ("Euler", ZERO, 1.0),
]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    folder = tmp_path_factory.mktemp("tiny") / "tiny"
    checkpoint_files.write_folder(folder, checkpoint_files.models(checkpoint_files.SHALLOW))
    return weights.load(folder, device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def runner(checkpoint: Checkpoint) -> Runner:
    return Runner(checkpoint, max_rows=64)


@pytest.fixture(scope="module")
def source() -> np.ndarray[Any, Any]:
    return np.random.default_rng(4).integers(0, 256, (SIDE, SIDE, 3), np.uint8)


def request(case: Case, picture: np.ndarray[Any, Any]) -> Request:
    name, _, strength = case
    pixels, fields = {}, {}
    if strength is not None:
        pixels = {hashlib.sha256(picture.tobytes()).hexdigest(): picture}
        fields["source"] = Source(sha256=next(iter(pixels)), strength=strength)
    generation = make_generation(
        "a knight", negative_prompt="blue", scheduler=name, steps=STEPS, guidance=GUIDANCE, seed=5,
        width=SIDE, height=SIDE, noise_source="torch-cpu", exact=True, **fields,
    )  # fmt: skip
    return Request("same", generation, "a", lambda event: None, pixels)


def begun(runner: Runner, case: Case, picture: np.ndarray[Any, Any]) -> Image:
    [image] = runner.plan(request(case, picture))
    checkpoint = replace(runner.checkpoint, scheduler_betas=case[1])
    image.state = begin(image, checkpoint, runner.conditioner, runner.adapters, runner.controls)
    return image


def drawn(runner: Runner, images: list[Image], *, together: bool) -> list[torch.Tensor]:
    """The finished latents; in shared passes, or each picture by itself."""
    for batch in [images] if together else [[image] for image in images]:
        while running := [image for image in batch if not image.finished]:
            runner.step(running)
    return [image.state.at(image.evaluations) for image in images]


@pytest.fixture(scope="module")
def pipelines(checkpoint: Checkpoint) -> dict[bool, Any]:
    """diffusers' own, for text alone and for a source."""
    made = StableDiffusionPipeline(
        vae=checkpoint.vae,
        text_encoder=checkpoint.text_encoder,
        tokenizer=checkpoint.tokenizer,
        unet=checkpoint.unet,
        scheduler=schedulers.DDIMScheduler(steps_offset=1, clip_sample=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    both = {False: made, True: StableDiffusionImg2ImgPipeline(**made.components)}
    for pipeline in both.values():
        pipeline.set_progress_bar_config(disable=True)
    return both


def oracle(pipelines: dict[bool, Any], case: Case, picture: np.ndarray[Any, Any]) -> torch.Tensor:
    name, betas, strength = case
    made = pipelines[strength is not None]
    made.scheduler = getattr(schedulers, SPECS[name].class_name)(**betas, **SPECS[name].arguments)
    fields: dict[str, Any] = {"width": SIDE, "height": SIDE}
    if strength is not None:
        fields = {"image": Pillow.fromarray(picture), "strength": strength}
    return made(
        "a knight", negative_prompt="blue", num_inference_steps=STEPS, guidance_scale=GUIDANCE,
        generator=torch.Generator().manual_seed(5), output_type="latent", **fields,
    ).images.flatten()  # fmt: skip


@pytest.mark.slow
def test_each_equals_diffusers_pipeline_in_one_step_with_all_others(
    runner: Runner, pipelines: dict[bool, Any], source: np.ndarray[Any, Any]
) -> None:
    images = [begun(runner, case, source) for case in CASES]
    for image in images:
        image.request = replace(
            image.request, generation=image.request.generation.model_copy(update={"exact": False})
        )
    for case, ours in zip(CASES, drawn(runner, images, together=True), strict=True):
        theirs = oracle(pipelines, case, source)
        worst = float((ours - theirs).abs().max() / theirs.abs().max())
        # At sigma 4096, where Euler then begins, float32 leaves diffusers three digits.
        assert worst < (2e-4 if case[1] is ZERO else 1e-5), (case[0], len(case[1]), case[2])


def test_exact_pictures_are_bit_equal_in_any_company(
    runner: Runner, source: np.ndarray[Any, Any]
) -> None:
    cases = CASES[::4]
    company, alone = ([begun(runner, case, source) for case in cases] for _ in range(2))
    together = drawn(runner, company, together=True)
    for case, one, other in zip(cases, together, drawn(runner, alone, together=False), strict=True):
        assert torch.equal(one, other), case


def test_previews_of_pure_noise_are_pictures(runner: Runner, source: Any) -> None:
    image = begun(runner, ("UniPC", ZERO, None), source)
    runner.step([image])
    assert torch.isfinite(image.state.denoised(0)).all()
    preview = runner.preview(image)
    assert preview.shape == (SIDE // 4, SIDE // 4, 3)
    assert preview.std() > 1


def test_a_scheduler_that_cannot_is_refused_before_anything_is_drawn(
    checkpoint: Checkpoint, runner: Runner
) -> None:
    zero = replace(checkpoint, info=replace(checkpoint.info, zero_snr=True))
    files = (runner.upscalers, runner.detectors)
    known = (zero, runner.conditioner, runner.adapters, runner.controls, *files, 1)
    assert plan(make_request(scheduler="UniPC"), *known)
    with pytest.raises(InvalidInput, match="scheduler is 'Heun', which cannot"):
        plan(make_request(scheduler="Heun"), *known)


def test_noise_on_the_way_is_of_the_seed_and_its_delta(runner: Runner) -> None:
    """As in AUTOMATIC1111: the start is the seed's, the rest a new generator's."""
    g = make_generation("a", sampler="Euler a", steps=3, seed=5, width=SIDE, height=SIDE)
    g = g.model_copy(update={"eta_noise_seed_delta": 31337, "noise_source": "torch-cpu"})
    [image] = runner.plan(Request("delta", g, "a", lambda event: None, {}))
    state = begin(image, runner.checkpoint, runner.conditioner, runner.adapters, runner.controls)
    start, way = (torch.Generator().manual_seed(seed) for seed in (5, 5 + 31337))
    length = state.H.shape[1]
    torch.testing.assert_close(state.H[1], torch.randn(length, generator=start), rtol=0, atol=0)
    for draw in range(2):
        wanted = torch.randn(length, generator=way)
        torch.testing.assert_close(state.H[2 + draw], wanted, rtol=0, atol=0)

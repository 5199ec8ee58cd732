"""img2img and inpainting, piece by piece, against diffusers' own pipelines on pixels.

The pieces are the trace, the noise stream, the prepared source and the decoder; the text is left
out (both sides get the same embedding), so that nothing but these can differ.
"""

from __future__ import annotations

import hashlib
import itertools
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionImg2ImgPipeline, StableDiffusionInpaintPipeline, schedulers
from PIL import Image

from limner.domain.params import Generation, Source
from limner.domain.schedulers import BETAS, SCHEDULER_NAMES, SPECS, SchedulerName
from limner.engine.checkpoints.weights import Checkpoint
from limner.engine.sampling import latents
from limner.engine.sampling.noise import NoiseStream
from limner.engine.sampling.samplers import trace

SIDE, STEPS, SEED = 64, 8, 9
FAST = {("UniPC", 0.6), ("Euler a", 1.0), ("PNDM", 1.0)}
CASES = [
    pytest.param(*case, marks=() if case in FAST else pytest.mark.slow)
    for case in itertools.product(SCHEDULER_NAMES, (0.6, 1.0))
    # diffusers' own begin wrongly inside a schedule: docs/adr/0007-lms-pndm-sources.md
    if case not in (("LMS", 0.6), ("PNDM", 0.6))
]


def digest(pixels: np.ndarray) -> str:
    return hashlib.sha256(pixels.tobytes()).hexdigest()


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    """A smooth coloured picture of another size than the one to draw."""
    coarse = np.random.default_rng(4).integers(0, 256, (6, 8, 3), np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((200, 150), Image.Resampling.BICUBIC))


@pytest.fixture(scope="module")
def mask() -> np.ndarray:
    y, x = np.mgrid[:150, :200]
    return np.where((x - 90) ** 2 + (y - 80) ** 2 < 50**2, np.uint8(255), np.uint8(0))


@pytest.fixture(scope="module")
@torch.inference_mode()
def context(squire: Checkpoint) -> torch.Tensor:
    ids = squire.tokenizer("a knight", padding="max_length", max_length=77, return_tensors="pt")
    return squire.text_encoder(ids.input_ids)[0]


def pipeline(kind: Any, squire: Checkpoint, name: SchedulerName) -> Any:
    made = kind(
        vae=squire.vae,
        text_encoder=squire.text_encoder,
        tokenizer=squire.tokenizer,
        unet=squire.unet,
        scheduler=schedulers.DDIMScheduler(steps_offset=1, clip_sample=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    # Set afterwards: the pipeline's constructor would change DDPM's steps_offset to 1.
    made.scheduler = getattr(schedulers, SPECS[name].class_name)(**BETAS, **SPECS[name].arguments)
    made.set_progress_bar_config(disable=True)
    return made


@torch.inference_mode()
def drawn(squire: Checkpoint, g: Generation, pixels: Any, context: torch.Tensor) -> np.ndarray:
    """One picture by the engine's pieces alone, without guidance."""
    assert g.source is not None
    stream = NoiseStream(g.noise_source, g.seed)
    source = latents.prepare_source(g, pixels, squire, stream)
    shape = tuple(source.latent.shape)
    seen = [source.latent, torch.from_numpy(stream.draw(shape))]
    mode = "img2img"
    if source.mask is not None:
        mode = "inpaint"
        stream.draw(shape)  # the masked picture's posterior, which only 9-channel models use
    matrix = trace(g.scheduler, g.steps, strength=g.source.strength, mode=mode)
    seen += [torch.from_numpy(stream.draw(shape)) for _ in range(matrix.draws)]
    rows = torch.tensor(np.vstack([matrix.inputs, matrix.final]), dtype=torch.float32)
    keep = torch.tensor(matrix.keep, dtype=torch.float32)

    def at(k: int) -> torch.Tensor:
        y = torch.tensordot(rows[k, : len(seen)], torch.stack(seen), 1)
        if source.mask is None:
            return y
        return torch.where(source.mask, y, torch.tensordot(keep[k], torch.stack(seen[:2]), 1))

    for k in range(matrix.evaluations):
        t = torch.tensor(matrix.timesteps[k], dtype=torch.float32)
        seen.append(squire.unet(at(k)[None], t, encoder_hidden_states=context).sample[0])
    return latents.decode(squire.vae, at(matrix.evaluations), squire.latent_scaling)


def generation(name: SchedulerName, source: Source) -> Generation:
    return Generation(
        prompt="", scheduler=name, steps=STEPS, seed=SEED, width=SIDE, height=SIDE,
        noise_source="torch-cpu", source=source,
    )  # fmt: skip


def apart(ours: np.ndarray, theirs: np.ndarray) -> int:
    return int(np.abs(ours.astype(int) - np.round(theirs * 255).astype(int)).max())


@pytest.mark.parametrize(("name", "strength"), CASES)
def test_img2img_draws_what_the_pipeline_draws(squire, context, picture, name, strength):
    source = Source(sha256=digest(picture), strength=strength, resize_mode="stretch")
    ours = drawn(squire, generation(name, source), {source.sha256: picture}, context)
    pipe = pipeline(StableDiffusionImg2ImgPipeline, squire, name)
    theirs = pipe(
        prompt_embeds=context,
        image=Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.LANCZOS),
        strength=strength,
        num_inference_steps=STEPS,
        guidance_scale=1.0,
        generator=torch.Generator().manual_seed(SEED),
        output_type="np",
    ).images[0]
    assert apart(ours, theirs) <= 2


@pytest.mark.parametrize(("name", "strength"), CASES)
def test_inpainting_draws_what_the_pipeline_draws(squire, context, picture, mask, name, strength):
    source = Source(
        sha256=digest(picture), strength=strength, resize_mode="stretch", mask_sha256=digest(mask)
    )
    pixels = {source.sha256: picture, source.mask_sha256: mask}
    ours = drawn(squire, generation(name, source), pixels, context)
    pipe = pipeline(StableDiffusionInpaintPipeline, squire, name)
    theirs = pipe(
        prompt_embeds=context,
        image=Image.fromarray(picture),
        mask_image=Image.fromarray(mask),
        strength=strength,
        width=SIDE,
        height=SIDE,
        num_inference_steps=STEPS,
        guidance_scale=1.0,
        generator=torch.Generator().manual_seed(SEED),
        output_type="np",
    ).images[0]
    assert apart(ours, theirs) <= 2

"""Pictures whose edges meet, beside others: those of diffusers with circular convolutions."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from diffusers import schedulers
from PIL import Image as Pillow

from limner.domain.controls import Control
from limner.domain.loras import Lora
from limner.domain.params import Generation, Source
from limner.domain.schedulers import BETAS, SPECS
from limner.domain.tiling import Axes
from limner.engine.batching.request import Request
from limner.engine.checkpoints import digests
from limner.engine.checkpoints.weights import Checkpoint
from limner.engine.sampling import latents
from limner.engine.sampling.runner import Runner
from limner.engine.tiling.seamless import SeamlessVae
from limner.errors import InvalidInput
from limner.imaging import seams
from tests.engine.adapters import making as adapters
from tests.engine.controls import making as controls
from tests.engine.factories import make_generation, make_request
from tests.engine.sampling.test_controlled_pictures import MAPS, NAMES, apart, digest, drawn
from tests.engine.sampling.test_transfer import Waits
from tests.engine.tiling.circular import circular, rolled

Array = np.ndarray[Any, Any]
SIDE, PROMPT, NEGATIVE = 128, "stones and flowers", "blue"
SAME = {"steps": 4, "width": SIDE, "height": SIDE, "guidance": 5.0, "noise_source": "torch-cpu"}


def request(*pixels: Array, prompt: str = PROMPT, **fields: Any) -> Request:
    made = make_request(prompt, negative_prompt=NEGATIVE, **(SAME | fields))
    made.pixels = {digest(each): each for each in pixels} or {
        name: MAPS[name] for name in made.generation.pictures
    }
    return made


@pytest.fixture(scope="module")
def runner(squire: Checkpoint) -> Runner:
    return Runner(squire, max_rows=64)


def pipeline(kind: str, untouched: Checkpoint, tiling: str, **parts: Any) -> Any:
    """One of diffusers', every convolution of which is circular."""
    own = {"unet": untouched.unet, "vae": untouched.vae, **parts}
    made = getattr(diffusers, f"StableDiffusion{kind}Pipeline")(
        **{name: circular(part, tiling) for name, part in own.items()},
        text_encoder=untouched.text_encoder, tokenizer=untouched.tokenizer,
        scheduler=schedulers.DDIMScheduler(steps_offset=1, clip_sample=False), safety_checker=None,
        feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    made.set_progress_bar_config(disable=True)
    return made


def shown(made: Any, g: Generation, **fields: Any) -> Array:
    spec = SPECS[g.scheduler]
    made.scheduler = getattr(schedulers, spec.class_name)(**BETAS, **spec.arguments)
    pixels = made(
        g.prompt, negative_prompt=g.negative_prompt, num_inference_steps=g.steps,
        guidance_scale=g.guidance, generator=torch.Generator().manual_seed(g.seed),
        output_type="np", **fields,
    ).images[0]  # fmt: skip
    return np.round(pixels * 255).astype(np.uint8)


@pytest.mark.slow
def test_pictures_are_those_of_circular_convolutions_beside_plain_rows(
    runner: Runner, untouched: Checkpoint
) -> None:
    # Large enough that a pair of rows comes out on two cores as on one.
    size = {"width": 256, "height": 256}
    ways = (("xy", "UniPC"), ("x", "DDIM"))
    asked = [request(tiling=tiling, scheduler=s, **size) for tiling, s in ways]
    plain = request(prompt="a knight", steps=6, **size)
    [alone] = drawn(runner, plain)
    before, *made, after = drawn(runner, plain, *asked, request(prompt="a knight", steps=6, **size))
    assert (before == alone).all()
    assert (after == alone).all()
    for each, pixels in zip(asked, made, strict=True):
        g = each.generation
        assert apart(pixels, shown(pipeline("", untouched, g.tiling), g, **size)) <= 2
        assert apart(pixels, drawn(runner, request(scheduler=g.scheduler, **size))[0]) > 8
        assert (pixels == drawn(runner, each)[0]).all()


def test_a_picture_to_start_from_is_read_round_its_edges(
    runner: Runner, untouched: Checkpoint
) -> None:
    [picture] = [MAPS[NAMES[0]]]
    source = Source(sha256=digest(picture), strength=0.75)
    asked = request(picture, source=source, tiling="y", scheduler="DDIM", steps=8)
    made = pipeline("Img2Img", untouched, "y")
    expected = shown(made, asked.generation, image=Pillow.fromarray(picture), strength=0.75)
    assert apart(drawn(runner, asked)[0], expected) <= 2


@pytest.fixture(scope="module")
def equipped(
    squire: Checkpoint, untouched: Checkpoint, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Runner, Lora, Control, Any, Any]:
    """A runner with a LoRA of kernels and a ControlNet, and what diffusers is to have of them."""
    folder: Path = tmp_path_factory.mktemp("tiling")
    path = folder / "locon.safetensors"
    weights = adapters.linears(untouched.unet, kernels=True)
    deltas = adapters.file(path, {"unet": weights}, rank=4, alpha=0.5)
    lora = Lora(name="locon", sha256=digests.compute(path))
    net = controls.controlnet(untouched.unet, scale=16)
    control = Control(
        name="net",
        sha256=controls.written(folder / "net.safetensors", net.state_dict()),
        map_sha256=NAMES[1],
    )
    paths = {lora.sha256: path, control.sha256: folder / "net.safetensors"}
    merged = type(untouched.unet).from_config(untouched.unet.config)
    merged.load_state_dict(adapters.merged(untouched.unet, [(deltas["unet"], 1.0)]))
    return Runner(squire, max_rows=64, find=paths.__getitem__), lora, control, merged.eval(), net


@pytest.mark.slow
def test_what_loras_and_controls_add_goes_round_the_edges_too(
    equipped: tuple[Runner, Lora, Control, Any, Any], untouched: Checkpoint
) -> None:
    runner, lora, control, merged, net = equipped
    own = {"loras": (lora,), "controls": (control,)}
    asked, beside = request(tiling="x", **own), request(**own)
    plain, pixels, with_plain_edges = drawn(runner, request(), asked, beside)
    made = pipeline("ControlNet", untouched, "x", unet=merged, controlnet=net)
    picture = Pillow.fromarray(MAPS[NAMES[1]])
    size = {"width": SIDE, "height": SIDE}
    assert apart(pixels, shown(made, asked.generation, image=picture, **size)) <= 2
    assert (plain == drawn(runner, request())[0]).all()
    assert (with_plain_edges == drawn(runner, request(**own))[0]).all()
    assert apart(pixels, with_plain_edges) > 8


@pytest.mark.parametrize("tiling", ["x", "xy"])
def test_the_vae_knows_no_edge(tiling: str) -> None:
    """What is moved round the edge comes out moved, both ways; and it is diffusers' circular."""
    vae = random_vae()
    ours, theirs = SeamlessVae(vae, Axes("x" in tiling, "y" in tiling)), circular(vae, tiling)
    g = torch.Generator().manual_seed(1)
    picture, latent = torch.rand(1, 3, 32, 48, generator=g), torch.randn(1, 4, 8, 12, generator=g)
    with torch.inference_mode():
        for made in (ours, theirs):
            means = [made.encode(rolled(picture, by, tiling)).latent_dist.mean for by in (0, 12)]
            shown = [made.decode(rolled(latent, by, tiling)).sample for by in (0, 3)]
            assert torch.allclose(means[1], rolled(means[0], 3, tiling), atol=1e-4)
            assert torch.allclose(shown[1], rolled(shown[0], 12, tiling), atol=1e-4)
        assert torch.allclose(ours.decode(latent).sample, theirs.decode(latent).sample, atol=1e-4)
        assert torch.allclose(means[0], ours.encode(picture).latent_dist.mean, atol=1e-4)
        assert not torch.allclose(means[0], vae.encode(picture).latent_dist.mean, atol=1e-2)
        assert not torch.allclose(shown[0], vae.decode(latent).sample, atol=1e-2)


def random_vae() -> Any:
    """A small one of the layers of Stable Diffusion's, two halvings deep."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = diffusers.AutoencoderKL(
            down_block_types=["DownEncoderBlock2D"] * 3,
            up_block_types=["UpDecoderBlock2D"] * 3,
            block_out_channels=[8, 16, 16],
            norm_num_groups=4,
        )
    return made.eval().requires_grad_(False)


def test_edges_meet_over_their_share_of_the_evaluations(runner: Runner) -> None:
    asked = request(tiling="x", tiling_start=0.25, tiling_end=0.75, scheduler="DDIM")
    [image] = runner.plan(asked)
    runner.prepare(image)
    assert image.state.tiling == (Axes(), Axes(True), Axes(True), Axes())
    whole, part, none = drawn(runner, request(tiling="x"), asked, request())
    assert apart(whole, part) > 8
    assert apart(none, part) > 8


@pytest.mark.parametrize("upscaler", ["Lanczos", "Latent (bicubic)"])
def test_hires_goes_round_the_edges_in_both_passes(runner: Runner, upscaler: str) -> None:
    hires = {"width": 192, "height": 192, "upscaler": upscaler, "strength": 0.5, "steps": 4}
    [image] = runner.plan(request(tiling="xy", hires=hires))
    score: list[float] = []
    for _ in image.state.passes:
        runner.prepare(image)
        assert set(image.state.tiling) == {Axes(True, True)}
        while not image.phase_over:
            runner.step([image])
        pixels = runner.advance(image)
    assert pixels is not None
    assert pixels.shape == (192, 192, 3)
    score += seams.scores(pixels[8::16, 8::16], Axes(True, True)).values()
    assert max(score) < 2


def test_a_step_with_edges_that_meet_waits_for_nothing(runner: Runner) -> None:
    asked = [request(tiling="xy"), request(), request(tiling="x")]
    images = [image for each in asked for image in runner.plan(each)]
    for image in images:
        runner.prepare(image)
    with Waits() as waits:
        runner.step(images)
    assert waits.found == []


def test_a_softened_mask_goes_round_the_edges() -> None:
    picture, drawn = np.zeros((64, 64, 3), np.uint8), np.full((64, 64, 3), 255, np.uint8)
    mask = np.zeros((64, 64), np.uint8)
    mask[:, 60:] = 255
    source = Source(sha256=digest(picture), mask_sha256=digest(mask), mask_blur=4)
    size = {"width": 64, "height": 64}
    plain, round_ = (
        latents.compose(request(picture, mask, source=source, tiling=tiling, **size), drawn)
        for tiling in ("none", "x")
    )
    assert plain[0, 0, 0] == 0
    assert round_[0, 0, 0] > 50
    twice = np.tile(mask, 3)
    wide = np.zeros((64, 192, 3), np.uint8)
    source = Source(sha256=digest(wide), mask_sha256=digest(twice), mask_blur=4)
    middle = latents.compose(
        request(wide, twice, source=source, width=192, height=64), np.full_like(wide, 255)
    )[:, 64:128]
    assert np.abs(middle.astype(int) - round_).max() <= 1


def test_what_cannot_be_is_said(runner: Runner) -> None:
    with pytest.raises(InvalidInput, match=r"tiling is x; width is 136, and .* multiple of 16"):
        runner.plan(request(tiling="x", width=136))
    runner.plan(request(tiling="y", width=136))
    with pytest.raises(InvalidInput, match=r"tiling_start is 0\.5; it must be below tiling_end"):
        make_generation(tiling="x", tiling_start=0.5, tiling_end=0.5)
    only = Source(sha256="0" * 64, mask_sha256="1" * 64, only_masked=True)
    with pytest.raises(InvalidInput, match="tiling is xy; with only_masked parts"):
        make_generation(tiling="xy", source=only)


def test_what_says_nothing_leaves_no_trace() -> None:
    unsaid = make_generation(tiling="none", tiling_start=0.5, tiling_end=0.4)
    assert unsaid == make_generation()
    assert not [name for name in unsaid.model_dump() if "tiling" in name]
    said = make_generation(tiling="y", tiling_end=0.5)
    assert Generation.model_validate(said.model_dump(mode="json")) == said


@pytest.mark.slow
@pytest.mark.parametrize(("tiling", "limit"), [("xy", 1.2), ("none", None)])
def test_the_seam_is_no_worse_than_the_inside(
    runner: Runner, tiling: str, limit: float | None
) -> None:
    asked = [
        make_request(prompt, seed=seed, tiling=tiling, steps=12, width=512, height=512)
        for seed, prompt in enumerate(["stone wall", "flowers", "a forest", "gold coins"] * 5)
    ]
    pictures = [p for n in range(0, 20, 5) for p in drawn(runner, *asked[n : n + 5])]
    found = [seams.scores(p[8::16, 8::16], Axes(True, True)) for p in pictures]
    means = [sum(each[axis] for each in found) / len(found) for axis in "xy"]
    assert max(means) <= limit if limit else max(means) > 1.5, means


@pytest.mark.slow
def test_a_batch_with_edges_that_meet_costs_little_more(runner: Runner) -> None:
    def seconds(tiling: str) -> float:
        asked = [request(prompt="x", width=256, height=256, steps=6) for _ in range(3)]
        asked.append(request(tiling=tiling, width=256, height=256, steps=6))
        began = time.process_time()
        drawn(runner, *asked)
        return time.process_time() - began

    seconds("xy")
    took = {tiling: min(seconds(tiling) for _ in range(4)) for tiling in ("none", "xy")}
    assert took["xy"] <= 1.4 * took["none"], took

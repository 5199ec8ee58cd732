"""Pictures that follow controls, beside strangers: those of diffusers' pipelines, alone."""

from __future__ import annotations

import copy
import hashlib
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    MultiControlNetModel,
    StableDiffusionAdapterPipeline,
    StableDiffusionControlNetPipeline,
    schedulers,
)
from PIL import Image

from limner.domain.controls import Control
from limner.domain.schedulers import BETAS, SCHEDULER_NAMES, SPECS
from limner.engine.batching import image as batching
from limner.engine.batching.request import Request
from limner.engine.checkpoints import weights
from limner.engine.checkpoints.weights import Checkpoint
from limner.engine.sampling.runner import Runner
from tests.engine import checkpoint_files
from tests.engine.checkpoints.writing import plain
from tests.engine.controls import making
from tests.engine.factories import make_request
from tests.engine.sampling.test_transfer import Waits

SIDE, PROMPT, NEGATIVE = 128, "a knight in red armor", "blue"
SAME = {"steps": 4, "width": SIDE, "height": SIDE, "guidance": 5.0, "noise_source": "torch-cpu"}
Array = np.ndarray[Any, Any]
Nets = dict[str, Any]


def picture(seed: int) -> Array:
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def digest(pixels: Array) -> str:
    return hashlib.sha256(pixels.tobytes()).hexdigest()


MAPS = {digest(picture(seed)): picture(seed) for seed in range(8)}
NAMES = list(MAPS)


@pytest.fixture(scope="module")
def nets(untouched: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Nets:
    """Two ControlNets of the embedded model by the SHA-256 of their files; and where these lie."""
    folder, made = tmp_path_factory.mktemp("controls"), {}
    for seed, name in enumerate(("first", "second")):
        net = making.controlnet(untouched.unet, scale=16, seed=seed)
        path = folder / f"{name}.safetensors"
        made[name] = (making.written(path, net.state_dict()), net, path)
    return made


@pytest.fixture(scope="module")
def runner(squire: Checkpoint, nets: Nets) -> Runner:
    paths = {sha256: path for sha256, _, path in nets.values()}
    return Runner(squire, max_rows=64, find=paths.__getitem__)


def control(nets: Nets, name: str = "first", place: int = 0, **fields: Any) -> Control:
    return Control(name=name, sha256=nets[name][0], map_sha256=NAMES[place], **fields)


def request(*controls: Control, prompt: str = PROMPT, **fields: Any) -> Request:
    made = make_request(prompt, controls=controls, negative_prompt=NEGATIVE, **(SAME | fields))
    made.pixels = {name: MAPS[name] for name in made.generation.pictures}
    return made


def drawn(runner: Runner, *requests: Request) -> list[Array]:
    """All of the first pictures, as long as each goes on."""
    images: list[batching.Image] = [runner.plan(each)[0] for each in requests]
    for image in images:
        runner.prepare(image)
    while left := [image for image in images if not image.phase_over]:
        runner.step(left)
    made = [runner.advance(image) for image in images]
    assert all(pixels is not None for pixels in made)
    return made  # type: ignore[return-value]


def apart(one: Array, other: Array) -> int:
    return int(abs(one.astype(int) - other).max())


def oracle(
    untouched: Checkpoint, nets: Nets, asked: Request, dtype: torch.dtype = torch.float32
) -> Array:
    """diffusers' pipeline with the same nets, alone."""
    g = asked.generation

    def part(module: Any) -> Any:
        return module if dtype == torch.float32 else copy.deepcopy(module).to(dtype)

    used = [part(nets[c.name][1]) for c in g.controls]
    made = StableDiffusionControlNetPipeline(
        vae=part(untouched.vae), text_encoder=part(untouched.text_encoder),
        tokenizer=untouched.tokenizer, unet=part(untouched.unet),
        controlnet=MultiControlNetModel(used),
        scheduler=schedulers.DDIMScheduler(steps_offset=1, clip_sample=False), safety_checker=None,
        feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    spec = SPECS[g.scheduler]
    made.scheduler = getattr(schedulers, spec.class_name)(**BETAS, **spec.arguments)
    made.set_progress_bar_config(disable=True)
    shown = made(
        g.prompt, negative_prompt=g.negative_prompt, num_inference_steps=g.steps,
        image=[Image.fromarray(MAPS[c.map_sha256]) for c in g.controls], width=SIDE, height=SIDE,
        guidance_scale=g.guidance, controlnet_conditioning_scale=[c.weight for c in g.controls],
        control_guidance_start=[c.start for c in g.controls],
        control_guidance_end=[c.end for c in g.controls],
        guess_mode=g.controls[0].mode == "guess",
        generator=torch.Generator().manual_seed(g.seed), output_type="np",
    ).images[0]  # fmt: skip
    return np.round(shown * 255).astype(np.uint8)


WAYS: dict[str, dict[str, Any]] = {
    "whole": {},
    "half": {"weight": 0.5},
    "from the start on": {"end": 0.5},
    "to the end": {"start": 0.25, "weight": 0.5},
    "guessed": {"mode": "guess"},
}


@pytest.mark.slow
@pytest.mark.parametrize("scheduler", ["UniPC", "Heun"])
def test_pictures_are_those_of_diffusers_beside_rows_of_none(
    runner: Runner, untouched: Checkpoint, nets: Nets, scheduler: str
) -> None:
    plain = request(scheduler=scheduler)
    asked = [request(control(nets, **way), scheduler=scheduler) for way in WAYS.values()]
    [alone] = drawn(runner, request(scheduler=scheduler))
    before, *made, after = drawn(runner, plain, *asked, request(scheduler=scheduler))
    assert (before == alone).all()
    assert (after == alone).all()
    for each, pixels, way in zip(asked, made, WAYS, strict=True):
        assert apart(pixels, oracle(untouched, nets, each)) <= 2, way
        assert apart(pixels, alone) > 8, way


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("scheduler", SCHEDULER_NAMES)
def test_pictures_of_every_scheduler_are_those_of_diffusers(
    runner: Runner, untouched: Checkpoint, nets: Nets, scheduler: str
) -> None:
    more = {"steps": 10, "scheduler": scheduler}
    asked = [request(control(nets, **way), **more) for way in WAYS.values()]
    asked.append(request(control(nets), control(nets, "second", 1, weight=0.5), **more))
    made = drawn(runner, request(**more), *asked)[1:]
    for each, pixels in zip(asked, made, strict=True):
        theirs = oracle(untouched, nets, each)
        if apart(pixels, theirs) > 2:  # so small a picture magnifies rounding: which of the two is
            exact = oracle(untouched, nets, each, torch.float64)
            assert apart(pixels, exact) <= max(2, 2 * apart(theirs, exact)), each.generation


@pytest.mark.slow
def test_several_controls_of_one_picture_add_up(
    runner: Runner, untouched: Checkpoint, nets: Nets
) -> None:
    both = request(control(nets), control(nets, "second", 1, weight=0.5, start=0.5))
    twice = request(control(nets), control(nets, "first", 2, weight=0.7))
    for each, pixels in zip((both, twice), drawn(runner, both, twice), strict=True):
        assert apart(pixels, oracle(untouched, nets, each)) <= 2


def test_each_picture_of_a_batch_follows_its_own_control(runner: Runner, nets: Nets) -> None:
    """To the bit what it is alone, in any order: a picture is not led by the first's map."""
    asked = [
        request(control(nets, net, place, mode=mode), prompt=f"a knight, {words}", steps=2)
        for place, (net, mode, words) in enumerate(
            itertools.product(("first", "second"), ("balanced", "control"), ("red", "blue"))
        )
    ]
    asked.insert(3, request(steps=2))
    alone = [drawn(runner, each)[0] for each in asked]
    together = drawn(runner, *asked)
    backwards = drawn(runner, *asked[::-1])[::-1]
    for one, two, three in zip(alone, together, backwards, strict=True):
        assert (one == two).all()
        assert (one == three).all()
    assert len({pixels.tobytes() for pixels in alone}) == len(asked)


@pytest.mark.parametrize("mode", ["prompt", "control"])
def test_modes_weigh_places_and_rows(nets: Nets, runner: Runner, mode: Any) -> None:
    """AUTOMATIC1111's: soft weights, and for the last no control of the negative prompt."""
    asked = request(control(nets, mode=mode, weight=0.5))
    [image] = runner.plan(asked)
    runner.prepare(image)
    of_rows = image.state.controls.at(0, 2, 1)
    assert [len(uses) for uses in of_rows] == ([0, 1] if mode == "control" else [1, 1])
    places = of_rows[1][0].weights
    assert places == pytest.approx([0.5 * 0.825 ** (8 - place) for place in range(9)])


def test_a_control_that_is_never_on_is_none(runner: Runner, nets: Nets) -> None:
    never = request(control(nets, start=0.9, end=1.0))
    nothing = request(control(nets, weight=0.0))
    none, *others = drawn(runner, request(), never, nothing)
    assert all((none == other).all() for other in others)


def test_a_step_brings_nothing_to_the_device(runner: Runner, nets: Nets) -> None:
    """See ``test_transfer``: on a GPU it would wait for all that was given before."""
    asked = [request(control(nets)), request(), request(control(nets, "second", 1, mode="guess"))]
    images = [runner.plan(each)[0] for each in asked]
    for image in images:
        runner.prepare(image)
    with Waits() as waits:
        runner.step(images)
    assert waits.found == []


def test_a_plan_counts_the_memory_of_its_controls(runner: Runner, nets: Nets) -> None:
    plain, led = (runner.plan(request(*controls))[0] for controls in ((), (control(nets),)))
    net = runner.controls.get(control(nets))
    hint = 4 * 32 * (SIDE // 16) ** 2
    assert led.bytes - plain.bytes == net.bytes + hint + MAPS[NAMES[0]].nbytes


@pytest.mark.slow
def test_adapters_draw_the_pictures_of_diffusers(tmp_path: Path) -> None:
    folder = checkpoint_files.write_folder(tmp_path / "plain", plain())
    untouched, ours = (weights.load(folder, device="cpu", dtype="float32") for _ in range(2))
    made = making.adapter(channels=[32, 32, 64, 64])
    sha256 = making.written(tmp_path / "a.safetensors", made.state_dict())
    runner = Runner(ours, max_rows=8, find=lambda _: tmp_path / "a.safetensors")
    asked = [
        request(Control(sha256=sha256, kind="t2i-adapter", map_sha256=NAMES[0], **way))
        for way in ({}, {"weight": 0.5})
    ]
    [alone] = drawn(runner, request())
    *led, none = drawn(runner, *asked, request())
    assert (none == alone).all()
    for each, pixels in zip(asked, led, strict=True):
        assert apart(pixels, _adapted(untouched, made, each)) <= 2
        assert apart(pixels, alone) > 2


def _adapted(untouched: Checkpoint, adapter: Any, asked: Request) -> Array:
    g, [used] = asked.generation, asked.generation.controls
    made = StableDiffusionAdapterPipeline(
        vae=untouched.vae, text_encoder=untouched.text_encoder, tokenizer=untouched.tokenizer,
        unet=untouched.unet, adapter=adapter, safety_checker=None, feature_extractor=None,
        scheduler=schedulers.UniPCMultistepScheduler(**BETAS), requires_safety_checker=False,
    )  # fmt: skip
    made.set_progress_bar_config(disable=True)
    shown = made(
        g.prompt, negative_prompt=g.negative_prompt, num_inference_steps=g.steps, width=SIDE,
        height=SIDE, guidance_scale=g.guidance, image=Image.fromarray(MAPS[used.map_sha256]),
        adapter_conditioning_scale=used.weight,
        generator=torch.Generator().manual_seed(g.seed), output_type="np",
    ).images[0]  # fmt: skip
    return np.round(shown * 255).astype(np.uint8)

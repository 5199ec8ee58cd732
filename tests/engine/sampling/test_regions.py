"""Pictures with prompts of their own for parts of them: those of a plain loop, alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from diffusers import schedulers
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import rescale_noise_cfg

from limner.domain.params import Generation
from limner.domain.regions import Region
from limner.domain.schedulers import BETAS, SPECS
from limner.engine.batching.loop import ThreadEngine
from limner.engine.batching.request import Request
from limner.engine.sampling.regional import marked, shares
from limner.web.reading.inputs import digest
from tests.engine.factories import make_request, submit
from tests.engine.sampling.kpictures import KPictures

SIDE = 192  # 12 latent pixels of the embedded model
PROMPT, NEGATIVE = "a meadow", "blue"
SAME = {"steps": 4, "width": SIDE, "height": SIDE, "guidance": 5.0, "noise_source": "torch-cpu"}
LEFT = {"prompt": "a knight with red armor", "box": (0, 0, 0.5, 1)}
RIGHT = {"prompt": "a mage with a purple robe", "box": (0.5, 0.25, 0.5, 0.75)}
OVER = {"prompt": "a golden crown", "box": (0.2, 0.3, 0.5, 0.4), "weight": 2.0}
FAINT = {"prompt": "a dark forest", "box": (0.1, 0.1, 0.3, 0.3), "weight": 0.5}


ROUND = np.asarray(
    [[255 * ((x - 60) ** 2 + (y - 100) ** 2 < 50**2) for x in range(SIDE)] for y in range(SIDE)],
    np.uint8,
)
DISC = {"prompt": "a red dragon", "mask_sha256": digest(ROUND)}


def request(*regions: dict[str, Any], prompt: str = PROMPT, **fields: Any) -> Request:
    fields = {**SAME, **fields}
    made = make_request(prompt, regions=regions, negative_prompt=NEGATIVE, **fields)
    made.pixels = dict.fromkeys(made.generation.pictures, ROUND)
    return made


def draw(engine: ThreadEngine, *requests: Request) -> list[Any]:
    for each in requests:
        submit(engine, each)
    return [each.sink.wait()[0].pixels for each in requests]  # type: ignore[attr-defined]


def apart(one: Any, other: Any) -> int:
    return int(np.abs(one.astype(int) - other).max())


def share_of(start: float, stop: float, place: int, length: int) -> float:
    """How much of the place lies inside, if an edge fades over two latent pixels."""
    middle = place + 0.5
    rises = 1.0 if start <= 0 else (middle - start * length + 1) / 2
    falls = 1.0 if stop >= 1 else (stop * length - middle + 1) / 2
    return min(1.0, max(0.0, min(rises, falls)))


def plain_shares(regions: Any, height: int, width: int) -> Any:
    """Place by place: what the prompt keeps, and what each region has."""
    made = np.zeros((1 + len(regions), height, width))
    for y in range(height):
        for x in range(width):
            own = []
            for each in regions:
                if each.box is None:
                    rows, columns = SIDE // height, SIDE // width
                    part = ROUND[y * rows : (y + 1) * rows, x * columns : (x + 1) * columns]
                    own.append(each.weight * part.mean() / 255)
                    continue
                left, top, wide, high = each.box
                across = share_of(left, left + wide, x, width)
                own.append(each.weight * across * share_of(top, top + high, y, height))
            total = max(1.0, sum(own))
            made[1:, y, x] = [each / total for each in own]
            made[0, y, x] = 1 - sum(own) / total
    return torch.from_numpy(made).float()


@torch.inference_mode()
def plain_picture(plain: KPictures, g: Generation) -> Any:
    """A loop over diffusers' scheduler, UNet and VAE, with each prompt's estimate by itself."""
    spec, pipe = SPECS[g.scheduler], plain.pipe
    scheduler = getattr(schedulers, spec.class_name)(**BETAS, **spec.arguments)
    scheduler.set_timesteps(g.steps)
    size = g.height // plain.scale, g.width // plain.scale
    x = torch.randn((1, 4, *size), generator=torch.Generator().manual_seed(g.seed))
    x = x * scheduler.init_noise_sigma
    texts = [g.negative_prompt, g.prompt, *(each.prompt for each in g.regions)]
    contexts = [pipe.encode_prompt(text, "cpu", 1, False)[0] for text in texts]
    over = plain_shares(g.regions, *size)[:, None, None]
    scales = g.guidance_over(g.evaluations)
    for t, scale in zip(scheduler.timesteps, scales, strict=True):
        read = scheduler.scale_model_input(x, t)
        uncond, *each = [pipe.unet(read, t, encoder_hidden_states=c).sample for c in contexts]
        cond = sum(share * eps for share, eps in zip(over, each, strict=True))
        eps = uncond + scale * (cond - uncond)
        if g.guidance_rescale and scale != 1:
            eps = rescale_noise_cfg(eps, cond, guidance_rescale=g.guidance_rescale)
        x = scheduler.step(eps, t, x).prev_sample
    pixels = pipe.vae.decode(x / plain.scaling).sample[0].permute(1, 2, 0)
    return ((pixels / 2 + 0.5).clamp(0, 1) * 255).round().numpy()


@pytest.mark.parametrize("size", [(8, 8), (5, 12)])
def test_shares_are_those_of_each_place_by_itself(size: tuple[int, int]) -> None:
    regions = [Region(**each) for each in (LEFT, RIGHT, OVER, FAINT)]
    made = shares(regions, *size).view(5, *size)
    torch.testing.assert_close(made, plain_shares(regions, *size))
    torch.testing.assert_close(made.sum(0), torch.ones(size))


def test_a_mask_counts_by_how_much_of_a_place_is_white() -> None:
    regions = [Region(**each) for each in (DISC, OVER)]
    made = shares(regions, 12, 12, {digest(ROUND): marked(ROUND, SIDE // 12)}).view(3, 12, 12)
    torch.testing.assert_close(made, plain_shares(regions, 12, 12))
    assert 0 < float(made[1].min() + made[1].max()) <= 1


WAYS: list[tuple[tuple[dict[str, Any], ...], dict[str, Any]]] = [
    ((LEFT, RIGHT), {}),
    ((LEFT, OVER, FAINT), {"guidance_rescale": 0.7}),
    ((LEFT,), {"guidance_end": 0.5}),
    ((LEFT, RIGHT), {"guidance": 1.0}),
    ((DISC, OVER), {}),
]


@pytest.mark.slow
def test_pictures_are_those_of_a_plain_loop_beside_rows_of_none(
    engine: ThreadEngine, untouched: Any
) -> None:
    plain, asked = KPictures(untouched), [request(*r, **more) for r, more in WAYS]
    [alone] = draw(engine, request())
    before, *made, after = draw(engine, request(), *asked, request())
    assert (before == alone).all()
    assert (after == alone).all()
    for each, pixels in zip(asked, made, strict=True):
        assert apart(pixels, plain_picture(plain, each.generation)) <= 2, each.generation
        assert apart(pixels, alone) > 8, each.generation
    again = draw(engine, *(request(*r, **more) for r, more in reversed(WAYS)))
    assert all((one == other).all() for one, other in zip(made, reversed(again), strict=True))


def test_a_region_of_all_is_the_picture_of_its_prompt(engine: ThreadEngine) -> None:
    whole = {"prompt": "a castle", "box": (0, 0, 1, 1)}
    one, other = draw(engine, request(whole), request(prompt="a castle"))
    assert apart(one, other) <= 1


def test_thresholds_and_second_passes_go_with_regions(engine: ThreadEngine) -> None:
    ways: list[dict[str, Any]] = [
        {"thresholding": {"mimic_scale": 3}, "guidance": 9.0},
        {"hires": {"width": 256, "height": 256, "steps": 2}},
    ]
    whole = {"prompt": "a castle", "box": (0, 0, 1, 1)}
    for way in ways:
        one, other, parts = draw(
            engine, request(whole, **way), request(prompt="a castle", **way), request(LEFT, **way)
        )
        assert apart(one, other) <= 1, way
        assert apart(parts, other) > 8, way


@pytest.mark.slow
def test_a_mask_of_all_is_the_prompt_in_both_passes(engine: ThreadEngine) -> None:
    """Also where the latent goes beyond the picture, and where the second is no multiple."""
    white = np.full((200, 200), 255, np.uint8)
    way = {"width": 200, "height": 200, "hires": {"width": 312, "height": 312, "steps": 2}}
    whole = {"prompt": "a castle", "mask_sha256": digest(white)}
    masked = request(whole, **way)
    masked.pixels = {digest(white): white}
    one, other, plain = draw(
        engine, masked, request(prompt="a castle", **way), request(prompt="a meadow", **way)
    )
    assert apart(one, other) <= 1
    assert apart(one, plain) > 8

"""The masked part alone, against cropping, inpainting and pasting done by hand; what is in it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from PIL import ImageFilter

from limner.domain.params import Source
from limner.engine.batching.loop import ThreadEngine
from limner.engine.checkpoints.weights import Checkpoint
from limner.engine.sampling import latents
from limner.engine.sampling.noise import NoiseStream, initial_noise
from limner.engine.sampling.runner import Runner
from limner.imaging import masking
from tests.engine.sampling.test_judged import digest, draw, request

Array = np.ndarray[Any, Any]
BOX = (150, 40, 230, 100)
SIZE = {"width": 128, "height": 128, "steps": 4}


@pytest.fixture(scope="module")
def picture() -> Array:
    return np.random.default_rng(7).integers(0, 256, (170, 300, 3), np.uint8)


@pytest.fixture(scope="module")
def mask() -> Array:
    made = Pillow.new("L", (300, 170))
    made.paste(255, BOX)
    return np.asarray(made)


def box_by_hand(soft: Array, padding: int) -> tuple[int, int, int, int]:
    """What is touched with its padding, grown up and down to a square, which there is room for."""
    left, top, right, bottom = Pillow.fromarray(soft).getbbox() or (0, 0, 0, 0)
    left, top, right, bottom = left - padding, top - padding, right + padding, bottom + padding
    more = (right - left) - (bottom - top)
    top, bottom = top - more // 2, bottom + more - more // 2
    assert 0 < more < 2 * min(top, soft.shape[0] - bottom)
    return left, top, right, bottom


@pytest.mark.parametrize(("blur", "sampler"), [(0, None), (3, "Euler a")])
def test_it_equals_cropping_inpainting_and_pasting(
    engine: ThreadEngine, picture: Array, mask: Array, blur: int, sampler: str | None
) -> None:
    source = {"strength": 0.75, "mask_blur": blur}
    fields = {**SIZE, "sampler": sampler}
    only = {**source, "only_masked": True, "mask_padding": 8}
    asked = request("a mage", picture, mask, source=only, **fields)
    stranger = request("a red castle", **SIZE)
    whole, _ = draw(engine, asked, stranger)

    soft = Pillow.fromarray(mask).filter(ImageFilter.GaussianBlur(blur))
    left, top, right, bottom = box_by_hand(np.asarray(soft), padding=8)
    if not blur:
        assert (left, top, right, bottom) == (142, 22, 238, 118)
    crop = [np.ascontiguousarray(each[top:bottom, left:right]) for each in (picture, mask)]
    inner = {**source, "resize_mode": "fill", "mask_blur": round(blur * 128 / (right - left))}
    [drawn] = draw(engine, request("a mage", *crop, source=inner, **fields))
    side = (right - left, bottom - top)
    back = np.asarray(Pillow.fromarray(drawn).resize(side, Pillow.Resampling.LANCZOS))
    by_hand = picture.copy()
    share = np.asarray(soft)[top:bottom, left:right, None] / 255
    by_hand[top:bottom, left:right] = np.rint(share * back + (1 - share) * crop[0])
    assert np.array_equal(whole, by_hand)
    kept = np.asarray(soft) == 0
    assert np.array_equal(whole[kept], picture[kept])
    assert np.abs(whole[~kept].astype(int) - picture[~kept]).mean() > 10


@pytest.mark.parametrize("fill", ["fill", "noise", "nothing"])
def test_what_the_masked_part_starts_from(squire: Checkpoint, fill: str) -> None:
    scene = np.random.default_rng(3).integers(0, 256, (64, 64, 3), np.uint8)
    mask = np.zeros((64, 64), np.uint8)
    mask[:, 32:] = 255
    said = {"strength": 0.5, "mask_fill": fill}
    asked = request("x", scene, mask, source=said, width=64, height=64, steps=4, sampler="Euler")
    runner = Runner(squire, max_rows=4)
    [image] = runner.plan(asked)
    runner.prepare(image)
    shape = (squire.latent_channels, image.group.height, image.group.width)

    stream = NoiseStream("philox", asked.generation.seed)
    posterior = stream.draw(shape)
    spread = masking.filled(scene, mask)
    expected = latents.encode(squire.vae, spread, posterior, squire.latent_scaling)
    start = torch.from_numpy(initial_noise(stream, shape, subseed=0, strength=0.0))
    hidden = torch.zeros(shape, dtype=torch.bool)
    hidden[..., shape[-1] // 2 :] = True
    inside = {"fill": expected, "noise": start, "nothing": torch.zeros(shape)}[fill]
    found = image.state.H[0].view(shape)
    assert torch.equal(found, torch.where(hidden, inside, expected))
    plain = latents.prepare_source(
        asked.generation.model_copy(
            update={"source": Source(sha256=digest(scene), mask_sha256=digest(mask))}
        ),
        asked.pixels,
        squire,
        NoiseStream("philox", asked.generation.seed),
    )
    assert not torch.equal(found[hidden], plain.latent[hidden])


def test_less_noise_is_laid_on_what_is_repainted_and_not_on_what_is_kept(
    squire: Checkpoint,
) -> None:
    scene = np.random.default_rng(3).integers(0, 256, (64, 64, 3), np.uint8)
    mask = np.zeros((64, 64), np.uint8)
    mask[:, 32:] = 255
    runner, states = Runner(squire, max_rows=4), []
    for multiplier in (1.0, 0.75):
        said = {"strength": 0.5, "noise_multiplier": multiplier}
        fields = {"width": 64, "height": 64, "steps": 4, "sampler": "Euler"}
        [image] = runner.plan(request("x", scene, mask, source=said, **fields))
        runner.prepare(image)
        states.append(image.state)
    usual, less = states
    assert torch.equal(less.H[1], 0.75 * usual.H[1])
    assert torch.equal(less.H[0], usual.H[0])
    assert torch.equal(less.kept, usual.kept)
    expected = usual.C[0, 0] * usual.H[0] + usual.C[0, 1] * (0.75 * usual.H[1])
    assert torch.allclose(less.at(0)[less.mask], expected[less.mask], atol=1e-5)

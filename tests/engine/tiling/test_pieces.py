"""A VAE that takes pictures piece by piece: near to the whole, without seams, told on receipts."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from limner.domain.params import Generation, Source
from limner.domain.tiling import Axes
from limner.engine.checkpoints.weights import Checkpoint
from limner.engine.sampling import latents
from limner.engine.sampling.runner import Runner
from limner.engine.tiling import pieces
from limner.engine.tiling.pieces import PiecewiseVae
from tests.engine.factories import make_generation, make_request
from tests.engine.sampling.test_controlled_pictures import digest, drawn
from tests.engine.tiling.circular import circular, rolled
from tests.engine.tiling.test_seamless import random_vae


def unnormed(vae: Any) -> Any:
    """Without norms and attention, whose statistics are the piece's own."""
    for module in list(vae.modules()):
        for name, child in module.named_children():
            if isinstance(child, torch.nn.GroupNorm):
                setattr(module, name, torch.nn.Identity())
            if name == "attentions":
                setattr(module, name, torch.nn.ModuleList([None] * len(child)))  # type: ignore[list-item]
    return vae


@pytest.mark.parametrize("axes", [Axes(), Axes(x=True), Axes(True, True)])
def test_what_looks_no_further_than_the_overlap_is_the_whole_where_pieces_do_not_end(
    axes: Axes,
) -> None:
    """Only pixels that a piece's own border reached differ, and those by little."""
    vae = unnormed(random_vae())
    whole = circular(vae, "x" * axes.x + "y" * axes.y) if any(axes) else vae
    g = torch.Generator().manual_seed(2)
    latent, picture = (
        torch.randn(1, c, *s, generator=g) for c, s in ((4, (40, 52)), (3, (160, 208)))
    )
    ours = PiecewiseVae(vae, 96, 4, axes)
    with torch.inference_mode():
        expected, found = whole.decode(latent).sample, ours.decode(latent).sample
        means = whole.encode(picture).latent_dist.mean, ours.encode(picture).latent_dist.mean
    for one, two in ((expected, found), means):
        assert two.shape == one.shape
        assert (two - one).abs().mean() < 0.05 * one.std()
        assert ((two - one).abs() < 1e-4).float().mean() > 0.2


def test_weights_of_pieces_fade_into_each_other() -> None:
    one = torch.ones(1, 4, 30, 20)
    vae = PiecewiseVae(_Same(), 8, 1, Axes(y=True))
    assert torch.allclose(vae.decode(one).sample, one)
    ramp = torch.rand(1, 4, 30, 20)
    assert torch.allclose(vae.decode(ramp).sample, ramp, atol=1e-6)
    assert torch.allclose(vae.decode(rolled(ramp, 3, "y")).sample, rolled(ramp, 3, "y"), atol=1e-6)


class _Same:
    def decode(self, x: torch.Tensor) -> Any:
        assert max(x.shape[-2:]) <= 8
        return type("Decoded", (), {"sample": x})


def test_pieces_are_taken_where_the_whole_finds_no_room() -> None:
    vae = random_vae()
    needs = pieces.bytes_of(vae, 2048, 2048)
    assert pieces.side_for(vae, 2048, 2048, needs) is None
    assert pieces.side_for(vae, 2048, 2048, needs - 1) == 1024
    assert pieces.side_for(vae, 2048, 1024, pieces.bytes_of(vae, 800, 800)) == 768
    assert pieces.side_for(vae, 2048, 2048, 1) == 512
    assert pieces.side_for(vae, 512, 512, 1) is None
    assert pieces.side_for(vae, 512, 512, math.inf) is None


def test_it_is_settled_by_memory_told_and_drawn_again(squire: Checkpoint) -> None:
    runner = Runner(squire, max_rows=8)
    asked = make_request("a castle", width=768, height=512, steps=2, guidance=1.0)
    [plain] = drawn(runner, asked)
    runner.free_bytes = 0
    [image] = runner.plan(asked)
    assert image.request is asked
    runner.prepare(image)
    while not image.phase_over:
        runner.step([image])
    pixels, facts = runner.advance(image), runner.facts(image)
    assert pixels is not None
    assert facts.vae_tile == 512
    said = make_generation(**asked.generation.model_dump() | {"vae_tile": 512})
    runner.free_bytes = 1 << 40
    again = replace(asked, generation=said)
    assert (drawn(runner, again)[0] == pixels).all()
    assert Generation.model_validate(said.model_dump(mode="json")) == said
    assert "vae_tile" not in asked.generation.model_dump()
    assert abs(pixels.astype(int) - plain).max() <= 2  # its blocks know nothing of each other


def test_a_picture_is_encoded_in_pieces_too(squire: Checkpoint) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (512, 1024, 3), np.uint8)
    source = Source(sha256=digest(picture))
    g = make_generation(width=1024, height=512, source=source, vae_tile=512)
    noise = np.zeros((squire.latent_channels, 32, 64), np.float32)
    scaling = squire.latent_scaling
    made = latents.encode(latents.vae_of(g, squire), picture, noise, scaling)
    whole = latents.encode(squire.vae, picture, noise, scaling)
    assert torch.allclose(made, whole, atol=1e-3)

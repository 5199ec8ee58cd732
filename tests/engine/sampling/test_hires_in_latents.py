"""Hires in latents, against PyTorch's interpolation and the sampler's matrix by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from limner.domain.hires import LATENT_MODES
from limner.domain.params import Generation
from limner.domain.passes import passes_of
from limner.engine.batching.loop import ThreadEngine
from limner.engine.batching.request import Request
from limner.engine.checkpoints.weights import Checkpoint
from limner.engine.sampling import interpolating, samplers
from limner.engine.sampling.noise import NoiseStream, initial_noise
from limner.engine.sampling.runner import Runner
from tests.engine.sampling.test_hires import SMALL, Array, asked, begun, drawn, finish, hires

METHODS: list[dict[str, Any]] = [
    {"scheduler": "UniPC"},
    {"scheduler": "DDIM"},
    {"sampler": "DPM++ 2M", "schedule": "Karras"},
    {"sampler": "Euler a"},
]


INTERPOLATES: dict[str, dict[str, Any]] = {
    "Latent": {"mode": "bilinear"},
    "Latent (antialiased)": {"mode": "bilinear", "antialias": True},
    "Latent (bicubic)": {"mode": "bicubic"},
    "Latent (bicubic antialiased)": {"mode": "bicubic", "antialias": True},
    "Latent (nearest)": {"mode": "nearest"},
    "Latent (nearest-exact)": {"mode": "nearest-exact"},
}


@pytest.mark.parametrize("mode", LATENT_MODES)
def test_latents_are_interpolated_as_pytorch_does(mode: str) -> None:
    latent = torch.randn(4, 6, 5, generator=torch.Generator().manual_seed(1))
    expected = torch.nn.functional.interpolate(latent[None], (12, 10), **INTERPOLATES[mode])[0]
    assert torch.equal(interpolating.covering(latent, (12, 10), mode), expected)
    assert torch.equal(interpolating.covering(latent, (8, 10), mode), expected[:, 2:10])


@pytest.mark.parametrize(
    ("mode", "factor"),
    [
        pytest.param(mode, factor, marks=() if quick == (mode, factor) else pytest.mark.slow)
        for quick in [("Latent (bicubic)", 2.0)]
        for mode in LATENT_MODES
        for factor in (1.5, 2.0)
    ],
)
def test_a_latent_start_is_our_matrix_over_what_pytorch_interpolates(
    squire: Checkpoint, mode: str, factor: float
) -> None:
    checked(squire, asked(hires=hires(factor, upscaler=mode), guidance=1.0))


@pytest.mark.slow
@pytest.mark.parametrize("factor", [1.5, 2.0])
@pytest.mark.parametrize("method", METHODS, ids=lambda method: next(iter(method.values())))
def test_a_latent_start_is_that_with_every_method_and_beside_strangers(
    squire: Checkpoint, engine: ThreadEngine, method: dict[str, Any], factor: float
) -> None:
    side = int(factor * SMALL)
    second = {"width": side, "height": side, "upscaler": "Latent", "steps": 6, "strength": 0.6}
    g = asked(hires=second, guidance=1.0, **method)
    alone = checked(squire, g)
    sizes = ({}, {"width": side, "height": side})
    strangers = [begun(engine, asked(seed=99 - n, steps=40, **own)) for n, own in enumerate(sizes)]
    (beside,) = drawn(begun(engine, g))
    assert np.array_equal(alone, beside)
    assert [drawn(stranger)[0].shape[0] for stranger in strangers] == [SMALL, side]


def checked(squire: Checkpoint, g: Generation) -> Array:
    """The picture, whose second pass is the sampler's matrix by hand, at guidance 1."""
    assert g.hires is not None
    runner, size = Runner(squire, max_rows=8), (g.hires.height, g.hires.width)
    (image,) = runner.plan(Request("a", g, "me", print))
    left, pixels = finish(runner, image)
    side = SMALL // squire.vae_scale
    large = (size[0] // squire.vae_scale, size[1] // squire.vae_scale)
    small = left.view(1, -1, side, side)
    mode = INTERPOLATES[g.hires.upscaler]
    start = torch.nn.functional.interpolate(small, large, **mode)[0]
    trace = samplers.trace(passes_of(g)[1].method, 6, mode="img2img", strength=0.6)
    stream = NoiseStream("philox", 11)
    noise = [initial_noise(stream, tuple(start.shape))]
    noise += [stream.draw(tuple(start.shape)) for _ in range(trace.draws)]
    history = [start.flatten(), *(torch.from_numpy(each).flatten() for each in noise)]
    context = image.state.guidance.at(0).contexts
    for k, t in enumerate(trace.timesteps):
        seen = torch.stack(history[: trace.eps_column(k)])
        y = (torch.from_numpy(trace.inputs[k, : len(seen)]).float() @ seen).view(1, *start.shape)
        with torch.inference_mode():
            made = squire.unet(y, torch.tensor(float(t)), torch.stack(context)).sample
        history.append(made.flatten())
    final = torch.from_numpy(trace.final).float() @ torch.stack(history)
    ours = image.state.at(image.k)
    assert torch.allclose(final, ours, atol=2e-3), (final - ours).abs().max()
    assert pixels.shape == (*size, 3)
    return pixels

"""Upscalers by their files, at every scale, under every name that programs give them."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from limner.engine.checkpoints import networks, upscalers
from limner.engine.checkpoints.headers import Header, TensorInfo
from limner.engine.checkpoints.inspection import kind_of, read_header
from tests.engine.upscaling import making

Shapes = dict[str, tuple[int, ...]]


def header(shapes: Shapes) -> Header:
    infos = {name: TensorInfo("F32", shape) for name, shape in shapes.items()}
    return Header(Path("up.pth"), infos, {})


def newer(channels: int, wrapper: str = "") -> making.Tensors:
    """ESRGAN under its newer names; pixels of smaller scales are folded into channels."""
    layers = {"conv_first": (8, channels), "conv_last": (3, 8)}
    layers |= dict.fromkeys(("conv_body", "conv_up1", "conv_up2", "conv_hr"), (8, 8))
    for rdb in (1, 2, 3):
        for n in range(1, 6):
            layers[f"body.0.rdb{rdb}.conv{n}"] = (8 if n == 5 else 32, 8 + 32 * (n - 1))
    made = {f"{wrapper}{name}.weight": torch.zeros(*shape, 3, 3) for name, shape in layers.items()}
    return made | {f"{wrapper}{name}.bias": torch.zeros(s[0]) for name, s in layers.items()}


KNOWN: dict[str, tuple[making.Tensors, str, int]] = {
    "4x": (newer(3), "ESRGAN", 4),
    "2x": (newer(12), "ESRGAN", 2),
    "1x": (newer(48), "ESRGAN", 1),
    "wrapped": (newer(3, "params_ema."), "ESRGAN", 4),
    "wrapped otherwise": (newer(12, "params."), "ESRGAN", 2),
    **{f"older {n}x": (making.esrgan(scale=n), "ESRGAN", n) for n in (1, 2, 4, 8)},
    "compact 4x": (making.compact(scale=4), "RealESRGAN Compact", 4),
    "compact 2x": (making.compact(), "RealESRGAN Compact", 2),
}


@pytest.mark.parametrize("what", KNOWN)
def test_an_upscaler_tells_its_network_and_scale(tmp_path: Path, what: str) -> None:
    tensors, network, scale = KNOWN[what]
    making.written(tmp_path / "up.safetensors", tensors)
    found = read_header(tmp_path / "up.safetensors")
    assert kind_of(found) == "upscaler"
    assert upscalers.facts(found) == {"network": network, "scale": scale, "reason": None}


def test_layers_of_these_names_and_other_shapes_are_none() -> None:
    assert kind_of(header({"body.0.weight": (4, 4), "body.1.weight": (4, 4)})) == "unknown"
    assert kind_of(header({"body.0.block1.weight": (4, 4)})) == "t2i-adapter"


NAMES = sorted({name for tensors, _, _ in KNOWN.values() for name in tensors})


@given(
    st.dictionaries(
        st.sampled_from(NAMES), st.lists(st.integers(0, 99), max_size=4).map(tuple), min_size=1
    )
)
def test_any_shapes_are_told_of(shapes: Shapes) -> None:
    with patch.object(networks, "READ", -1):  # there is no file
        told = upscalers.facts(header(shapes))
    assert told["reason"] or told["scale"] > 0

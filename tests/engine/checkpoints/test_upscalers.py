"""Upscalers by the shapes that their networks have as published, at every scale."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limner.engine.checkpoints import upscalers
from limner.engine.checkpoints.headers import Header, TensorInfo
from limner.engine.checkpoints.inspection import kind_of

Shapes = dict[str, tuple[int, ...]]


def header(shapes: Shapes) -> Header:
    infos = {name: TensorInfo("F32", shape) for name, shape in shapes.items()}
    return Header(Path("up.pth"), infos, {})


def esrgan(channels: int, wrapper: str = "") -> Shapes:
    names = ("conv_body", "conv_up1", "conv_up2", "conv_hr")
    return {
        f"{wrapper}conv_first.weight": (64, channels, 3, 3),
        f"{wrapper}body.0.rdb1.conv1.weight": (32, 64, 3, 3),
        **{f"{wrapper}{name}.weight": (64, 64, 3, 3) for name in names},
        f"{wrapper}conv_last.weight": (3, 64, 3, 3),
    }


def older(places: tuple[int, ...]) -> Shapes:
    """One list of layers: the first, the body, for each doubling a convolution, two more."""
    return {
        "model.0.weight": (64, 3, 3, 3),
        "model.1.sub.0.RDB1.conv1.0.weight": (32, 64, 3, 3),
        **{f"model.{place}.weight": (64, 64, 3, 3) for place in places},
    }


def compact(scale: int) -> Shapes:
    return {
        "body.0.weight": (64, 3, 3, 3), "body.1.weight": (64,), "body.2.weight": (64, 64, 3, 3),
        "body.3.weight": (64,), "body.34.weight": (3 * scale**2, 64, 3, 3),
    }  # fmt: skip


def transformer(mark: str, *ratios: int) -> Shapes:
    ups = {f"upsample.{2 * n}.weight": (64 * r, 64, 3, 3) for n, r in enumerate(ratios)}
    return {"conv_first.weight": (180, 3, 3, 3), mark: (4, 4), **ups}


SWIN = "layers.0.residual_group.blocks.0.attn.qkv.weight"
HAT = "layers.0.residual_group.overlap_attn.qkv.weight"
DAT = "layers.0.blocks.0.attn.qkv.weight"
KNOWN: dict[str, tuple[Shapes, str, int | None]] = {
    "4x": (esrgan(3), "ESRGAN", 4),
    "2x": (esrgan(12), "ESRGAN", 2),
    "1x": (esrgan(48), "ESRGAN", 1),
    "wrapped": (esrgan(3, "params_ema."), "ESRGAN", 4),
    "wrapped otherwise": (esrgan(12, "params."), "ESRGAN", 2),
    "older 1x": (older((2, 4)), "ESRGAN, older", 1),
    "older 2x": (older((3, 5, 7)), "ESRGAN, older", 2),
    "older 4x": (older((3, 6, 8, 10)), "ESRGAN, older", 4),
    "older 8x": (older((3, 6, 9, 11, 13)), "ESRGAN, older", 8),
    "compact 4x": (compact(4), "SRVGG", 4),
    "compact 2x": (compact(2), "SRVGG", 2),
    "SwinIR 4x": (transformer(SWIN, 4, 4), "SwinIR", 4),
    "SwinIR 3x": (transformer(SWIN, 9), "SwinIR", 3),
    "SwinIR without a hint": (transformer(SWIN), "SwinIR", None),
    "HAT": (transformer(HAT, 4, 4), "HAT", 4),
    "DAT": (transformer(DAT, 4), "DAT", 2),
    "another": ({"conv_first.weight": (64, 3, 3, 3)}, "unknown", None),
}


@pytest.mark.parametrize("what", KNOWN)
def test_an_upscaler_tells_its_network_and_scale(what: str) -> None:
    shapes, network, scale = KNOWN[what]
    assert kind_of(header(shapes)) == "upscaler"
    assert upscalers.facts(header(shapes)) == {"network": network, "scale": scale}


def test_layers_of_these_names_and_other_shapes_are_none() -> None:
    assert kind_of(header({"body.0.weight": (4, 4), "body.1.weight": (4, 4)})) == "unknown"
    assert kind_of(header({"body.0.block1.weight": (4, 4)})) == "t2i-adapter"


NAMES = sorted({name for shapes, _, _ in KNOWN.values() for name in shapes})


@given(
    st.dictionaries(
        st.sampled_from(NAMES), st.lists(st.integers(0, 99), max_size=4).map(tuple), min_size=1
    )
)
def test_any_shapes_are_told_of(shapes: Shapes) -> None:
    scale = upscalers.facts(header(shapes))["scale"]
    assert scale is None or scale > 0

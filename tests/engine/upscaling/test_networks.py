"""Every network that spandrel makes pictures larger with: told of, and equal to its own run."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from limner.engine.checkpoints import upscalers
from limner.engine.checkpoints.inspection import kind_of, read_header
from limner.engine.checkpoints.spandrels import spandrel
from limner.engine.upscaling import tiles
from limner.engine.upscaling.nets import BLEND, Net
from limner.engine.upscaling.reading import load
from limner.errors import CheckpointError
from tests.engine.upscaling import architectures, making

pytestmark = pytest.mark.filterwarnings("ignore")  # of spandrel's networks
CORE = 32
FAST = ("SPAN", "PLKSR")
ROWS = [
    name if name in FAST else pytest.param(name, marks=pytest.mark.slow)
    for name in architectures.ALL
]
PICTURE = np.random.default_rng(1).integers(0, 256, (112, 160, 3), np.uint8)
WIDE = np.random.default_rng(2).integers(0, 256, (CORE, 520, 3), np.uint8)
SMALL = PICTURE[:56, :72]
CPU = torch.device("cpu")


@pytest.mark.parametrize("name", ROWS)
def test_it_is_told_and_equals_spandrels_own_run(tmp_path: Path, name: str) -> None:
    tensors, file = architectures.made(name), tmp_path / "net.safetensors"
    making.written(file, tensors)
    found = spandrel().MAIN_REGISTRY.load(dict(tensors))
    told = upscalers.facts(read_header(file))
    assert kind_of(read_header(file)) == "upscaler"
    assert told == {"network": found.architecture.name, "scale": found.scale, "reason": None}
    expected = making.in_one_piece(tensors, SMALL)
    assert np.ptp(expected) > 50  # of 255: something is there to be compared
    made = tiles.run(load(file, CPU), SMALL, tile_bytes=1 << 40)
    assert np.abs(made - expected.clip(0, 255)).max() <= 0.51


EVERYWHERE = (
    *(f"RealCUGAN {n}x" for n in (2, 3, 4)),
    *("ATD", "CRAFT", "DCTLSA", "GRL", "IPT", "OmniSR", "RGT"),
)
"""They weigh channels or compare pixels over all of the picture, or farther than tiles see."""


@pytest.mark.slow
@pytest.mark.parametrize("name", [each for each in architectures.ALL if each not in EVERYWHERE])
def test_tiles_are_as_in_one_piece(tmp_path: Path, name: str) -> None:
    tensors = architectures.made(name)
    making.written(tmp_path / "net.pth", tensors)
    net = load(tmp_path / "net.pth", CPU)
    expected = making.in_one_piece(tensors, PICTURE).clip(0, 255)
    assert np.abs(in_tiles(net) - expected).max() <= 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["RealCUGAN 2x", "ATD", "CRAFT", "OmniSR", "RGT"])
def test_a_tile_is_spandrels_run_of_what_it_was_given(tmp_path: Path, name: str) -> None:
    """That is what holds of networks that look everywhere: between two fades, and no more."""
    tensors = architectures.made(name)
    making.written(tmp_path / "net.pth", tensors)
    net = load(tmp_path / "net.pth", CPU)
    given = making.in_one_piece(tensors, WIDE[:, : CORE + net.halo])
    inside = (CORE - BLEND) * net.scale
    made = in_tiles(net, WIDE)[:, :inside]
    assert np.abs(made - given[:, :inside].clip(0, 255)).max() <= 0.51


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SwinIR", "DAT"])
def test_reading_one_writes_no_line_of_pytorchs(tmp_path: Path, name: str) -> None:
    """Which would stand among the lines of a log, and in lists; it comes once in a process."""
    making.written(tmp_path / "net.pth", architectures.made(name))
    read = "from limner.engine.upscaling.reading import load; import sys, torch, pathlib; "
    read += "load(pathlib.Path(sys.argv[1]), torch.device('cpu'))"
    command = [sys.executable, "-c", read, str(tmp_path / "net.pth")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout + done.stderr == ""


def in_tiles(net: Net, pixels: np.ndarray = PICTURE) -> np.ndarray:
    room = net.pixel_bytes * (CORE + 2 * net.halo) ** 2
    assert net.core(room) == CORE
    assert not net.fits(*pixels.shape[:2], room)
    return tiles.run(net, pixels, tile_bytes=room)


def test_no_network_of_spandrels_is_left_out() -> None:
    known = {each.architecture.name for each in spandrel().MAIN_REGISTRY}
    modules = {place.partition(".")[0] for place, _ in architectures.ALL.values()}
    larger = {spandrel().MAIN_REGISTRY[module].architecture.name for module in modules}
    assert known == larger | set(upscalers.OTHER)
    assert not larger & set(upscalers.OTHER)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("toRGB.0.weight", "final_linear.weight"), None),
        (("idx_pred_layer.1.weight",), r"of the network CodeFormer, which restores faces"),
        (
            (
                "conv_first.weight",
                "layers.0.residual_group.blocks.0.attn.aligned_relative_position_index",
            ),
            r"of the network SRFormer, .* its licence",
        ),
        (("conv_first.weight",), r"an upscaler of a network that spandrel \S+ does not know"),
    ],
)
def test_what_makes_nothing_larger_is_refused_by_name(
    tmp_path: Path, names: tuple[str, ...], words: str | None
) -> None:
    shapes = {name: torch.zeros(3, 3, 3, 3) for name in names}
    making.written(tmp_path / "net.safetensors", shapes)
    header = read_header(tmp_path / "net.safetensors")
    if words is None:
        assert kind_of(header) == "unknown"
        return
    assert kind_of(header) == "upscaler"
    with pytest.raises(CheckpointError, match=words):
        load(header.path, CPU)


def test_a_network_that_takes_noise_out_is_refused_by_name(tmp_path: Path) -> None:
    spandrel()  # imported by itself it wants torchvision
    dncnn = importlib.import_module("spandrel.architectures.DnCNN").DnCNN
    making.written(tmp_path / "net.pth", dncnn(nc=8, nb=4).state_dict())
    assert kind_of(read_header(tmp_path / "net.pth")) == "upscaler"
    words = r"net\.pth is of the network DnCNN, which takes noise out of .*; it is no upscaler"
    with pytest.raises(CheckpointError, match=words):
        load(tmp_path / "net.pth", CPU)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        ({"body.2000000000.weight": torch.zeros(1)}, "numbers more layers than"),
        ({"body.10.weight": torch.zeros(3 * 64**2, 8, 3, 3),
          "body.10.bias": torch.zeros(3 * 64**2)}, "pictures 64 times as large; at most 16"),
        ({"body.10.weight": torch.zeros(7, 8, 3, 3), "body.10.bias": torch.zeros(7)},
         "is broken: its tensors do not make the network"),
        ({"body.2.weight": torch.zeros(9, 8, 3, 3)}, "is broken: its tensors do not make"),
        ({"body.2.weight": torch.ones(8, 8, 3, 3, dtype=torch.int8)},
         "'body.2.weight' is stored as I8; weights are read as F64, F32"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_before_it_is_made(
    tmp_path: Path, spoil: dict[str, torch.Tensor], words: str
) -> None:
    making.written(tmp_path / "net.safetensors", making.compact() | spoil)
    header = read_header(tmp_path / "net.safetensors")
    assert re.search(words, upscalers.facts(header)["reason"])
    with pytest.raises(CheckpointError, match=words):
        load(header.path, CPU)

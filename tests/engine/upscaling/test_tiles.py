"""Upscalers in tiles against spandrel's own run in one piece."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from limner.domain.upscalers import Upscaler
from limner.engine.upscaling import tiles
from limner.engine.upscaling.nets import Net
from limner.engine.upscaling.reading import load
from limner.engine.upscaling.resident import Upscalers
from limner.errors import Aborted
from limner.imaging.enlarging import enlarge
from tests.engine.upscaling import making

pytestmark = pytest.mark.filterwarnings("ignore:torch.meshgrid")
PICTURE = np.random.default_rng(1).integers(0, 256, (96, 136, 3), np.uint8)
CPU = torch.device("cpu")
NETS: dict[str, Any] = {
    "esrgan x4": making.esrgan,
    "esrgan x2": lambda: making.esrgan(scale=2, blocks=2),
    "esrgan x1": lambda: making.esrgan(scale=1),
    "compact": making.compact,
    "swinir": making.swinir,
}


def tile_bytes(net: Net, core: int = 32) -> int:
    room = net.pixel_bytes * (core + 2 * net.halo) ** 2
    assert not net.fits(*PICTURE.shape[:2], room)
    return room


@pytest.mark.parametrize(
    "name", [n if n == "compact" else pytest.param(n, marks=pytest.mark.slow) for n in NETS]
)
def test_tiles_are_as_in_one_piece(tmp_path: Path, name: str) -> None:
    tensors = NETS[name]()
    sums = [making.written(tmp_path / f"net{end}", tensors) for end in (".pth", ".safetensors")]
    net, same = (load(tmp_path / f"net{end}", CPU) for end in (".pth", ".safetensors"))
    assert [net.sha256, same.sha256] == sums
    assert np.array_equal(tiles.run(same, PICTURE), tiles.run(net, PICTURE))
    expected = making.in_one_piece(tensors, PICTURE)
    assert np.ptp(expected) > 100  # of 255: something is there to be compared
    assert np.abs(tiles.run(net, PICTURE) - expected).max() <= 0.501
    assert net.core(tile_bytes(net)) == 32
    tiled = tiles.run(net, PICTURE, tile_bytes=tile_bytes(net))
    assert np.abs(tiled - expected).max() <= 1


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_random_ones_of_the_family_are_spandrels_run(tmp_path: Path, seed: int) -> None:
    """Of any scale, depth and size of picture, whole and in tiles, within 1 of 255."""
    rng = np.random.default_rng(seed)
    if seed % 2:
        own: dict[str, Any] = {"scale": int(rng.integers(1, 5)), "layers": int(rng.integers(2, 7))}
        tensors = making.compact(**own, seed=seed)
    else:
        own = {"scale": int(rng.choice((1, 2, 4))), "width": int(rng.choice((4, 12, 16)))}
        tensors = making.esrgan(**own, blocks=int(rng.integers(1, 4)), seed=seed)
    making.written(tmp_path / "net.pth", tensors)
    net = load(tmp_path / "net.pth", CPU)
    pixels = rng.integers(0, 256, (*rng.integers(70, 130, 2), 3), np.uint8)
    expected = making.in_one_piece(tensors, pixels).clip(0, 255)
    assert np.ptp(expected) > 20  # of 255: something is there to be compared
    assert np.abs(tiles.run(net, pixels) - expected).max() <= 0.501
    room = net.pixel_bytes * (32 + 2 * net.halo) ** 2
    if not net.fits(*pixels.shape[:2], room):
        assert np.abs(tiles.run(net, pixels, tile_bytes=room) - expected).max() <= 1


def test_grey_networks_take_each_channel(tmp_path: Path) -> None:
    tensors = making.compact(channels=1)
    making.written(tmp_path / "grey.pth", tensors)
    made = tiles.run(load(tmp_path / "grey.pth", CPU), PICTURE)
    for n in range(3):
        alone = making.in_one_piece(tensors, PICTURE[..., n : n + 1])
        assert np.abs(made[..., n] - alone[..., 0]).max() <= 0.501


@pytest.mark.parametrize("tiled", [True, False])
def test_a_picture_that_tiles_still_does(tmp_path: Path, tiled: bool) -> None:
    making.written(tmp_path / "net.pth", making.compact())
    net = load(tmp_path / "net.pth", CPU)
    most = tile_bytes(net) if tiled else 1 << 30
    made = tiles.run(net, PICTURE, (True, True), tile_bytes=most)
    rolled = tiles.run(net, np.roll(PICTURE, (48, 68), (0, 1)), (True, True), tile_bytes=most)
    moved = np.roll(made, (96, 136), (0, 1)).astype(int)
    assert np.abs(moved - rolled).max() <= 1
    plain = tiles.run(net, PICTURE)
    assert np.abs(plain.astype(int) - made).max() > 1


def test_work_ends_between_two_tiles(tmp_path: Path) -> None:
    making.written(tmp_path / "net.pth", making.compact())
    net = load(tmp_path / "net.pth", CPU)
    begun: list[int] = []

    def proceed() -> None:
        begun.append(1)
        if len(begun) == 3:
            raise Aborted("enough")

    with pytest.raises(Aborted):
        tiles.run(net, PICTURE, proceed=proceed, tile_bytes=tile_bytes(net))
    assert len(begun) == 3


def test_a_network_runs_until_the_size_is_covered(tmp_path: Path) -> None:
    sha256 = making.written(tmp_path / "net.pth", making.compact(scale=2))
    upscalers = Upscalers(lambda _: tmp_path / "net.pth", CPU)
    named, small = Upscaler(name="net", sha256=sha256), PICTURE[:40, :40]
    net = load(tmp_path / "net.pth", CPU)
    twice = tiles.run(net, tiles.run(net, small))
    for side, source in ((120, twice), (160, twice), (60, tiles.run(net, small))):
        expected = enlarge("Lanczos", source, side, side)
        assert np.array_equal(upscalers.upscale(named, small, side, side), expected)
    assert upscalers.held(named, (40, 40), (160, 160)) == (
        net.bytes + 80 * 80 * net.pixel_bytes + 3 * (160**2 + 80**2)
    )

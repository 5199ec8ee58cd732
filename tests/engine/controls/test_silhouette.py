"""The embedded model's own ControlNet, an untrained stand-in: read as `training` computes it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from limner.engine.checkpoints import weights
from limner.engine.checkpoints.weights import Checkpoint
from limner.engine.controls.nets import Rows
from limner.engine.controls.reading import load
from limner.errors import CheckpointError
from tests.engine import checkpoint_files
from tests.engine.checkpoints.writing import plain
from training.satchel import silhouette
from training.satchel.learning import Student

SIDE = 32


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file whose ends are not zero, as they are before training."""
    torch.manual_seed(1)
    net = silhouette.build(Student(bfloat16=False))
    with torch.no_grad():
        for end in (*net.controlnet_down_blocks, net.controlnet_mid_block):
            end.weight.normal_(std=0.1)
    made = tmp_path_factory.mktemp("satchel") / "squire-silhouette.safetensors"
    silhouette.save(net, made)
    return made


def masks() -> np.ndarray:
    """Two silhouettes (2, 32, 32): what stands in the middle, and nothing."""
    made = np.zeros((2, SIDE, SIDE), bool)
    made[0, 8:28, 10:20] = True
    return made


@pytest.mark.slow
def test_what_it_adds_is_what_was_trained(squire: Checkpoint, path: Path) -> None:
    net, trained = load(path, squire), silhouette.load(path)
    g = torch.Generator().manual_seed(2)
    y, told = torch.randn(2, 4, SIDE, SIDE, generator=g), torch.randn(2, 77, 128, generator=g)
    t = torch.full((2,), 321.0)
    pictures = np.repeat(masks().repeat(16, 1).repeat(16, 2)[..., None] * np.uint8(255), 3, -1)
    ours = net.add(Rows(y, t, told, None), [net.hint(torch.from_numpy(p)) for p in pictures])
    with torch.no_grad():
        down, mid = silhouette.added(trained, y, t, told, masks())
        other, _ = silhouette.added(trained, y, t, told, ~masks())
    for one, wanted in zip(ours, (*down, mid), strict=True):
        assert (one - wanted).abs().max() < 0.03 * wanted.abs().max()
    assert (other[0] - down[0]).abs().max() > 0.1 * down[0].abs().max()  # it reads the map


@pytest.mark.slow
def test_eight_bits_are_near_what_was_saved(path: Path) -> None:
    saved, student = silhouette.load(path).state_dict(), Student(bfloat16=False)
    for name, value in student.unet.state_dict().items():
        if name in saved and value.numel() > silhouette.SMALL:
            gap = (saved[name] - value).abs().max() / value.abs().max()
            assert 0 < gap < 0.07  # three bits behind the first
    assert path.stat().st_size < 4.3e6


@pytest.mark.slow
def test_other_models_refuse_it_in_a_sentence(path: Path, tmp_path: Path) -> None:
    checkpoint_files.write_folder(tmp_path / "plain", plain())
    narrow = weights.load(tmp_path / "plain", device="cpu", dtype="float32")
    with pytest.raises(CheckpointError, match=r"^squire-silhouette\.safetensors reads .*model"):
        load(path, narrow)

"""The loop: pictures on disk, and training that resumes where it stopped."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.distributed as dist

from training import data, model
from training.batches import Batches
from training.loop import Trainer, averaged_state
from training.model import build_unet, for_training
from training.text import TextEncoder, load_tokenizer


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("LIMNER_TRAINING_DIR", str(tmp_path))
    monkeypatch.setattr(data, "SHARD", 24)
    monkeypatch.setattr(model, "CHANNELS", (16, 16, 16, 32))
    return tmp_path


@pytest.fixture
def alone(folder):
    """A process group of one."""
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def trainer(folder) -> Trainer:
    torch.manual_seed(0)
    encoder = TextEncoder(load_tokenizer())
    batches = Batches(data.Pictures(0, folder), encoder, 2 * 32 * 32)
    return Trainer(for_training(build_unet()), encoder, batches, seed=0, bfloat16=False)


def test_shards_are_painted_once_and_read_back(folder):
    data.build_shard(0, 0, folder)
    stamp = next(folder.glob("*.npz")).stat().st_mtime_ns
    data.build_shard(0, 0, folder)
    assert next(folder.glob("*.npz")).stat().st_mtime_ns == stamp
    pictures = data.Pictures(0, folder)
    assert len(pictures) == 24
    scene, sprite = data.draw(0, 0)
    size = sprite.shape[:2]
    assert pictures.scenes[size][0] == scene
    assert np.array_equal(pictures.sprites[size][0], sprite)


def test_missing_pictures_are_named(folder):
    with pytest.raises(SystemExit, match=r"training\.data"):
        data.Pictures(0, folder)


@pytest.mark.slow
@pytest.mark.usefixtures("alone")
def test_training_goes_on_from_a_checkpoint_as_if_it_had_never_stopped(folder):
    data.build_shard(0, 0, folder)
    first = trainer(folder)
    first.run_step()
    first.save(folder / "steady.pt")
    first.run_step()
    second = trainer(folder)
    second.load(folder / "steady.pt")
    second.run_step()
    assert (second.step, second.samples) == (first.step, first.samples)
    for mine, other in zip(first.weights, second.weights, strict=True):
        assert torch.equal(mine, other)
    _, _, samples = averaged_state(folder / "steady.pt")
    assert 0 < samples < first.samples


@pytest.mark.usefixtures("alone")
def test_a_cooldown_lets_the_rate_fall_and_ends_by_itself(folder):
    data.build_shard(0, 0, folder)
    cooling = trainer(folder)
    cooling.step = 1000
    steady = cooling.rate()
    cooling.cooldown_samples = 3
    steps = [cooling.run_step()]
    assert cooling.rate() < steady
    while steps[-1]:
        steps.append(cooling.run_step())
    assert cooling.samples >= 3
    assert cooling.rate() < 0.1 * steady


@pytest.mark.usefixtures("alone")
def test_a_wish_to_stop_ends_the_loop_after_the_step(folder):
    data.build_shard(0, 0, folder)
    stopping = trainer(folder)
    stopping.stopping = True
    assert not stopping.run_step()

"""Checkpoints in the host's memory; a second copy on the CPU stands for one on a GPU."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from limner.engine.checkpoints.hosted import Hosted, moved
from limner.engine.checkpoints.weights import Checkpoint
from tests.engine.checkpoints.loading import assert_equal

PARTS = ("unet", "vae", "text_encoder")


def test_a_moved_checkpoint_is_the_same_with_numbers_of_its_own(loaded: Checkpoint) -> None:
    before = replace(loaded, info=replace(loaded.info, device="cuda", processor="x", threads=None))
    found = moved(before, "cpu")
    assert found.info == loaded.info
    assert found.bytes == loaded.bytes
    for part in PARTS:
        ours, theirs = getattr(found, part), getattr(loaded, part)
        assert_equal(ours, theirs)
        assert ours.training is theirs.training is False
        pairs = zip(ours.parameters(), theirs.parameters(), strict=True)
        for mine, its in pairs:
            assert mine.dtype == its.dtype
            assert not mine.requires_grad
            assert mine.data_ptr() != its.data_ptr()
    latent, context = torch.ones(1, 4, 8, 8), torch.ones(1, 77, 32)
    drawn = [each.unet(latent, 5, context).sample for each in (found, loaded)]
    assert torch.equal(*drawn)


def test_it_moves_to_another_device(loaded: Checkpoint) -> None:
    found = moved(loaded, "meta")
    assert found.info.device == "meta"
    devices = {t.device.type for part in PARTS for t in getattr(found, part).state_dict().values()}
    assert devices == {"meta"}
    assert all(t.device.type == "cpu" for t in loaded.unet.parameters())


def test_the_least_recently_wanted_goes_and_what_is_too_large_passes_by(
    loaded: Checkpoint,
) -> None:
    size, calls = loaded.bytes, list[str]()

    def move(checkpoint: Checkpoint, device: str) -> Checkpoint:
        assert checkpoint is loaded
        calls.append(f"copy to {device}")
        return checkpoint

    def load(name: str) -> Any:
        return lambda device: calls.append(f"load {name} on {device}") or loaded

    hosted = Hosted(2 * size, move)
    for name, told in (
        ("a", ["load a on cpu", "copy to gpu"]),
        ("b", ["load b on cpu", "copy to gpu"]),
        ("a", ["copy to gpu"]),
        ("c", ["load c on cpu", "copy to gpu"]),  # b goes
        ("a", ["copy to gpu"]),
        ("b", ["load b on cpu", "copy to gpu"]),  # c goes
    ):
        calls.clear()
        assert hosted.bring(name, size, load(name), "gpu") is loaded
        assert calls == told
        assert hosted.bytes <= hosted.budget
    calls.clear()
    hosted.bring("large", 2 * size + 1, load("large"), "gpu")
    hosted.bring("a", size, load("a"), "gpu")
    assert calls == ["load large on gpu", "copy to gpu"]


def test_one_that_cannot_be_loaded_leaves_nothing(loaded: Checkpoint) -> None:
    def fail(_: str) -> Checkpoint:
        raise OSError

    hosted = Hosted(loaded.bytes)
    for _ in range(2):
        try:
            hosted.bring("a", loaded.bytes, fail, "cpu")
        except OSError:
            continue
        raise AssertionError
    assert hosted.bytes == 0

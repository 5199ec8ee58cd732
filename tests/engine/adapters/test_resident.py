"""Which adapters stay in memory, and what is told of files that went away."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from limner.domain.loras import Lora
from limner.engine.adapters.resident import Adapters, find_nothing
from limner.engine.adapters.targets import Target, targets_of
from limner.engine.checkpoints import digests
from limner.errors import InvalidInput
from tests.engine.adapters import making
from tests.engine.adapters.conftest import PLACES

LAYERS = nn.ModuleDict({"layer": nn.Linear(32, 32)})
TARGETS: dict[str, Target] = targets_of(LAYERS, nn.Module())
SIZE = 4 * 2 * 16 * 32  # of one: A and B of rank 16 in float32

Given = tuple[Callable[[int], Adapters], list[Lora], list[str]]


@pytest.fixture
def given(tmp_path: Path) -> Given:
    """What makes a cache of so many bytes over three files; the files' LoRAs; what was read."""
    paths, read = {}, list[str]()
    for seed in range(3):
        path = tmp_path / f"{seed}.safetensors"
        making.file(path, {"unet": {"layer": LAYERS["layer"].weight}}, seed=seed)
        paths[digests.compute(path)] = path

    def find(sha256: str) -> Path:
        read.append(paths[sha256].stem)
        return paths[sha256]

    loras = [Lora(name=path.stem, sha256=sha256) for sha256, path in paths.items()]
    return lambda capacity: Adapters(find, lambda: TARGETS, PLACES, capacity), loras, read


def test_what_was_used_last_is_kept_up_to_the_capacity(given: Given) -> None:
    make, loras, read = given
    adapters = make(2 * SIZE)
    for number in (0, 1, 0, 2, 0, 1):
        adapters.get(loras[number])
    assert read == ["0", "1", "2", "1"]
    assert adapters.stats.bytes == 2 * SIZE
    assert (adapters.stats.hits, adapters.stats.misses) == (2, 4)


def test_what_is_in_use_is_not_read_twice(given: Given) -> None:
    make, loras, read = given
    adapters = make(SIZE)
    [held] = adapters.uses(loras[:1], "unet")
    adapters.get(loras[1])
    assert adapters.get(loras[0]) is held.adapter
    assert read == ["0", "1"]


def test_sizes_are_known_and_parts_without_strength_unused(given: Given) -> None:
    make, loras, _ = given
    adapters = make(SIZE)
    assert adapters.size(loras) == 3 * SIZE
    half = loras[0].model_copy(update={"unet": 0.0, "text_encoder": 0.5})
    assert adapters.uses([half], "unet") == ()
    assert [use.strength for use in adapters.uses([half], "text_encoder")] == [0.5]


def test_a_file_that_changed_or_went_away_is_told(given: Given, tmp_path: Path) -> None:
    make, loras, _ = given
    making.file(tmp_path / "0.safetensors", {"unet": {"layer": torch.ones(32, 32)}}, seed=9)
    with pytest.raises(InvalidInput, match="'0' has changed since it was chosen"):
        make(SIZE).get(loras[0])
    (tmp_path / "1.safetensors").unlink()
    with pytest.raises(InvalidInput, match=r"^loras: .*1\.safetensors does not exist"):
        make(SIZE).get(loras[1])
    with pytest.raises(InvalidInput, match="knows no file of SHA-256"):
        Adapters(find_nothing, lambda: TARGETS, PLACES).get(loras[2])

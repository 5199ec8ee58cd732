"""Nothing in a step waits for the host, and a picture is brought to the device in a few copies.

On a CPU such a wait costs nothing, so it is looked for by the operators that would cause it.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from limner.engine.checkpoints.weights import Checkpoint
from limner.engine.sampling import guidance, history
from limner.engine.sampling.runner import Runner
from tests.engine.factories import make_request

ALTERNATION = "[" + "|".join(f"w{n}" for n in range(12)) + "] knight"


class Waits(TorchDispatchMode):
    """Notes operators that read a number back, or bring one from a list or an index."""

    NAMES = ("lift_fresh", "_local_scalar_dense", "nonzero", "index.Tensor", "repeat_interleave")

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.found += [name for name in self.NAMES if name in str(func)]
        return func(*args, **(kwargs or {}))


def test_what_would_wait_is_found() -> None:
    with Waits() as waits:
        few = torch.arange(4)[torch.tensor([0, 2])]
        float(few[0])
    assert sorted(waits.found) == ["_local_scalar_dense", "index.Tensor", "lift_fresh"]


def test_no_step_waits_for_the_host(squire: Checkpoint) -> None:
    runner, side = Runner(squire, max_rows=16), {"width": 64, "height": 64, "steps": 3}
    asked = [
        make_request("a knight", guidance=1.0, **side),
        make_request("a knight, " * 30, scheduler="Euler a", **side),
        make_request("a mage AND a :0.5 AND b", negative_prompt="red, " * 40, **side),
    ]
    images = [image for request in asked for image in runner.plan(request)]
    for image in images:
        image.group = images[1].group  # the bucket of the longest prompt
        runner.prepare(image)
    with Waits() as waits:
        runner.step(images)
        runner.step(images)
    assert waits.found == []


@pytest.mark.parametrize("scheduler", ["Euler a", "UniPC"])
def test_a_picture_comes_to_the_device_in_four_copies(
    squire: Checkpoint, monkeypatch: pytest.MonkeyPatch, scheduler: str
) -> None:
    copies: list[torch.Tensor] = []

    def counted(host: torch.Tensor, device: torch.device) -> torch.Tensor:
        copies.append(host)
        return host

    monkeypatch.setattr(history, "to_device", counted)
    monkeypatch.setattr(guidance, "to_device", counted)
    runner = Runner(squire, max_rows=16)
    request = make_request(ALTERNATION, scheduler=scheduler, steps=12, width=64, height=64)
    [image] = runner.plan(request)
    runner.prepare(image)
    assert {len(copy) for copy in copies} == {len(image.state.C), len(image.state.H), 12, 2}
    assert len(copies) == 4

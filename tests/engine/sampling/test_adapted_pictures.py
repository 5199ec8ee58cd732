"""Pictures drawn with LoRAs, beside strangers: those of a model with merged weights, alone."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch

from limner.domain.loras import Lora
from limner.engine.batching.image import Image
from limner.engine.checkpoints import digests
from limner.engine.checkpoints.weights import Checkpoint
from limner.engine.sampling.runner import Runner
from tests.engine.adapters import making
from tests.engine.factories import make_request

SAME = {"steps": 4, "width": 128, "height": 128, "guidance": 5.0}
Files = dict[str, tuple[Lora, Any]]


@pytest.fixture(scope="module")
def files(untouched: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> tuple[Files, Any]:
    """Two LoRAs, with what they do to the weights, and what finds their files."""
    folder = tmp_path_factory.mktemp("loras")
    found, paths = {}, {}
    for seed, name in enumerate(("first", "second")):
        path = folder / f"{name}.safetensors"
        parts = {
            "unet": making.linears(untouched.unet),
            "text_encoder": making.linears(untouched.text_encoder),
        }
        deltas = making.file(path, parts, seed=seed, rank=4 + 16 * seed, alpha=0.5)
        sha256 = digests.compute(path)
        found[name], paths[sha256] = (Lora(name=name, sha256=sha256), deltas), path
    return found, paths.__getitem__


def drawn(runner: Runner, *images: Image) -> list[Any]:
    for image in images:
        runner.prepare(image)
    while not images[0].phase_over:
        runner.step(list(images))
    return [runner.advance(image) for image in images]


def with_merged(checkpoint: Checkpoint, worn: list[tuple[Any, float]]) -> Checkpoint:
    parts = {}
    for part in ("unet", "text_encoder"):
        parts[part] = copy.deepcopy(getattr(checkpoint, part))
        tensors = making.merged(parts[part], [(deltas[part], s) for deltas, s in worn])
        parts[part].load_state_dict(tensors)
    return replace(checkpoint, **parts)


@pytest.mark.slow
def test_rows_of_different_loras_draw_the_pictures_of_merged_models(
    squire: Checkpoint, untouched: Checkpoint, files: tuple[Files, Any]
) -> None:
    (known, find), prompt = files, "a knight in red armor"
    first, second = known["first"][0], known["second"][0]
    both = (first.model_copy(update={"unet": 0.5, "text_encoder": 0.5}), second)
    runner = Runner(squire, max_rows=64, find=find)
    asked = [(first,), (), (second,), both]
    planned = [runner.plan(make_request(prompt, loras=loras, **SAME))[0] for loras in asked]
    together = drawn(runner, *planned)
    [alone] = drawn(runner, runner.plan(make_request(prompt, **SAME))[0])
    assert (together[1] == alone).all()
    worn = [[("first", 1.0)], [], [("second", 1.0)], [("first", 0.5), ("second", 1.0)]]
    for pixels, names in zip(together, worn, strict=True):
        merged = with_merged(untouched, [(known[name][1], s) for name, s in names])
        oracle = Runner(merged, max_rows=64)
        [expected] = drawn(oracle, oracle.plan(make_request(prompt, **SAME))[0])
        assert abs(pixels.astype(int) - expected).max() <= 2
        assert not names or abs(pixels.astype(int) - alone).max() > 8


def test_a_lora_is_off_outside_its_share_and_strength_0_is_none(
    squire: Checkpoint, files: tuple[Files, Any]
) -> None:
    known, find = files
    runner = Runner(squire, max_rows=64, find=find)
    prompts = {"none": {}, "never": {"start": 0.5, "end": 0.5}, "nothing": {"unet": 0.0}}
    images = {
        name: runner.plan(
            make_request(
                loras=(known["first"][0].model_copy(update={"text_encoder": 0.0, **fields}),)
                if fields
                else (),
                **SAME,
            )
        )[0]
        for name, fields in prompts.items()
    }
    none, never, nothing = drawn(runner, *images.values())
    assert (none == never).all()
    assert (none == nothing).all()


def test_a_plan_counts_the_memory_of_its_adapters(
    squire: Checkpoint, files: tuple[Files, Any]
) -> None:
    known, find = files
    runner = Runner(squire, max_rows=64, find=find)
    plain, adapted = (
        runner.plan(make_request(loras=loras, **SAME))[0] for loras in ((), (known["first"][0],))
    )
    assert adapted.bytes - plain.bytes == 3 * runner.adapters.stats.bytes
    assert adapted.group == plain.group
    assert torch.equal(squire.unet.conv_in.weight, runner.unet.adapted.model.conv_in.weight)

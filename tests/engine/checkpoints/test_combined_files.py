"""Files with several oddities at once hold bit for bit what the plain one does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from limner.cli import models
from limner.engine.checkpoints import layouts, weights
from limner.engine.checkpoints.importing import import_checkpoint
from tests.engine.checkpoints import assembled_files
from tests.engine.checkpoints.combined_files import COUNT, combined
from tests.engine.checkpoints.loading import load
from tests.engine.checkpoints.test_odd_files import assert_same, expected, states
from tests.engine.checkpoints.writing import Tensors

FEW = (0, 41, 118)
EACH = pytest.mark.parametrize(
    "number", [n if n in FEW else pytest.param(n, marks=pytest.mark.slow) for n in range(COUNT)]
)


@EACH
def test_a_file_of_several_oddities_holds_what_the_plain_one_does(
    tensors: Tensors, tmp_path: Path, number: int
) -> None:
    what, path, stored = combined(number, tmp_path, tensors)
    wanted = expected(stored)
    _, parts = layouts.chosen(path, None)
    assert_same(states(parts, wanted), wanted)
    assert parts["vae"].config["scaling_factor"] == 0.18215, what


@pytest.mark.parametrize(
    "number",
    [
        n if n == 0 else pytest.param(n, marks=pytest.mark.slow)
        for n in range(assembled_files.COUNT)
    ],
)
def test_a_checkpoint_whose_parts_lie_apart_is_the_whole(
    tensors: Tensors, tmp_path: Path, number: int
) -> None:
    made = assembled_files.assembled(number, tmp_path, tensors)
    wanted = expected(made.wanted)
    layout, parts = layouts.chosen(made.path, made.vae, made.wish)
    assert_same(states(parts, wanted), wanted)
    assert layout.schedule().get("prediction_type", "epsilon") == made.predicts, made.what


@pytest.mark.slow
@pytest.mark.parametrize("number", range(0, COUNT, 10))
def test_the_readers_agree_on_it(
    tensors: Tensors, parts: dict[str, Any], tmp_path: Path, number: int
) -> None:
    what, path, stored = combined(number, tmp_path, tensors)
    wanted = expected(stored)
    loaded = load(path)
    assert_same({name: getattr(loaded, name).state_dict() for name in wanted}, wanted)
    facts = models.inspect(path)
    assert (facts["loadable"], facts["refusal"]) == (True, None), what
    imported = import_checkpoint(path, tmp_path / "models", name="made")
    again = weights.load(imported.path, device="cpu", dtype="float32")
    assert_same({name: getattr(again, name).state_dict() for name in wanted}, wanted)
    assert again.info.source_sha256 == facts["sha256"]

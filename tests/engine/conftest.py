"""The embedded model, loaded once, and an engine that draws with it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from limner.engine.batching.loop import ThreadEngine
from limner.engine.checkpoints import weights
from limner.engine.checkpoints.weights import Checkpoint
from limner.engine.sampling.runner import Runner
from tests.engine import checkpoint_files
from tests.engine.factories import read_given
from tests.waiting import wait_until


@pytest.fixture(autouse=True, scope="session")
def _made_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        checkpoint_files.tokenizer_once(patch)
        checkpoint_files.skeletons_once(patch)
        yield


@pytest.fixture(scope="session")
def squire() -> Checkpoint:
    return weights.load(None, device="cpu", dtype="float32")


@pytest.fixture(scope="session")
def untouched() -> Checkpoint:
    """The same, never given to an engine, which changes how its layers compute: for oracles."""
    return weights.load(None, device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def engine(squire: Checkpoint) -> Iterator[ThreadEngine]:
    made = ThreadEngine(lambda say, _: Runner(squire, max_rows=64), read=read_given)
    wait_until(lambda: made.status().ready)
    yield made
    made.close()

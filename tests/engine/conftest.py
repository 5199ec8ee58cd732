"""The embedded model, loaded once, and an engine that draws with it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from limner.engine import weights
from limner.engine.loop import ThreadEngine
from limner.engine.runner import Runner
from limner.engine.weights import Checkpoint
from tests.waiting import wait_until


@pytest.fixture(scope="session")
def squire() -> Checkpoint:
    return weights.load(None, device="cpu", dtype="float32")


@pytest.fixture(scope="session")
def untouched() -> Checkpoint:
    """The same, never given to an engine, which changes how its layers compute: for oracles."""
    return weights.load(None, device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def engine(squire: Checkpoint) -> Iterator[ThreadEngine]:
    made = ThreadEngine(lambda say: Runner(squire, max_rows=64))
    wait_until(lambda: made.status().ready)
    yield made
    made.close()

"""The embedded model, loaded once, and an engine that draws with it."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from limner.engine import weights
from limner.engine.loop import ThreadEngine
from limner.engine.runner import Runner
from limner.engine.weights import Checkpoint


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
    while not made.status().ready:
        time.sleep(0.01)
    yield made
    made.close()

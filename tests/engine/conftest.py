"""The embedded model, loaded once."""

from __future__ import annotations

import pytest

from limner.engine import weights
from limner.engine.weights import Checkpoint


@pytest.fixture(scope="session")
def squire() -> Checkpoint:
    return weights.load(None, device="cpu", dtype="float32")

"""A narrow model of SD 1.5's structure, and the layers that adapters may change in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch

from limner.engine.adapters.targets import TEXT, UNET, Target, targets_of
from tests.engine.checkpoints.writing import plain

PLACES = {part: (torch.device("cpu"), torch.float32) for part in (UNET, TEXT)}


@pytest.fixture(scope="session")
def models() -> Mapping[str, Any]:
    return plain()


@pytest.fixture(scope="session")
def targets(models: Mapping[str, Any]) -> dict[str, Target]:
    return targets_of(models["unet"], models["text_encoder"])

"""What ships beside the embedded model does what is said of it: by its pictures, with wide margins.

A latent pixel is one block of 16 x 16 of a picture, and its middle is looked at.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from limner.domain.loras import Lora
from limner.engine.checkpoints import digests
from limner.engine.checkpoints.layouts import SATCHEL
from limner.engine.checkpoints.weights import Checkpoint
from limner.engine.sampling.runner import Runner
from tests.engine.factories import make_request
from tests.engine.sampling.test_adapted_pictures import drawn
from training.satchel import measure

SAME = {"steps": 12, "width": 512, "height": 512, "guidance": 6.0}
PROMPTS = (
    "a knight in red armor, desert",
    "blue dragon, mountains",
    "red potion, dungeon",
    "a queen in a green robe, castle hall",
)
LEAST = {"handheld": 0.8, "night": 0.12, "floral": 0.35}
"""Of what each is measured by, in the mean; pictures without it stay well below."""


def pictures(squire: Checkpoint, *loras: Lora) -> np.ndarray[Any, Any]:
    """Sprites (n, 32, 32, 3) of the prompts."""
    runner = Runner(squire, max_rows=64, find=lambda _: SATCHEL / f"{loras[0].name}.safetensors")
    images = [
        runner.plan(make_request(prompt, seed=seed, loras=loras, **SAME))[0]
        for seed, prompt in enumerate(PROMPTS)
    ]
    return np.stack([pixels[8::16, 8::16] for pixels in drawn(runner, *images)])


@pytest.fixture(scope="module")
def plain(squire: Checkpoint) -> np.ndarray[Any, Any]:
    return pictures(squire)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(LEAST))
def test_a_lora_does_what_it_is_named_for(
    squire: Checkpoint, plain: np.ndarray[Any, Any], name: str
) -> None:
    sha256 = digests.compute(SATCHEL / f"{name}.safetensors")
    changed = pictures(squire, Lora(name=name, sha256=sha256))
    measured, _ = measure.MEASURES[name]
    assert measured(changed, plain).mean() >= LEAST[name]
    assert measured(plain, plain).mean() < 0.6 * LEAST[name]

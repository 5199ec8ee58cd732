"""What ships beside the embedded model does what is said of it: by its pictures, with wide margins.

A latent pixel is one block of 16 x 16 of a picture, and its middle is looked at.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest

from limner.domain.controls import Control
from limner.domain.embeddings import Embedding
from limner.domain.loras import Lora
from limner.engine.batching.request import Request
from limner.engine.checkpoints import digests
from limner.engine.checkpoints.layouts import SATCHEL
from limner.engine.checkpoints.weights import Checkpoint
from limner.engine.sampling.runner import Runner
from tests.engine.factories import make_request
from tests.engine.sampling.test_adapted_pictures import drawn
from training.satchel import measure, variants

Array = np.ndarray[Any, Any]
SAME = {"steps": 12, "width": 512, "height": 512, "guidance": 6.0}
FEW = {"steps": 4, "guidance": 1.0, "sampler": "LCM"}
PROMPTS = (
    "a knight in red armor, desert",
    "blue dragon, mountains",
    "red potion, dungeon",
    "a queen in a green robe, castle hall",
)
LEAST = {"handheld": 0.8, "night": 0.12, "floral": 0.35, "cutout": 0.85}
"""Of what each is measured by, in the mean; pictures without it stay well below."""


def sprites(squire: Checkpoint, file: str, *requests: Request) -> Array:
    """Sprites (n, 32, 32, 3) of requests that name one file of the satchel, or none."""
    runner = Runner(squire, max_rows=64, find=lambda _: SATCHEL / f"{file}.safetensors")
    images = [runner.plan(request)[0] for request in requests]
    return np.stack([pixels[8::16, 8::16] for pixels in drawn(runner, *images)])


def pictures(squire: Checkpoint, name: str = "", file: str = "", **fields: Any) -> Array:
    """Of the prompts, with a LoRA, or with another file that ``fields`` name, or without any."""
    loras = ()
    if name:
        sha256 = digests.compute(SATCHEL / f"{name}.safetensors")
        loras = (Lora(name=name, sha256=sha256),)
    told = SAME | fields
    requests = [
        make_request(prompt, seed=seed, loras=loras, **told) for seed, prompt in enumerate(PROMPTS)
    ]
    return sprites(squire, name or file, *requests)


@pytest.fixture(scope="module")
def plain(squire: Checkpoint) -> Array:
    return pictures(squire)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(LEAST))
def test_a_lora_does_what_it_is_named_for(squire: Checkpoint, plain: Array, name: str) -> None:
    changed = pictures(squire, name)
    measured, _ = measure.MEASURES[name]
    assert measured(changed, plain).mean() >= LEAST[name]
    assert measured(plain, plain).mean() < 0.6 * LEAST[name]


def contrast(of: Array) -> float:
    """The deviation of a picture's colours, in levels; guidance makes it large."""
    return float(of.astype(float).std((1, 2)).mean())


@pytest.mark.slow
def test_four_steps_without_guidance_have_more_contrast(squire: Checkpoint, plain: Array) -> None:
    few, without = pictures(squire, "squire-lcm", **FEW), pictures(squire, **FEW)
    assert contrast(few) > 1.03 * contrast(without)
    assert 0.85 < contrast(few) / contrast(plain) < 1.15


@pytest.mark.slow
def test_the_negative_embedding_leads_to_clearer_pictures(squire: Checkpoint, plain: Array) -> None:
    name = "squire-negative"
    sha256 = digests.compute(SATCHEL / f"{name}.safetensors")
    known = (Embedding(name=name, sha256=sha256, vectors=4),)
    clearer = pictures(squire, file=name, negative_prompt=name, embeddings=known)
    assert contrast(clearer) > 1.04 * contrast(plain)
    assert measure.grain(clearer) < 0.95 * measure.grain(plain)


THINGS = ("dragon", "ghost", "wolf")


def figures() -> Array:
    """Where the painter's creatures are, bool (3, 32, 32)."""
    painted = variants.draw("figures", 909, (32, 32), 120)
    first = {each.scene.subject: each.figure for each in reversed(painted)}
    return np.stack([first[thing] for thing in THINGS])


def overlaps(dark: Array, masks: Array) -> Array:
    """Intersection over union of each dark region with each mask."""
    one, other = dark[:, None], masks[None]
    return (one & other).sum((2, 3)) / (one | other).sum((2, 3))


@pytest.mark.slow
def test_a_silhouette_decides_what_a_prompt_leaves_open(squire: Checkpoint) -> None:
    name, masks, requests = "squire-silhouette", figures(), []
    sha256 = digests.compute(SATCHEL / f"{name}.safetensors")
    for mask in masks:
        shape = np.repeat(np.where(mask, 255, 0).astype(np.uint8)[..., None], 3, -1)
        shape = shape.repeat(16, 0).repeat(16, 1)
        picture = hashlib.sha256(shape.tobytes()).hexdigest()
        control = Control(name=name, sha256=sha256, map_sha256=picture)
        request = make_request("a black creature, snow", seed=3, controls=(control,), **SAME)
        request.pixels = {picture: shape}
        requests.append(request)
    found = overlaps(sprites(squire, name, *requests).mean(-1) < 130, masks)
    own = found.diagonal()
    assert (own > 0.6).all()
    assert (own - (found - 9 * np.eye(len(masks))).max(1) > 0.1).all()

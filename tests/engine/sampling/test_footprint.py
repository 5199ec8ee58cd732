"""What an image is said to take in memory, beside what it really holds."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import pytest
import torch

from limner.domain.params import Source
from limner.engine.batching.request import Request
from limner.engine.checkpoints.weights import Checkpoint
from limner.engine.sampling import latents
from limner.engine.sampling.runner import Runner
from tests.engine.factories import make_request

CHANGING = "[" + "|".join(f"w{n}" for n in range(40)) + "] knight"
CASES = {
    "plain": {},
    "long": {"steps": 50, "prompt": "a knight in red armor, " * 40},
    "no guidance": {"guidance": 1.0, "negative_prompt": "red, " * 90},
    "composed": {"prompt": "a knight AND a mage :0.5 AND " + "stars, " * 50},
    "alternation": {"steps": 40, "prompt": CHANGING},
    "alternation in the negative": {"steps": 40, "negative_prompt": CHANGING},
    "edited from a source": {"steps": 40, "prompt": CHANGING, "strength": 0.3},
    "ancestral": {"scheduler": "Euler a"},
    "two evaluations and noise": {"scheduler": "DPM2 a Karras", "steps": 9},
    "many steps, small": {"scheduler": "Heun", "steps": 150, "width": 64, "height": 64},
    "img2img": {"strength": 0.6},
    "inpainting": {"strength": 1.0, "mask": True},
    "inpainting, PNDM": {"strength": 0.5, "mask": True, "scheduler": "PNDM"},
    "a sampler by name": {"sampler": "DPM++ SDE", "steps": 9, "strength": 0.5, "mask": True},
    "churn": {"sampler": "Heun", "s_churn": 10.0, "steps": 30},
    "a larger source": {"strength": 0.5, "mask": True, "side": 512},
}


def request_of(case: dict[str, Any]) -> Request:
    g = {"prompt": "a knight", "width": 128, "height": 128} | case
    strength, masked, side = g.pop("strength", None), g.pop("mask", False), g.pop("side", 128)
    if strength is None:
        return make_request(g.pop("prompt"), **g)
    picture = np.zeros((side, side, 3), np.uint8)
    mask = np.full((side, side), 255, np.uint8)
    named = {hashlib.sha256(one.tobytes()).hexdigest(): one for one in (picture, mask)}
    first, second = named
    source = Source(sha256=first, strength=strength, mask_sha256=second if masked else None)
    made = make_request(g.pop("prompt"), source=source, **g)
    kept = named if masked else {first: picture}
    return Request(made.id, made.generation, made.owner, made.sink, kept)


def arrays_in(value: Any) -> Iterator[tuple[int, int]]:
    """Where each tensor and array below a value lies, and its bytes."""
    if isinstance(value, torch.Tensor):
        yield value.data_ptr(), value.numel() * value.element_size()
    elif isinstance(value, np.ndarray):
        yield value.ctypes.data, value.nbytes
    elif isinstance(value, dict):
        yield from arrays_in(list(value.values()))
    elif isinstance(value, list | tuple):
        for one in value:
            yield from arrays_in(one)
    elif is_dataclass(value):
        yield from arrays_in([getattr(value, field.name) for field in fields(value)])


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_all_that_an_image_holds_is_counted(squire: Checkpoint, case: dict[str, Any]) -> None:
    runner = Runner(squire, max_rows=8)
    request = request_of(case)
    [image] = runner.plan(request)
    runner.prepare(image)
    pictures = [dict(request.pixels)]
    if request.generation.source is not None:
        pictures.append(dict(latents.fitted(request)))
    held = sum(dict(arrays_in([image.state, pictures])).values())
    assert held <= image.bytes <= 1.2 * held + 4096

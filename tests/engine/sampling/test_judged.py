"""What a judge would look at: mixed company, kept regions, strength, AND and editing.

Thresholds compare pictures of the embedded model with each other, so that a better model in its
place is held to the same.
"""

from __future__ import annotations

import hashlib
import random
import time
from typing import Any

import numpy as np
import pytest

from limner.domain.params import Source
from limner.domain.schedulers import SCHEDULER_NAMES
from limner.engine.batching.loop import ThreadEngine
from limner.engine.batching.request import Request
from limner.engine.batching.ticket import Drawn
from tests.engine.factories import Collector, make_generation, submit

SIZES = ((512, 512), (512, 768), (768, 512))
SMALL = ((256, 256), (256, 384), (384, 256))
WORDS = [
    "knight",
    "mage",
    "dragon",
    "castle",
    "forest",
    "red",
    "blue",
    "golden",
    "crown",
    "sword",
    "staff",
    "hood",
    "night",
]


def request(prompt: str, *pixels: np.ndarray[Any, Any], **fields: Any) -> Request:
    """A request; ``pixels`` are the source and, after it, the mask."""
    source = fields.pop("source", {})
    named = {digest(each): each for each in pixels}
    if pixels:
        names = dict(zip(("sha256", "mask_sha256"), named, strict=False))
        fields["source"] = Source(**names, **source)
    generation = make_generation(prompt, **fields)
    sink = Collector()
    return Request(f"judge-{time.monotonic_ns()}", generation, "a", sink, named)


def digest(pixels: np.ndarray[Any, Any]) -> str:
    return hashlib.sha256(pixels.tobytes()).hexdigest()


def draw(engine: ThreadEngine, *requests: Request) -> list[np.ndarray[Any, Any]]:
    for each in requests:
        submit(engine, each)
    ends = [each.sink.wait(600.0)[0] for each in requests]  # type: ignore[attr-defined]
    assert all(isinstance(end, Drawn) for end in ends), ends
    return [end.pixels for end in ends]


def alone(engine: ThreadEngine, each: Request) -> np.ndarray[Any, Any]:
    again = Request(each.id + "-alone", each.generation, "b", Collector(), each.pixels)
    return draw(engine, again)[0]


def apart(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> int:
    return int(np.abs(one.astype(int) - other.astype(int)).max())


def mixed(
    number: int, seed: int, longest: int = 20, sizes: Any = SIZES, **fields: Any
) -> list[Request]:
    """Random requests: txt2img, img2img, inpainting, AND, editing, 1 to 3 chunks, three sizes."""
    rng = random.Random(seed)
    return [
        _random(rng, index % 5, longest, rng.choice(sizes), **fields) for index in range(number)
    ]


def _random(
    rng: random.Random, kind: int, longest: int, size: tuple[int, int], **fields: Any
) -> Request:
    words = " ".join(rng.choices(WORDS, k=rng.choice((4, 90, 170))))
    width, height = size
    noise = np.random.default_rng(rng.randrange(2**32))
    picture = noise.integers(0, 256, (96, 80, 3), np.uint8)
    mask = np.where(noise.random((96, 80)) < 0.3, np.uint8(255), np.uint8(0))
    pixels = {1: (picture,), 2: (picture, mask)}.get(kind, ())
    prompt = {3: f"{words} AND a red hat :0.7", 4: f"[a knight:{words}:0.5] at night"}.get(
        kind, words
    )
    return request(
        prompt,
        *pixels,
        **({"source": {"strength": rng.choice((0.5, 0.75, 1.0))}} if pixels else {}),
        negative_prompt=rng.choice(("", "blurry", "noise, " * 40)),
        scheduler=rng.choice(SCHEDULER_NAMES),
        steps=rng.randint(4, longest),
        guidance=rng.choice((1.0, 4.0, 7.5)),
        seed=rng.randrange(2**64),
        width=width,
        height=height,
        **fields,
    )


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_forty_mixed_requests_are_what_they_are_alone(engine: ThreadEngine) -> None:
    requests = mixed(40, seed=2)
    for each, picture in zip(requests, draw(engine, *requests), strict=True):
        assert np.array_equal(picture, alone(engine, each)), each.generation


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_forty_exact_requests_are_bit_equal_to_themselves_alone(engine: ThreadEngine) -> None:
    """Half of the company is not exact, and draws in shared passes at the same time."""
    requests = mixed(40, seed=3, exact=True)
    company = mixed(20, seed=4)
    pictures = draw(engine, *requests, *company)
    for each, picture in zip(requests, pictures, strict=False):
        assert np.array_equal(picture, alone(engine, each)), each.generation


@pytest.mark.parametrize("blur", [0, 6])
def test_inpainting_keeps_what_the_mask_keeps(engine: ThreadEngine, blur: int) -> None:
    noise = np.random.default_rng(7)
    picture = noise.integers(0, 256, (128, 128, 3), np.uint8)
    mask = np.zeros((128, 128), np.uint8)
    mask[40:96, 24:104] = 255
    source = {"strength": 1.0, "mask_blur": blur}
    sizes = {"width": 128, "height": 128, "steps": 4}
    [drawn] = draw(engine, request("a mage", picture, mask, source=source, **sizes))
    reach = 4 * blur
    kept = np.ones((128, 128), bool)
    kept[40 - reach : 96 + reach, 24 - reach : 104 + reach] = False
    assert np.array_equal(drawn[kept], picture[kept])
    assert apart(drawn[60:70, 60:70], picture[60:70, 60:70]) > 20


def test_sizes_that_latents_do_not_divide_are_cut(engine: ThreadEngine) -> None:
    """The embedded model's latent pixels span 16; every multiple of 8 is drawn all the same."""
    picture = np.random.default_rng(8).integers(0, 256, (104, 72, 3), np.uint8)
    mask = np.zeros((104, 72), np.uint8)
    mask[:, 40:] = 255
    fields = {"width": 72, "height": 104, "steps": 3}
    plain, painted = draw(engine, request("a", **fields), request("a", picture, mask, **fields))
    assert plain.shape == painted.shape == (104, 72, 3)
    assert np.array_equal(painted[:, :40], picture[:, :40])
    assert apart(painted[:, 40:], picture[:, 40:]) > 20


@pytest.mark.slow
def test_strength_orders_the_distance_from_the_source(engine: ThreadEngine) -> None:
    [source] = draw(engine, request("a knight with red armor, forest background", steps=12))
    strengths = (0.2, 0.4, 0.6, 0.8, 1.0)
    pictures = draw(
        engine,
        *(
            request(
                "a mage with blue robe, castle background",
                source,
                source={"strength": strength},
                steps=12,
                seed=31,
            )
            for strength in strengths
        ),
    )
    distances = [float(np.abs(p.astype(int) - source.astype(int)).mean()) for p in pictures]
    assert distances == sorted(distances)
    assert distances[0] > 0
    assert len(set(distances)) == len(distances)


def shares(pixels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """How much of a picture is red and how much is blue; purple is both."""
    r, g, b = (pixels[..., i].astype(int) for i in range(3))
    return np.array([(r - g > 40).mean(), (b - g > 40).mean()])


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_an_and_of_red_and_blue_holds_both(engine: ThreadEngine) -> None:
    # In a dragon most clearly; in other figures red has most of it (docs/squire.md).
    red, blue = (f"a {name} dragon, meadow" for name in ("red", "blue"))
    of = {"steps": 20, "guidance": 5.0, "width": 512, "height": 512}
    prompts = [(prompt, seed) for prompt in (red, blue, f"{red} AND {blue}") for seed in range(4)]
    pictures = draw(engine, *(request(prompt, seed=seed, **of) for prompt, seed in prompts))
    # The dragon's part of the picture: the sky is blue in all of them.
    found = np.array([shares(picture[128:496, 128:384]) for picture in pictures])
    red_alone, blue_alone, both = found.reshape(3, 4, 2)
    assert (both[:, 0] > 1.5 * blue_alone[:, 0]).all()  # in every picture by itself
    assert (both[:, 1] > red_alone[:, 1]).all()
    assert both[:, 1].mean() > 1.5 * red_alone[:, 1].mean()


@pytest.mark.slow
def test_an_edited_prompt_differs_from_both_its_sides(engine: ThreadEngine) -> None:
    prompts = ("knight", "mage", "[knight:mage:0.5]")
    of = "a {}, forest background"
    fields = {"steps": 12, "guidance": 4.0}
    knight, mage, both = draw(engine, *(request(of.format(p), **fields) for p in prompts))
    between = [np.abs(both.astype(int) - one.astype(int)).mean() for one in (knight, mage)]
    assert min(between) > 2
    assert max(between) < 60

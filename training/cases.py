"""The evaluation's prompts, worded unlike the training captions, of combinations never painted."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from training import scene as scenes
from training import words
from training.scene import Scene


@dataclass(frozen=True)
class Case:
    """A prompt, what the judge should see in the picture, and the sprite's height and width."""

    prompt: str
    wanted: dict[str, str]
    size: tuple[int, int]


WORDINGS = (
    "{role} with {colour} armor, {headgear}, holding a {weapon}, {place} background",
    "a {role} in {colour} clothes and a {headgear} stands before the {place} with a {weapon}",
    "{place}, {weapon}, {headgear}, {colour} armour on a {role}, masterpiece, sharp",
)
TESTED = ("subject", "colour", "headgear", "weapon", "place")
SQUARE, TALL = (32, 32), (48, 32)


def _deck(values: Iterable[str], count: int, rng: np.random.Generator) -> list[str]:
    """`count` values in random order, each as often as the others."""
    values = list(values)
    deck = [value for _ in range(-(-count // len(values))) for value in rng.permutation(values)]
    return [str(value) for value in deck[:count]]


def characters(count: int, painted: set[tuple[str, ...]], seed: int) -> list[Case]:
    """Characters whose class, colour, headgear, weapon and place were never painted together."""
    rng = np.random.default_rng(seed)
    decks = [
        _deck(values, count, rng)
        for values in (
            scenes.ROLES,
            scenes.COLOURS,
            scenes.HEADGEAR[1:],
            scenes.WEAPONS[1:],
            scenes.PLACES[1:],
        )
    ]
    cases = []
    for k, facts in enumerate(zip(*decks, strict=True)):
        facts = _unpainted(facts, painted, rng)
        wording = WORDINGS[k % len(WORDINGS)]
        names = dict(zip(("role", *TESTED[1:]), facts, strict=True))
        names["place"] = words.PLACES[names["place"]][0]
        wanted = dict(zip(TESTED, facts, strict=True))
        cases.append(Case(wording.format(**names), wanted, (SQUARE, TALL)[k % 2]))
    return cases


def _unpainted(facts: tuple[str, ...], painted: set, rng: np.random.Generator) -> tuple[str, ...]:
    """The facts, with another place where this combination was painted."""
    for place in (facts[-1], *rng.permutation(np.array(scenes.PLACES[1:]))):
        tried = (*facts[:-1], str(place))
        if tried not in painted:
            return tried
    return facts


def combination(scene: Scene) -> tuple[str, ...]:
    """What makes a character's combination."""
    return tuple(str(getattr(scene, slot)) for slot in TESTED)


def others(seed: int) -> list[Case]:
    """Creatures, objects and landscapes."""
    rng = np.random.default_rng(seed)
    names = _deck(scenes.CREATURES, 8, rng) + _deck(scenes.OBJECTS, 16, rng)
    colours, places = _deck(scenes.COLOURS, 24, rng), _deck(scenes.PLACES[1:], 24, rng)
    cases = [
        Case(
            f"there is a {colour} {name} here, {words.PLACES[place][0]} background, detailed",
            {"subject": name, "colour": colour, "place": place},
            SQUARE,
        )
        for name, colour, place in zip(names, colours, places, strict=True)
    ]
    for place in scenes.PLACES[1:]:
        prompt = f"a wide landscape, {words.PLACES[place][0]}, nobody in it"
        cases.append(Case(prompt, {"kind": "landscape", "place": place}, SQUARE))
    return cases


PUBLISHED = (
    "warrior, warhammer 40k, space marine, intricate ornamented, Smoke Gray Aluminum Beige armor, "
    "adepta sororitas, dynamic posture, Alpine desert landscape background, volumetric cinematic "
    "lighting, (highly detailed skull:0.8), realistic reflections, cinematic composition"
)
PUBLISHED_NEGATIVE = (
    "boring, poorly drawn, bad artist, (worst quality:1.4), simple background, uninspired, "
    "(bad quality:1.4), monochrome, low background contrast, background noise, duplicate, crowded, "
    "(nipples:1.2), big breasts"
)
"""The hosted service's own example request: guidance 9, 25 steps of DDIM, 512x768."""


def reddened() -> list[str]:
    """Prompts in which a weighted colour word takes the braces' place.

    Every class, creature and object once, the places taking turns.
    """
    figures = [f"{role} with ({{}}) clothes" for role in scenes.ROLES]
    figures += [f"({{}}) {name}" for name in (*scenes.CREATURES, *scenes.OBJECTS)]
    places = itertools.cycle(words.PLACES[place][0] for place in scenes.PLACES[1:])
    return [f"{figure}, {place}" for figure, place in zip(figures, places, strict=False)]

"""The painter: every attribute paints, shows, and repeats."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from training import scene as scenes
from training.painter.picture import paint
from training.palette import BASES, RAMPS
from training.scene import Scene

KNIGHT = Scene("character", subject="knight", material="plate", place="plain")


def painted(scene: Scene, seed: int = 0) -> np.ndarray:
    return paint(scene, np.random.default_rng(seed)).astype(int)


def differing(first: np.ndarray, second: np.ndarray) -> float:
    """Share of pixels that differ."""
    return float((first != second).any(2).mean())


@pytest.mark.parametrize("size", [(32, 32), (48, 32), (32, 48), (36, 44), (64, 64), (52, 32)])
def test_every_size_is_painted_as_asked(size):
    for kind, subject in (("character", "mage"), ("creature", "dragon"), ("object", "chest")):
        scene = Scene(kind, *size, subject=subject, place="village")
        sprite = paint(scene, np.random.default_rng(1))
        assert sprite.shape == (*size, 3)
        assert sprite.dtype == np.uint8


def test_equal_generators_give_equal_pictures():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        scene = scenes.sample(rng)
        assert np.array_equal(painted(scene, seed), painted(scene, seed))


def test_a_thousand_random_scenes_are_consistent():
    rng = np.random.default_rng(3)
    for _ in range(1000):
        scene = scenes.sample(rng)
        assert scene.place in scenes.PLACES
        if scene.place in scenes.INDOORS:
            assert scene.time == "day"
        if scene.subject == "queen":
            assert scene.female
        if scene.weapon == "bow":
            assert scene.offhand == "none"


@pytest.mark.parametrize(
    ("name", "values", "least"),
    [
        ("subject", scenes.ROLES, 0.01),
        ("race", scenes.RACES, 0.01),
        ("headgear", scenes.HEADGEAR, 0.04),
        ("weapon", scenes.WEAPONS, 0.01),
        ("offhand", scenes.OFFHANDS, 0.02),
        ("material", scenes.MATERIALS, 0.01),
        ("ornament", scenes.ORNAMENTS, 0.01),
        ("hair", scenes.HAIRS, 0.02),
        ("hairstyle", scenes.HAIRSTYLES, 0.01),
        ("cloak", ("none", *scenes.COLOURS), 0.01),
        ("place", scenes.PLACES, 0.3),
        ("mood", scenes.MOODS, 0.3),
        ("beard", (False, True), 0.02),
        ("portrait", (False, True), 0.3),
    ],
)
def test_each_value_of_an_attribute_looks_different(name, values, least):
    pictures = [painted(replace(KNIGHT, **{name: value})) for value in values]
    for k, first in enumerate(pictures):
        for second in pictures[k + 1 :]:
            assert differing(first, second) >= least


@pytest.mark.parametrize("colour", BASES)
def test_the_main_colour_is_the_colour_of_the_armour(colour):
    tones = {tuple(np.round(tone).astype(int)) for tone in RAMPS[colour][1:]}
    sprite = painted(replace(KNIGHT, colour=colour, second="black" if colour != "black" else "red"))
    share = np.mean([tuple(pixel) in tones for pixel in sprite.reshape(-1, 3)])
    assert share > 0.06


def test_night_is_darker_than_day_and_sunset_redder():
    meadow = Scene("landscape", place="meadow")
    day, night, sunset = (painted(replace(meadow, time=time)) for time in scenes.TIMES)
    assert night.mean() < 0.7 * day.mean()
    assert (sunset[..., 0] - sunset[..., 2]).mean() > (day[..., 0] - day[..., 2]).mean()


def test_figures_are_outlined_against_their_ground():
    snow = replace(KNIGHT, place="snow", colour="white")
    dark = (painted(snow).max(2) < 70).mean()
    assert dark > (painted(Scene("landscape", place="snow")).max(2) < 70).mean() + 0.05

"""Captions: they tell what they say they tell, in known words, and drop the rest."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from training import scene as scenes
from training import words
from training.captions import caption
from training.reading import SLOTS, targets
from training.scene import Scene

RED_KNIGHT = Scene(
    "character", subject="knight", material="plate", colour="red", headgear="crown",
    weapon="sword", place="desert", hairstyle="bald", cloak="none",
)  # fmt: skip


def captions(scene: Scene, count: int = 200):
    rng = np.random.default_rng(0)
    return [caption(scene, rng) for _ in range(count)]


@pytest.mark.parametrize(
    ("slot", "options"),
    [
        ("colour", words.COLOURS["red"]),
        ("headgear", words.HEADGEAR["crown"]),
        ("weapon", words.WEAPONS["sword"]),
        ("place", words.PLACES["desert"]),
        ("subject", words.ROLES["knight"]),
    ],
)
def test_a_told_attribute_is_in_the_text_and_an_untold_one_is_not(slot, options):
    for text, told in captions(RED_KNIGHT):
        named = any(re.search(rf"\b{option}\b", text) for option in options)
        assert (slot in told) == named, text


def test_captions_of_one_scene_vary():
    wholes = [text for text, facts in captions(RED_KNIGHT) if len(facts) > 1]
    assert len(set(wholes)) > 0.95 * len(wholes)


def test_some_captions_are_one_word_as_negative_prompts_are():
    alone = [(text, facts) for text, facts in captions(RED_KNIGHT, 1000) if len(facts) == 1]
    assert 80 < len(alone) < 160
    colours = [text for text, facts in alone if "colour" in facts]
    assert set(colours) == set(words.COLOURS["red"])
    assert 0.4 < len(colours) / len(alone) < 0.75


def test_most_captions_tell_the_main_things():
    told = [facts for _, facts in captions(RED_KNIGHT) if len(facts) > 1]
    for slot in ("subject", "colour", "headgear", "weapon", "place"):
        assert np.mean([slot in facts for facts in told]) > 0.75


def test_values_told_are_those_of_the_scene():
    rng = np.random.default_rng(1)
    for _ in range(300):
        scene = scenes.sample(rng)
        _, told = caption(scene, rng)
        for slot, value in told.items():
            assert value == str(getattr(scene, slot))
            assert value in SLOTS[slot]


def test_an_unarmed_character_is_given_no_weapon():
    names = [name for kind, names in words.WEAPONS.items() if kind != "none" for name in names]
    for text, _ in captions(replace(RED_KNIGHT, weapon="none")):
        tags = [tag.removeprefix("a ") for tag in text.split(", ")]
        assert not set(tags) & set(names)


def test_every_value_has_its_words():
    for table, values in (
        (words.COLOURS, scenes.COLOURS), (words.ROLES, scenes.ROLES), (words.RACES, scenes.RACES),
        (words.HEADGEAR, scenes.HEADGEAR), (words.WEAPONS, scenes.WEAPONS),
        (words.CREATURES, scenes.CREATURES), (words.OBJECTS, scenes.OBJECTS),
        (words.PLACES, scenes.PLACES), (words.TIMES, scenes.TIMES), (words.HAIRS, scenes.HAIRS),
        (words.MOODS, scenes.MOODS[1:]), (words.GARMENTS, scenes.MATERIALS),
        (words.OFFHANDS, scenes.OFFHANDS[1:]), (words.ORNAMENTS, scenes.ORNAMENTS[1:]),
    ):  # fmt: skip
        assert tuple(table) == tuple(values)


def test_slots_become_classes_with_zero_for_untold():
    row = targets([{"kind": "object", "colour": "red"}])[0]
    names = list(SLOTS)
    assert row[names.index("kind")] == 1 + scenes.KINDS.index("object")
    assert row[names.index("colour")] == 1 + scenes.COLOURS.index("red")
    assert row[names.index("weapon")] == 0

"""The evaluation's own parts: prompts never painted, weights, redness, verdicts."""

from __future__ import annotations

import numpy as np

from training import cases, judge
from training import scene as scenes
from training.drawing import spans
from training.eval import _nearest, as_markdown, redness
from training.scene import Scene


def test_spans_carry_their_weights():
    assert spans("a (red:1.5) knight, (old) man") == [
        ("a ", 1.0), ("red", 1.5), (" knight, ", 1.0), ("old", 1.1), (" man", 1.0),
    ]  # fmt: skip


def test_character_cases_are_unpainted_and_use_every_value():
    first = cases.characters(24, set(), seed=7)
    painted = {tuple(case.wanted.values()) for case in first}
    second = cases.characters(24, painted, seed=7)
    assert not painted & {tuple(case.wanted.values()) for case in second}
    for slot, values in (("subject", scenes.ROLES), ("colour", scenes.COLOURS)):
        assert {case.wanted[slot] for case in first} == set(values)


def test_other_cases_want_what_their_prompt_says():
    for case in cases.others(seed=8):
        colour = case.wanted.get("colour")
        assert colour is None or colour in case.prompt


def test_redness_is_red_minus_the_rest_in_the_middle():
    sprites = np.zeros((2, 32, 32, 3), np.uint8)
    sprites[0, ..., 0] = 200
    sprites[1] = 90
    assert redness(sprites).tolist() == [200.0, 0.0]


def test_the_nearest_training_sprite_is_found():
    known = np.zeros((5, 8, 8, 3), np.uint8)
    sprite = np.zeros((8, 8, 3), np.uint8)
    sprite[0] = 255
    assert _nearest(sprite, known) == 1 / 8
    assert _nearest(sprite, np.concatenate([known, sprite[None]])) == 0.0


def test_the_judge_is_asked_only_what_applies():
    asked = dict(zip(judge.JUDGED, judge.classes(Scene("landscape", place="sea")), strict=True))
    assert asked["place"] == scenes.PLACES.index("sea")
    assert asked["subject"] == asked["weapon"] == asked["colour"] == -1


def test_an_untrained_judge_answers_for_every_size():
    sprites = np.zeros((2, 48, 32, 3), np.uint8)
    seen = judge.verdicts(judge.Judge().eval(), sprites)
    assert set(seen[0]) == set(judge.JUDGED)


def test_results_become_a_table():
    table = as_markdown({"sections": {"speed": {"seconds": 1.5, "more": {"a": 1}}}})
    assert "| speed | seconds  | 1.5 |" in table
    assert "| speed | more a | 1 |" in table

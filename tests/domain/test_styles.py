"""The style mixer: order of the phrases, weights, random picks, sequences, sentences."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from limner.domain.params import PROMPT_LENGTH_MAX
from limner.domain.prompt import parse
from limner.domain.styles import (
    KINDS,
    LINES_MAX,
    Catalogue,
    Mixed,
    Style,
    StyleMix,
    clean,
    mix_lines,
)
from limner.errors import InvalidInput


def make_catalogue() -> Catalogue:
    """Ten entries of each kind: ``mood 3`` reads ``MOOD 3``."""
    catalogue = {
        kind: {f"{kind} {n}": Style(f"{kind} {n}", f"{kind.upper()} {n}") for n in range(10)}
        for kind in KINDS
    }
    catalogue["image_type"]["oil"] = Style("oil", "OIL", "SUFFIX", "no photo")
    catalogue["preset"]["icon"] = Style("icon", "ICON", "", "no people")
    return catalogue


CATALOGUE = make_catalogue()


def mixed(prompt: str = "knight", negative: str = "", seed: int = 1, **fields: Any) -> Mixed:
    (line,) = mix_lines(prompt, negative, StyleMix(**fields), CATALOGUE, seed)
    return line


def test_the_order_of_the_whole_prompt() -> None:
    line = mixed(
        negative="blurry",
        concept="concept 1",
        image_type="oil",
        direction="direction 2",
        mood="mood 3",
        colors="colors 4",
        preset="icon",
        artists=["artists 5", "artists 6"],
        movements=["movements 7"],
    )
    assert line.prompt == (
        "(CONCEPT 1 OIL:1.3) of (DIRECTION 2:1.3), (MOOD 3:1.3) knight, (by ARTISTS 5:1.3), "
        "(by ARTISTS 6:1.3), SUFFIX, (MOVEMENTS 7:1.3), (COLORS 4:1.3), ICON"
    )
    assert line.negative_prompt == "blurry, no photo, no people"
    assert line.picks["artists"] == [
        {"name": "artists 5", "weight": 1.3},
        {"name": "artists 6", "weight": 1.3},
    ]
    assert line.picks["preset"] == [{"name": "icon", "weight": 1.0}]


def test_a_pick_of_weight_nothing_is_told_as_such() -> None:
    picks = mixed(mood={"name": "mood 3", "weight": 0}).picks
    assert picks["mood"] == [{"name": "mood 3", "weight": 0.0}]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "knight"),
        ({"concept": "concept 1"}, "(CONCEPT 1:1.3) of knight"),
        ({"mood": "mood 1"}, "(MOOD 1:1.3) knight"),
        ({"mood": {"name": "mood 1", "weight": 0.5}}, "(MOOD 1:0.5) knight"),
        ({"mood": {"name": "MOOD 1", "weight": 1}}, "MOOD 1 knight"),
        ({"colors": "colors 1"}, "knight, (COLORS 1:1.3)"),
        ({"preset": {"name": "icon", "weight": 1.2}}, "knight, (ICON:1.2)"),
        (
            {"concept": {"name": "concept 1", "weight": 1.1}, "image_type": "image_type 2"},
            "(CONCEPT 1:1.1) (IMAGE_TYPE 2:1.3) of knight",
        ),
    ],
)
def test_parts_that_are_absent_leave_no_trace(fields: dict[str, Any], expected: str) -> None:
    assert mixed(**fields).prompt == expected


def test_an_empty_prompt_leaves_the_styles() -> None:
    assert mixed("", concept="concept 1").prompt == "(CONCEPT 1:1.3)"
    assert mixed(" ", direction="direction 1").prompt == "(DIRECTION 1:1.3)"


def test_every_branch_of_and_gets_the_frame_and_keeps_its_weight() -> None:
    line = mixed("red AND blue :0.5", concept="concept 1", preset="icon")
    assert line.prompt == "(CONCEPT 1:1.3) of red, ICON AND (CONCEPT 1:1.3) of blue, ICON :0.5"
    assert parse(line.prompt, 20).weights == (1.0, 0.5)


def test_random_picks_come_from_the_seed_and_the_place_alone() -> None:
    fields = {"mood": "random", "artists": ["random"] * 3, "colors": "Random"}
    first = mixed(seed=7, **fields)
    assert mixed(seed=7, **fields) == first
    assert mixed("another", seed=7, **fields).picks == first.picks
    assert mixed(seed=7, mood="random").picks["mood"] == first.picks["mood"]
    assert len({mixed(seed=seed, **fields).prompt for seed in range(20)}) > 10
    assert all(
        len({p["name"] for p in mixed(seed=seed, artists=["random"] * 3).picks["artists"]}) == 3
        for seed in range(50)
    )


def test_a_random_pick_never_repeats_a_named_one() -> None:
    for seed in range(50):
        names = mixed(seed=seed, artists=["random", "artists 4"]).picks["artists"]
        assert names[0] != names[1]


def test_random_picks_reach_every_entry_about_equally() -> None:
    counts = dict.fromkeys(CATALOGUE["mood"], 0)
    for seed in range(2000):
        counts[mixed(seed=seed, mood="random").picks["mood"][0]["name"]] += 1
    assert min(counts.values()) > 140  # 200 expected, 4.5 standard deviations away
    assert max(counts.values()) < 260


def test_sequences_loop_inside_each_other_with_one_choice_of_picks() -> None:
    style = StyleMix(mood="random", sequence=("one", "two"), subsequence=("a", "b", ""))
    lines = mix_lines("x", "", style, CATALOGUE, 3)
    mood = lines[0].picks["mood"][0]["name"].upper()
    assert [line.prompt for line in lines] == [
        f"({mood}:1.3) {text}"
        for text in ("x, one, a", "x, one, b", "x, one", "x, two, a", "x, two, b", "x, two")
    ]


def test_a_line_joins_every_branch() -> None:
    (line,) = mix_lines("x AND y :2", "", StyleMix(sequence=("one",)), CATALOGUE, 3)
    assert line.prompt == "x, one AND y, one :2"


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"mood": "mod 3"}, "style_mix.mood", "'mod 3', .* did you mean 'mood 3'"),
        ({"artists": ["nobody"]}, "style_mix.artists", "Listed are: artists 0, artists 1"),
        ({"sequence": ["a"] * 9, "subsequence": ["b"] * 9}, "style_mix.sequence", "81 .* 64"),
        ({"sequence": ["a" * PROMPT_LENGTH_MAX]}, "prompt", "10008 .* 10000"),
    ],
)
def test_what_cannot_be_mixed_is_said(fields: dict[str, Any], field: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words) as caught:
        mixed(**fields)
    assert caught.value.field == field


@pytest.mark.parametrize(
    "fields",
    [
        {"mood": {"name": "mood 1", "weight": 2.1}},
        {"mood": {"name": "mood 1", "weight": -0.1}},
        {"mood": {"name": "mood 1", "weight": float("nan")}},
        {"mood": {"name": "mood 1", "size": 1}},
        {"mood": ""},
        {"moods": "mood 1"},
        {"artists": ["artists 1"] * 4},
        {"sequence": ["a"] * (LINES_MAX + 1)},
    ],
)
def test_malformed_mixes_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        StyleMix(**fields)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" a ,, b,,, ,c , ", "a, b, c"),
        ("a\n  b\t", "a b"),
        (", ,", ""),
        ("a \\, , b\\,", "a \\,, b\\,"),
        ("(a:1.2),[b]", "(a:1.2), [b]"),
    ],
)
def test_cleaning(text: str, expected: str) -> None:
    assert clean(text) == expected


@given(st.text("a, \\\n(:1", max_size=30))
def test_cleaning_twice_changes_nothing(text: str) -> None:
    assert clean(clean(text)) == clean(text)

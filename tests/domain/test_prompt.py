"""The prompt language against recordings of AUTOMATIC1111's behaviour, and against any text."""

from __future__ import annotations

import json
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limner.domain.attention import WEIGHT_MAX, weigh
from limner.domain.prompt import ADJUSTMENTS_MAX, Adapter, Prompt, Span, parse, unparse

TABLE = [
    json.loads(line)
    for line in Path(__file__).with_name("prompts.jsonl").read_text("utf-8").splitlines()
]
PIECES = [
    *"()[]:|\\,<>ab3_é",
    *(" ", "  ", "\n", "\t", "\u2003", "\x1c", "\x00", "\ud800"),
    *(".5", "-1", "1e1", "1.2.3", ":1.2)", "(:2)", "(a:1.2)", "(a:-1)"),
    *("AND", " AND ", "ANDY", "BREAK", " BREAK ", "<lora:x:0.5>"),
    *("[a:b:3]", "[c:.5]", "[a|b|]", "\\(", "\\]", "\\\\"),
]
prompts = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=16).map("".join)


def shape(prompt: Prompt) -> list[Any]:
    return [
        [e.until_step, [[b.weight, [[s.text, s.weight] for s in b.spans]] for b in e.branches]]
        for e in prompt.entries
    ]


def spans(text: str, steps: int = 10, step: int = 1) -> list[tuple[str, float]]:
    (branch,) = parse(text, steps).at(step).branches
    return [(span.text, span.weight) for span in branch.spans]


@pytest.mark.parametrize("row", TABLE, ids=[row["text"][:40] for row in TABLE])
def test_it_reads_what_the_original_reads(row: dict[str, Any]) -> None:
    prompt = parse(row["text"], row["steps"], negative=row.get("negative", False))
    assert shape(prompt) == row["schedule"]


def test_printing_makes_no_tag_out_of_two_edits() -> None:
    check_any_text("(>[<a|<b]", 2, False)


def check_any_text(text: str, steps: int, negative: bool) -> None:
    prompt = parse(text, steps, negative=negative)
    ends = [entry.until_step for entry in prompt.entries]
    assert ends == sorted(set(ends))
    assert ends[-1] == steps
    assert ends[0] >= 1
    assert len({len(entry.branches) for entry in prompt.entries}) == 1
    for entry in prompt.entries:
        for branch in entry.branches:
            assert branch.spans
            assert all(abs(span.weight) <= WEIGHT_MAX for span in branch.spans)
            assert all(a.weight != b.weight for a, b in pairwise(branch.spans))
    printed = unparse(prompt)
    again = parse(printed, steps, negative=negative)
    assert again == prompt
    assert unparse(again) == printed


@given(prompts, st.sampled_from([1, 2, 7, 20]), st.booleans())
@settings(max_examples=300, deadline=None)
def test_no_text_raises_and_print_then_parse_is_stable(
    text: str, steps: int, negative: bool
) -> None:
    check_any_text(text, steps, negative)


@pytest.mark.slow
@given(prompts, st.sampled_from([1, 2, 7, 20]), st.booleans())
@settings(max_examples=10_000, deadline=None)
def test_ten_thousand_texts(text: str, steps: int, negative: bool) -> None:
    check_any_text(text, steps, negative)


@given(st.text())
def test_a_text_without_marks_is_one_span(text: str) -> None:
    plain = "".join(c for c in text if c not in "\\()[]:|<>" and not c.isspace())
    if plain not in ("AND", "BREAK"):
        assert spans(plain) == [(plain, 1.0)]


def test_the_worked_example() -> None:
    text = "a (((house:1.3)) [on] a (hill:0.5), sun, (((sky)))."
    assert [(t, round(w, 4)) for t, w in spans(text)] == [
        ("a ", 1.0),
        ("house", 1.573),
        (" ", 1.1),
        ("on", 1.0),
        (" a ", 1.1),
        ("hill", 0.55),
        (", sun, ", 1.1),
        ("sky", 1.4641),
        (".", 1.1),
    ]


@pytest.mark.parametrize("text", ["(a:1.2.3)", "(a:.)", "(a:+..)"])
def test_a_weight_that_is_no_number_is_text_and_is_told(text: str) -> None:
    prompt = parse(text, 10)
    assert prompt.entries[0].branches[0].spans == (Span(text),)
    assert "is not a weight" in prompt.adjustments[0]


def test_only_the_bracket_with_the_bad_weight_is_text() -> None:
    assert spans("x (a:1.2.3) (b:1.5)") == [("x (a:1.2.3) ", 1.0), ("b", 1.5)]
    assert spans("((a:1.2.3):2)") == [("(a:1.2.3)", 2.0)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a <lora:hero:0.8> b", "draws with the LoRA that it names"),
        ("a <unknown:hero> b", "no adapter that Limner knows"),
        ("a <lora:hero:much> b", "is no strength of a LoRA"),
        ("a <lora:hero:nan> b", "'nan' is no strength of a LoRA"),
        ("a <lora:hero:1:unet=NaN> b", "'1:unet=NaN' is no strength of a LoRA"),
        ("a | b [c:3]", "read as plain text"),
        ("[c:3] \\", "read as plain text"),
        ("(open", "never closed"),
        ("a) b", "')' closes nothing"),
        ("a:1.2) b", "')' closes nothing"),
        ("(a]", "']' closes nothing"),
        ("a \\c", "backslash was dropped"),
        ("(a BREAK b)", "BREAK inside a weighted bracket"),
        ("time 10:30", "weight of the whole prompt"),
        ("[x:1.3]", "never switches"),
        ("[x:y:0]", "from the start"),
        ("(a:99999999)", "limited to 1000000"),
    ],
)
def test_what_was_changed_is_told(text: str, words: str) -> None:
    assert any(words in sentence for sentence in parse(text, 20).adjustments)


@pytest.mark.parametrize(
    "text", ["", "a (b:1.2) [c:d:0.5], [e|f]", "\\(a\\) | b", "a AND b :0.5", "a BREAK b"]
)
def test_nothing_is_told_where_nothing_was_changed(text: str) -> None:
    assert parse(text, 20).adjustments == ()


def test_negative_prompts_keep_tags_and_and_as_text_and_say_so() -> None:
    prompt = parse("a AND <lora:b>", 10, negative=True)
    assert prompt.entries[0].branches[0].spans == (Span("a AND <lora:b>"),)
    assert "plain text in a negative prompt" in prompt.adjustments[0]


def test_adjustments_are_told_once_and_not_without_end() -> None:
    many = "".join(f"(a:{n}.1.1)" for n in range(100))
    adjustments = parse("(a:1.1.1) (b:1.1.1)", 10).adjustments
    assert len(adjustments) == 1
    assert len(parse(many, 10).adjustments) == ADJUSTMENTS_MAX + 1


@pytest.mark.parametrize(
    ("tag", "adapter"),
    [
        ("<lora:hero>", Adapter("hero", 1.0, 1.0)),
        ("<lora:hero:0.5>", Adapter("hero", 0.5, 0.5)),
        ("<lora:hero:0.5:0.7>", Adapter("hero", 0.5, 0.7)),
        ("<lora:hero:unet=0.7:te=0.1>", Adapter("hero", 0.1, 0.7)),
        ("<lyco:hero:2>", Adapter("hero", 2.0, 2.0)),
    ],
)
def test_adapters(tag: str, adapter: Adapter) -> None:
    prompt = parse(f"a {tag}knight", 10)
    assert prompt.adapters == (adapter,)
    assert prompt.entries[0].branches[0].text == "a knight"


def test_branches_change_at_the_steps_of_all_of_them() -> None:
    prompt = parse("[a:b:2] AND [c:d:5] :0.5", 8)
    texts = [(e.until_step, [b.text for b in e.branches]) for e in prompt.entries]
    assert texts == [(2, ["a", " c"]), (5, ["b", " c"]), (8, ["b", " d"])]
    assert prompt.weights == (1.0, 0.5)
    assert prompt.at(3) is prompt.entries[1]


def test_weights_that_overflow_stay_finite() -> None:
    (deep,) = parse("(" * 9000 + "a", 10).entries[0].branches
    assert deep.spans == (Span("a", WEIGHT_MAX),)
    (huge,) = parse("((a:" + "9" * 400 + "):0)", 10).entries[0].branches
    assert huge.spans == (Span("a", 0.0),)


@pytest.mark.parametrize(
    "text",
    ["[" * 10_000, "([" * 5_000, "(a " * 3_333, "<a:" * 3_333 + ">", " " * 10_000 + "BREAK",
     "[a" * 3_000 + ":b:3]" * 500, ":" * 10_000, "\\" * 9_999, "[|" * 2_500 + "]" * 2_500],
    ids=lambda text: text[:6],
)  # fmt: skip
def test_long_hostile_texts_are_read_quickly(text: str) -> None:
    began = time.process_time()
    parse(text, 20)
    assert time.process_time() - began < 5


def test_break_is_one_span_of_its_own() -> None:
    read, _ = weigh("a BREAK b")
    assert read == (Span("a"), Span.BREAK, Span("b"))

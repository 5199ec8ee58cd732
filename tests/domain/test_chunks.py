"""Chunks of 75 tokens: cuts at commas, BREAK, padding."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limner.domain.attention import Span
from limner.domain.chunks import (
    CHUNK_LENGTH,
    COMMA,
    END,
    START,
    Chunk,
    Remembered,
    check_chunks,
    cut,
)
from limner.errors import InvalidInput

WORD = 1000


def by_letter(texts: Sequence[str]) -> list[list[int]]:
    """A comma is the comma's token, any other character a word."""
    return [[COMMA if letter == "," else WORD for letter in text] for text in texts]


def lengths(*spans: Span) -> list[int]:
    return [len(chunk.tokens) for chunk in cut(spans, by_letter)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [0]),
        ("w" * 75, [75]),
        ("w" * 76, [75, 1]),
        ("w" * 55 + "," + "w" * 40, [56, 40]),
        ("w" * 54 + "," + "w" * 40, [75, 20]),
        ("w" * 74 + "," + "w", [75, 1]),
        ("w" * 75 + ",", [75, 1]),
        ("w" * 60 + "," + "w" * 14 + ",", [75, 1]),
        ("w" * 60 + "," + "w" * 5 + "," + "w" * 9, [67, 9]),
    ],
)
def test_where_a_long_text_is_cut(text: str, expected: list[int]) -> None:
    assert lengths(Span(text)) == expected


def test_break_closes_the_chunk_even_an_empty_one() -> None:
    assert lengths(Span("ww"), Span.BREAK, Span("w")) == [2, 1]
    assert lengths(Span("ww"), Span.BREAK) == [2]
    assert lengths(Span.BREAK, Span("w")) == [0, 1]
    assert lengths(Span("BREAK", -1.1), Span("w")) == [6]


def test_weights_follow_their_tokens_over_a_cut() -> None:
    first, second = cut([Span("w" * 60 + ","), Span("w" * 20, 1.5)], by_letter)
    assert first == Chunk((WORD,) * 60 + (COMMA,), (1.0,) * 61)
    assert second == Chunk((WORD,) * 20, (1.5,) * 20)


def test_padding_weighs_one_and_is_the_end_token() -> None:
    padded = Chunk((WORD, WORD), (1.5, 0.5)).padded()
    assert padded.tokens == (START, WORD, WORD, *[END] * 74)
    assert padded.weights == (1.0, 1.5, 0.5, *[1.0] * 74)


def test_a_lone_surrogate_reaches_no_tokenizer() -> None:
    (chunk,) = cut([Span("\ud800")], lambda texts: [[len(texts[0].encode())]])
    assert chunk.tokens == (1,)


@given(st.lists(st.builds(Span, st.text("w,", max_size=120), st.sampled_from([0.5, 1.0, 1.3]))))
def test_nothing_is_lost_and_no_chunk_is_too_long(spans: list[Span]) -> None:
    chunks = cut(spans, by_letter)
    told = [(t, w) for chunk in chunks for t, w in zip(chunk.tokens, chunk.weights, strict=True)]
    expected = [(t, s.weight) for s in spans for t in by_letter([s.text])[0]]
    assert told == expected
    assert all(len(chunk.tokens) <= CHUNK_LENGTH for chunk in chunks)
    assert all(len(chunk.padded().tokens) == 77 for chunk in chunks)


def test_too_many_chunks_names_both_numbers() -> None:
    check_chunks("prompt", [1, 8])
    with pytest.raises(InvalidInput, match=r"negative_prompt is 9 chunks .* at most 8") as caught:
        check_chunks("negative_prompt", [2, 9])
    assert caught.value.field == "negative_prompt"


def test_a_remembered_tokenizer_is_asked_once_for_each_text() -> None:
    asked: list[str] = []
    tokenize = Remembered(lambda texts: asked.extend(texts) or by_letter(texts))
    assert tokenize(["w", ",", "w"]) == by_letter(["w", ",", "w"])
    assert tokenize([",", "ww"]) == by_letter([",", "ww"])
    assert asked == ["w", ",", "ww"]

"""Names of embeddings among tokens, and their vectors in chunks."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from limner.domain.attention import Span
from limner.domain.chunks import CHUNK_LENGTH, COMMA, Chunk, cut
from limner.domain.embeddings import VECTORS_MAX, Embedding, Names, Vector, vectors
from limner.domain.params import Generation


def by_letter(texts: Sequence[str]) -> list[list[int]]:
    """A comma is the comma's token; another character its code; capital letters are small ones."""
    return [[COMMA if letter == "," else ord(letter) for letter in text.lower()] for text in texts]


def made(name: str, count: int = 1, digit: str = "0") -> Embedding:
    return Embedding(name=name, sha256=digit * 64, vectors=count)


def shown(chunk: Chunk) -> str:
    """Letters, and a star for each vector."""
    return "".join(
        "*" if isinstance(token, Vector) else "," if token == COMMA else chr(token)
        for token in chunk.tokens
    )


def chunks(text: str, *embeddings: Embedding) -> list[str]:
    return [shown(chunk) for chunk in cut([Span(text)], by_letter, embeddings)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a neg b", "a ** b"),
        ("A NEG B", "a ** b"),
        ("anegb", "a**b"),
        ("negx", "***"),
        ("embedding:neg b", "** b"),
        ("embedding:negx", "***"),
        ("embedding:ne", "embedding:ne"),
        ("negneg", "****"),
        ("neneg", "ne**"),
    ],
)
def test_names_are_found_by_their_tokens_the_longest_first(text: str, expected: str) -> None:
    assert chunks(text, made("neg", 2), made("NegX", 3)) == [expected]


def test_what_is_no_embedding_of_the_request_stays_text() -> None:
    assert chunks("a neg b") == ["a neg b"]


def test_vectors_have_the_weight_of_their_name_and_remember_its_tokens() -> None:
    own = made("neg", 2)
    (chunk,) = cut([Span("a", 1.0), Span("neg", 1.3)], by_letter, [own])
    assert chunk.weights == (1.0, 1.3, 1.3)
    assert chunk.tokens[1:] == tuple(vectors(own, tuple(map(ord, "neg"))))
    assert [v.row for v in chunk.tokens if isinstance(v, Vector)] == [0, 1]
    assert chunk.tokens[1].named_by == tuple(map(ord, "neg"))  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("w" * 70 + "neg", ["w" * 70 + "*" * 5]),
        ("w" * 71 + "neg", ["w" * 71, "*" * 5]),
        ("w" * 75 + "neg", ["w" * 75, "*" * 5]),
        ("w" * 60 + "," + "w" * 14 + "neg", ["w" * 60 + ",", "w" * 14 + "*" * 5]),
        ("w" * 60 + "," + "w" * 10 + "neg", ["w" * 60 + "," + "w" * 10, "*" * 5]),
        ("w" * 69 + ",neg,w", ["w" * 69 + ",*****", ",w"]),
        ("w" * 68 + ",negx", ["w" * 68 + ",*****x"]),
        ("w" * 60 + ",neg" + "w" * 20, ["w" * 60 + ",", "*" * 5 + "w" * 20]),
    ],
)
def test_an_embedding_is_kept_whole_within_a_chunk(text: str, expected: list[str]) -> None:
    assert chunks(text, made("neg", 5)) == expected


@given(st.text("wn,e", max_size=200), st.integers(1, VECTORS_MAX))
def test_nothing_is_lost_and_no_embedding_is_torn(text: str, count: int) -> None:
    own = made("ne", count)
    found = cut([Span(text)], by_letter, [own])
    assert "".join(map(shown, found)) == text.replace("ne", "*" * count)
    for chunk in found:
        assert len(chunk.tokens) <= CHUNK_LENGTH
        rows = [token.row for token in chunk.tokens if isinstance(token, Vector)]
        assert rows == list(range(count)) * (len(rows) // count)


def test_equal_vectors_are_one_key_however_they_were_named() -> None:
    first, second = (cut([Span(t)], by_letter, [made("neg")]) for t in ("neg", "embedding:neg"))
    assert first == second
    assert first != cut([Span("neg")], by_letter, [made("neg", digit="1")])


def test_names_without_tokens_name_nothing() -> None:
    assert list(Names([((), "nothing"), ((1, 2), "this")]).found([2, 1, 2, 1])) == [
        ((1, 2), "this")
    ]


@pytest.mark.parametrize(
    "wrong", [{"name": ""}, {"sha256": "0" * 63}, {"vectors": 0}, {"vectors": VECTORS_MAX + 1}]
)
def test_limits(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Embedding(**{"name": "a", "sha256": "0" * 64, "vectors": 1, **wrong})


def test_a_generation_without_them_says_nothing_of_them() -> None:
    for unsaid in (None, ()):
        line = Generation(prompt="a", seed=1, embeddings=unsaid)
        assert "embeddings" not in line.model_dump(mode="json")
    said = Generation(prompt="a", seed=1, embeddings=(made("neg", 3),))
    assert Generation.model_validate(said.model_dump(mode="json")) == said
    assert Generation(prompt="a", seed=1).embeddings == ()

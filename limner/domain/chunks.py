"""Chunks: weighted spans -> runs of at most 75 tokens, as CLIP's text encoder takes them.

CLIP reads 77 tokens: a start, 75 of text, an end. A longer prompt is cut into several such
chunks that are encoded one by one, as AUTOMATIC1111 does it. Where the cut falls shortly after a
comma, it moves back to that comma, so that a phrase is not torn; nor is an embedding, ever.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from limner.domain.attention import Span
from limner.domain.embeddings import PREFIX, Embedding, Names, Vector, vectors
from limner.domain.params import CHUNKS_MAX
from limner.errors import InvalidInput

START, END, COMMA = 49406, 49407, 267
CHUNK_LENGTH = 75
LOOK_BACK = 20
ENCODED_MAX = 160
"""Chunks of all texts of a request: enough for a short prompt that changes at each of 150 steps."""

Token = int | Vector
Tokenize = Callable[[Sequence[str]], Sequence[Sequence[int]]]
"""CLIP's byte-pair encoding of some texts, each by itself, without start and end tokens."""


class Remembered:
    """A ``Tokenize`` that asks another one for each text once; keep it for one prompt only."""

    def __init__(self, tokenize: Tokenize) -> None:
        self.tokenize = tokenize
        self.known: dict[str, Sequence[int]] = {}

    def __call__(self, texts: Sequence[str]) -> list[Sequence[int]]:
        if missing := [text for text in dict.fromkeys(texts) if text not in self.known]:
            self.known.update(zip(missing, self.tokenize(missing), strict=True))
        return [self.known[text] for text in texts]


@dataclass(frozen=True)
class Chunk:
    """At most 75 tokens of text, or vectors in their places, each with its weight."""

    tokens: tuple[Token, ...] = ()
    weights: tuple[float, ...] = ()

    def padded(self) -> Chunk:
        """All 77 tokens: between start and end, filled with end; those weigh 1."""
        rest = CHUNK_LENGTH - len(self.tokens) + 1
        return Chunk(
            (START, *self.tokens, *[END] * rest),
            (1.0, *self.weights, *[1.0] * rest),
        )


@dataclass(eq=False)
class _Cutter:
    """The chunks so far, the one being filled, and the place of its last comma."""

    chunks: list[Chunk] = field(default_factory=list)
    tokens: list[Token] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    comma: int = -1

    def add(self, piece: Sequence[Token], weight: float) -> None:
        """A token, or all vectors of an embedding, which stay together."""
        if len(self.tokens) == CHUNK_LENGTH:
            near = self.comma >= CHUNK_LENGTH - LOOK_BACK and piece[0] != COMMA
            self.cut(self.comma + 1 if near else CHUNK_LENGTH)
        elif piece[0] == COMMA:
            self.comma = len(self.tokens)
        if len(self.tokens) + len(piece) > CHUNK_LENGTH:
            self.cut(CHUNK_LENGTH)
        self.tokens += piece
        self.weights += [weight] * len(piece)

    def cut(self, at: int) -> None:
        """Close the chunk after ``at`` tokens; the rest begins the next one."""
        self.chunks.append(Chunk(tuple(self.tokens[:at]), tuple(self.weights[:at])))
        self.tokens, self.weights = self.tokens[at:], self.weights[at:]
        self.comma = -1


def cut(
    spans: Sequence[Span], tokenize: Tokenize, embeddings: Sequence[Embedding] = ()
) -> tuple[Chunk, ...]:
    """The chunks of ``spans``: at least one; a BREAK with nothing before it makes an empty one.

    A full chunk is cut after its last comma, when that is among its last 20 tokens and the
    token that no longer fits is not itself a comma. The names of ``embeddings`` are vectors.
    """
    cutter, names = _Cutter(), _names(embeddings, tokenize)
    for span, tokens in zip(spans, encoded(spans, tokenize), strict=True):
        if span == Span.BREAK:
            cutter.cut(CHUNK_LENGTH)
            continue
        for piece in _pieces(tokens, names):
            cutter.add(piece, span.weight)
    if cutter.tokens or not cutter.chunks:
        cutter.cut(CHUNK_LENGTH)
    return tuple(cutter.chunks)


def encoded(spans: Sequence[Span], tokenize: Tokenize) -> Sequence[Sequence[int]]:
    """The tokens of each span's text by itself."""
    # A lone surrogate is in no vocabulary and stops the tokenizer; "?" stands for it.
    return tokenize([span.text.encode("utf-8", "replace").decode() for span in spans])


def _names(embeddings: Sequence[Embedding], tokenize: Tokenize) -> Names[Embedding] | None:
    if not embeddings:
        return None
    both = [each for embedding in embeddings for each in (embedding, embedding)]
    texts = [text for e in embeddings for text in (e.name, f"{PREFIX}{e.name}")]
    return Names(zip(tokenize(texts), both, strict=True))


def _pieces(tokens: Sequence[int], names: Names[Embedding] | None) -> Iterator[Sequence[Token]]:
    """Token by token; where an embedding is named, all of its vectors at once."""
    place = 0
    while place < len(tokens):
        here = None if names is None else names.at(tokens, place)
        if here is None:
            yield tokens[place : place + 1]
            place += 1
        else:
            yield vectors(here[1], here[0])
            place += len(here[0])


def check_chunks(field: str, chunks: Iterable[int]) -> None:
    """Raise ``InvalidInput`` when the longest of a field's texts has too many chunks."""
    longest = max(chunks, default=0)
    if longest > CHUNKS_MAX:
        raise InvalidInput(
            field,
            f"{field} is {longest} chunks of {CHUNK_LENGTH} tokens long; at most {CHUNKS_MAX} "
            "are read.",
        )


def check_encoded(field: str, chunks: int) -> None:
    """Raise ``InvalidInput`` when the texts that the steps show have too many chunks together.

    All are encoded before the first step, and other people's prompts wait meanwhile.
    """
    if chunks > ENCODED_MAX:
        raise InvalidInput(
            field,
            f"{field} changes over the steps into more text than is read: at most {ENCODED_MAX} "
            f"chunks of {CHUNK_LENGTH} tokens in all, negative prompt included. Fewer edits and "
            "alternatives, or shorter texts round them, fit.",
        )

"""Chunks: weighted spans -> runs of at most 75 tokens, as CLIP's text encoder takes them.

CLIP reads 77 tokens: a start, 75 of text, an end. A longer prompt is cut into several such
chunks that are encoded one by one, as AUTOMATIC1111 does it. Where the cut falls shortly after a
comma, it moves back to that comma, so that a phrase is not torn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from limner.domain.attention import Span
from limner.domain.params import CHUNKS_MAX
from limner.errors import InvalidInput

START, END, COMMA = 49406, 49407, 267
CHUNK_LENGTH = 75
LOOK_BACK = 20
ENCODED_MAX = 160
"""Chunks of all texts of a request: enough for a short prompt that changes at each of 150 steps."""

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
    """At most 75 tokens of text, each with its weight."""

    tokens: tuple[int, ...] = ()
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
    tokens: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    comma: int = -1

    def add(self, token: int, weight: float) -> None:
        if len(self.tokens) == CHUNK_LENGTH:
            near = self.comma >= CHUNK_LENGTH - LOOK_BACK and token != COMMA
            self.cut(self.comma + 1 if near else CHUNK_LENGTH)
        elif token == COMMA:
            self.comma = len(self.tokens)
        self.tokens.append(token)
        self.weights.append(weight)

    def cut(self, at: int) -> None:
        """Close the chunk after ``at`` tokens; the rest begins the next one."""
        self.chunks.append(Chunk(tuple(self.tokens[:at]), tuple(self.weights[:at])))
        self.tokens, self.weights = self.tokens[at:], self.weights[at:]
        self.comma = -1


def cut(spans: Sequence[Span], tokenize: Tokenize) -> tuple[Chunk, ...]:
    """The chunks of ``spans``: at least one; a BREAK with nothing before it makes an empty one.

    A full chunk is cut after its last comma, when that is among its last 20 tokens and the
    token that no longer fits is not itself a comma.
    """
    cutter = _Cutter()
    # A lone surrogate is in no vocabulary and stops the tokenizer; "?" stands for it.
    encoded = tokenize([span.text.encode("utf-8", "replace").decode() for span in spans])
    for span, tokens in zip(spans, encoded, strict=True):
        if span == Span.BREAK:
            cutter.cut(CHUNK_LENGTH)
            continue
        for token in tokens:
            cutter.add(token, span.weight)
    if cutter.tokens or not cutter.chunks:
        cutter.cut(CHUNK_LENGTH)
    return tuple(cutter.chunks)


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

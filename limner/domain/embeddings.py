"""Embeddings (textual inversion): words of a prompt in whose places trained vectors stand.

A name is found as AUTOMATIC1111 finds it: by its tokens, anywhere in a text, the longest first;
so small and capital letters are alike, and so is white space between its parts. ``embedding:name``,
as ComfyUI writes it, names the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

EMBEDDINGS_MAX = 32
VECTORS_MAX = 75
"""As many as a chunk has places: an embedding is never torn."""
PREFIX = "embedding:"

Thing = TypeVar("Thing")


class Embedding(BaseModel):
    """One that a prompt names: ``vectors`` places, and the SHA-256 of the file that has them.

    A LoRA may bring several in its file; there ``name`` says which.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=500)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    vectors: int = Field(ge=1, le=VECTORS_MAX)


@dataclass(frozen=True)
class Vector:
    """Number ``row`` of an embedding's vectors, in the place of a token.

    ``named_by``: the tokens of the text that stands there, with the first vector.
    """

    embedding: Embedding
    row: int
    named_by: tuple[int, ...] = field(default=(), compare=False)


class Names(Generic[Thing]):
    """Things by the tokens that name them."""

    def __init__(self, named: Iterable[tuple[Sequence[int], Thing]]) -> None:
        self._by_first: dict[int, list[tuple[tuple[int, ...], Thing]]] = {}
        for tokens, thing in named:
            if tokens:
                self._by_first.setdefault(tokens[0], []).append((tuple(tokens), thing))
        for those in self._by_first.values():
            those.sort(key=lambda each: -len(each[0]))

    def at(self, tokens: Sequence[int], place: int) -> tuple[tuple[int, ...], Thing] | None:
        """The longest name that stands at ``place``, its tokens and what it names."""
        for name, thing in self._by_first.get(tokens[place], ()):
            if tuple(tokens[place : place + len(name)]) == name:
                return name, thing
        return None

    def found(self, tokens: Sequence[int]) -> Iterable[tuple[tuple[int, ...], Thing]]:
        """Every name in a text, one after the other."""
        place = 0
        while place < len(tokens):
            if (here := self.at(tokens, place)) is not None:
                yield here
            place += len(here[0]) if here else 1


def vectors(embedding: Embedding, named_by: tuple[int, ...]) -> list[Vector]:
    """All of an embedding's, for the places that they take."""
    rest = [Vector(embedding, row) for row in range(1, embedding.vectors)]
    return [Vector(embedding, 0, named_by), *rest]

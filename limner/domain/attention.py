r"""Weights of attention: text -> spans of text, each with one weight.

The behaviour is AUTOMATIC1111's. ``(x)`` is x1.1, ``[x]`` is /1.1, ``(x:w)`` is xw; nesting
multiplies. A bracket that is never closed reaches to the end, a closer without an opener is
text. ``\(``, ``\)``, ``\[``, ``\]`` and ``\\`` are literal; any other backslash is dropped.
``BREAK`` as a word of its own is the span ``Span.BREAK``, unless a bracket changes its weight.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import ClassVar

import numpy as np

ROUND = 1.1
SQUARE = 1 / 1.1
WEIGHT_MAX = 1e6

_TOKEN = re.compile(
    r"\\(?P<escaped>[\\()\[\]])?"
    r"|(?P<open>[(\[])"
    r"|:\s*(?P<weight>[-+]?[.\d]+)\s*\)"
    r"|(?P<close>[)\]])"
    r"|:|[^\\()\[\]:]+"
)
_BACKSLASH = r"A backslash was dropped: only \(, \), \[, \] and \\ stand for themselves."
_BREAK = re.compile(r"\bBREAK\b")


@dataclass(frozen=True)
class Span:
    """A run of text with one weight; ``Span.BREAK`` closes the chunk of tokens."""

    text: str
    weight: float = 1.0

    BREAK: ClassVar[Span]


Span.BREAK = Span("BREAK", -1.0)


def limited(weight: float) -> float:
    """A weight within plus or minus ``WEIGHT_MAX``; 0 in place of what is not a number."""
    return min(max(weight, -WEIGHT_MAX), WEIGHT_MAX) if weight == weight else 0.0


def weigh(text: str) -> tuple[tuple[Span, ...], list[str]]:
    """The spans of ``text`` (at least one), and what to tell its writer."""
    reader = _Reader(2 * len(text) + 1)
    with np.errstate(over="ignore", invalid="ignore"):
        for match in _TOKEN.finditer(text):
            reader.take(match)
        return reader.finish(), reader.notes


class _Reader:
    """Pieces of text with their weights so far, and the brackets that are open."""

    def __init__(self, capacity: int) -> None:
        self.texts: list[str | None] = []
        self.weights = np.ones(capacity)
        self.opened: dict[str, list[int]] = {"(": [], "[": []}
        self.notes: list[str] = []

    def take(self, match: re.Match[str]) -> None:
        token, weight = match.group(), match["weight"]
        if token[0] == "\\":
            self.add(match["escaped"] or "")
            if not match["escaped"]:
                self.notes.append(_BACKSLASH)
        elif match["open"]:
            self.add(None)
            self.opened[token].append(len(self.texts))
        elif weight and self.opened["("]:
            self.close_weighted(token, weight)
        elif token == ")" and self.opened["("]:
            self.multiply(self.opened["("].pop(), ROUND)
        elif token == "]" and self.opened["["]:
            self.multiply(self.opened["["].pop(), SQUARE)
        else:
            self.add_words(token)
            if token[-1] in ")]":
                self.notes.append(f"A {token[-1]!r} closes nothing: it was read as text.")

    def add(self, text: str | None, weight: float = 1.0) -> None:
        self.weights[len(self.texts)] = weight
        self.texts.append(text)

    def add_words(self, token: str) -> None:
        """Text that is no bracket; its ``BREAK`` words swallow the white space round them."""
        parts = _BREAK.split(token)
        for index, part in enumerate(parts):
            if index:
                self.add(Span.BREAK.text, Span.BREAK.weight)
                part = part.lstrip()
            self.add(part if index == len(parts) - 1 else part.rstrip())

    def close_weighted(self, token: str, weight: str) -> None:
        start = self.opened["("].pop()
        try:
            self.multiply(start, float(weight))
        except ValueError:
            self.texts[start - 1] = "("
            self.add(token)
            self.notes.append(f"{weight!r} is not a weight: its bracket was read as plain text.")

    def multiply(self, start: int, factor: float) -> None:
        self.weights[start : len(self.texts)] *= factor

    def finish(self) -> tuple[Span, ...]:
        for mark, factor in (("(", ROUND), ("[", SQUARE)):
            for start in self.opened[mark]:
                self.multiply(start, factor)
                self.notes.append(f"A {mark!r} is never closed: it reaches to the end.")
        spans = tuple(self.merged()) or (Span(""),)
        if any(span.text == "BREAK" and span != Span.BREAK for span in spans):
            self.notes.append("BREAK inside a weighted bracket was read as the word.")
        return spans

    def merged(self) -> Iterator[Span]:
        """Neighbours of equal weight are one span."""
        weights = self.weights[: len(self.texts)].tolist()
        if any(limited(weight) != weight for weight in weights):
            self.notes.append(f"Weights were limited to {WEIGHT_MAX:.0f}.")
        pieces = [
            Span(text, limited(weight))
            for text, weight in zip(self.texts, weights, strict=True)
            if text is not None
        ]
        for weight, run in groupby(pieces, key=lambda piece: piece.weight):
            yield Span("".join(piece.text for piece in run), weight)

"""Prompt editing ``[from:to:when]`` and alternation ``[a|b]``: text -> texts over the steps.

The behaviour is AUTOMATIC1111's, whose grammar is this, with ``NUMBER`` a signed decimal:

    start      = { item | "(" | ")" | "[" | "]" | ":" }        brackets that fit nowhere are text
    item       = "(" items [":" items] ")" | "[" items "]" | edited | alternate | plain
    edited     = "[" [items ":"] items ":" NUMBER "]"
    alternate  = "[" items "|" items {"|" items} "]"
    plain      = { any character but \\ [ ] ( ) : | ; or a backslash and a character }

A bar outside an alternation, a backslash at the end or before a line break fit nowhere at all:
then nothing in the text is edited. One pass with a stack decides all of it, because a character
that fits in no open bracket makes every open bracket text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import pairwise

_SPECIAL = re.compile(r"\\.|[\\()\[\]:|]")
_WHEN = re.compile(r"\s*([-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)\s*")

CHOICES_MAX = 300
SHOWN_MAX = 60_000
"""Characters of all texts that the steps of a prompt show: some 160 chunks of 75 tokens."""


class TooMuchEditing(ValueError):
    """A prompt that changes more often, or into more text, than is read."""


@dataclass(frozen=True)
class Chosen:
    """A bracket that reads differently from step to step.

    ``start`` and ``end`` enclose it in the text, ``parts`` are the places of its alternatives.
    ``when`` is the text of the switching time, None for an alternation.
    """

    start: int
    end: int
    parts: tuple[tuple[int, int], ...]
    when: str | None = None

    def last_step(self, steps: int) -> int:
        """The last step that shows the first text of an edit; 0 when it never shows."""
        when = float(self.when or "0")
        if "." in (self.when or ""):
            when *= steps
        return int(min(max(when, 0.0), float(steps)))

    def jumps(self, step: int, steps: int) -> dict[int, int]:
        """Where reading leaves off, and where it goes on, to read this bracket at ``step``."""
        if self.when is None:
            begin, stop = self.parts[(step - 1) % len(self.parts)]
        elif step > self.last_step(steps):
            begin, stop = self.parts[-1]
        elif len(self.parts) == 2:
            begin, stop = self.parts[0]
        else:
            return {self.start: self.end}
        return {self.start: begin, stop: self.end}


@dataclass(eq=False)
class _Open:
    """A bracket that is still open, and the separators seen directly inside it."""

    mark: str
    start: int
    colons: list[int] = field(default_factory=list)
    bars: list[int] = field(default_factory=list)

    def take(self, mark: str, at: int) -> bool:
        """Keep a separator if this bracket can have it there."""
        if mark == "|":
            fits = self.mark == "[" and not self.colons
            (self.bars if fits else []).append(at)
            return fits
        fits = len(self.colons) < (1 if self.mark == "(" else 2) and not self.bars
        (self.colons if fits else []).append(at)
        return fits

    def close(self, text: str, mark: str, at: int) -> tuple[bool, Chosen | None]:
        """Whether ``mark`` at ``at`` ends this bracket well, and the choice that it makes."""
        if (self.mark, mark) not in (("(", ")"), ("[", "]")):
            return False, None
        if self.mark == "(" or not (self.colons or self.bars):
            return True, None
        when = None
        if self.colons:
            number = _WHEN.fullmatch(text, self.colons[-1] + 1, at)
            if number is None:
                return False, None
            when = number.group(1)
        edges = [self.start, *self.colons, *self.bars] + ([] if self.colons else [at])
        parts = tuple((a + 1, b) for a, b in pairwise(edges))
        return True, Chosen(self.start, at + 1, parts, when)


def find_choices(text: str) -> list[Chosen] | None:
    """Every edited or alternating bracket of ``text``; None when the grammar does not fit."""
    choices: list[Chosen] = []
    opened: list[_Open] = []
    for match in _SPECIAL.finditer(text):
        mark, at = match.group(), match.start()
        if len(mark) == 2:
            continue
        if mark in "([":
            opened.append(_Open(mark, at))
            continue
        fits, choice = _fit(text, mark, at, opened)
        if choice:
            choices.append(choice)
        if not fits:
            if mark in "\\|" or any(bracket.bars for bracket in opened):
                return None
            opened.clear()
    return None if any(bracket.bars for bracket in opened) else choices


def _fit(text: str, mark: str, at: int, opened: list[_Open]) -> tuple[bool, Chosen | None]:
    """Try a separator or a closing bracket on the innermost open bracket."""
    if not opened or mark == "\\":
        return False, None
    if mark in ":|":
        return opened[-1].take(mark, at), None
    fits, choice = opened[-1].close(text, mark, at)
    if fits:
        opened.pop()
    return fits, choice


def read(text: str, choices: list[Chosen], step: int, steps: int) -> str:
    """``text`` as it stands at ``step`` (1..steps)."""
    jumps: dict[int, int] = {}
    for choice in choices:
        jumps.update(choice.jumps(step, steps))
    pieces, position = [], 0
    for stop in sorted(jumps):
        if stop >= position:
            pieces.append(text[position:stop])
            position = jumps[stop]
    pieces.append(text[position:])
    return "".join(pieces)


def schedule(text: str, steps: int) -> tuple[list[tuple[int, str]], list[str]]:
    """The texts of a prompt over ``steps`` steps, and what to tell its writer.

    Each ``(until_step, text)`` holds up to and including its step; the last is ``steps``.
    Raises ``TooMuchEditing`` beyond ``CHOICES_MAX`` brackets or ``SHOWN_MAX`` characters.
    """
    choices = find_choices(text)
    if choices is None:
        return [(steps, text)], _why_unread(text)
    if len(choices) > CHOICES_MAX:
        raise TooMuchEditing
    ends = {steps}
    notes = []
    for choice in choices:
        if choice.when is None:
            ends.update(range(1, steps + 1))
            continue
        last = choice.last_step(steps)
        ends.add(last or steps)
        if last in (0, steps):
            shown = "its last text shows from the start" if last == 0 else "it never switches"
            notes.append(f"{text[choice.start : choice.end]!r}: of {steps} steps, {shown}.")
    texts: dict[str, str] = {}
    read_at = []
    for end in sorted(ends):
        shown = read(text, choices, end, steps)
        read_at.append((end, texts.setdefault(shown, shown)))
        if sum(map(len, texts)) > max(SHOWN_MAX, len(text)):
            raise TooMuchEditing
    return read_at, notes


def _why_unread(text: str) -> list[str]:
    """The sentence for a text with brackets whose editing was given up."""
    if "[" not in text:
        return []
    return [
        "Editing and alternation were read as plain text: a '|' stands outside '[a|b]', or a "
        "backslash stands at the end of the prompt or of a line."
    ]

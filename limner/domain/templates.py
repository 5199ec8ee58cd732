r"""Templates: ``{a|b}`` and ``__wildcard__`` in a text, read in one pass and drawn by chance.

    template = { text | choice | wildcard }
    choice   = "{" [ count "$$" [ separator "$$" ] ] option { "|" option } "}"
    option   = [ weight "::" ] template
    count    = NUMBER | [NUMBER] "-" [NUMBER]
    wildcard = "__" name "__"

A backslash takes what follows as text, and stays: the prompt language drops it. Everything else
is text, an unknown wildcard inside a word among it (``<lora:a__b:0.7>``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from random import Random

from limner.errors import InvalidInput

CHOICES_MAX = 100
DEPTH_MAX = 10

# Each begins with its own mark and is bounded, so that reading takes one pass.
_MARK = re.compile(r"\\.|[{|}]|__", re.DOTALL)
_COUNT = re.compile(r"\s{0,9}(?:(\d{1,4})|(\d{0,4})-(\d{0,4}))\$\$(?:([^${}]{1,100})\$\$)?")
_WEIGHT = re.compile(r"\s{0,9}(\d{1,9}(?:\.\d{0,9})?|\.\d{1,9})::")
_NAME = re.compile(r"__([A-Za-z0-9*][\w/*-]{0,99}?)__")
_VARIABLE = re.compile(r"(?<!\$)\$\{\s{0,9}[A-Za-z]\w{0,99}\s{0,9}\??=")

Wildcards = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Wildcard:
    """One of some phrases."""

    phrases: tuple[str, ...]


@dataclass
class Option:
    """What a choice may give, and how likely it is beside the others."""

    weight: float = 1.0
    parts: list[Part] = field(default_factory=list)


@dataclass
class Chosen:
    """``low`` to ``high`` of the options, without repeats, joined by the separator."""

    start: int
    low: int = 1
    high: int = 1
    separator: str = ","
    options: list[Option] = field(default_factory=list)


Part = str | Wildcard | Chosen


@dataclass(frozen=True)
class Template:
    """A template that was read: draw from it as often as you like."""

    parts: tuple[Part, ...]

    def draw(self, rand: Random) -> str:
        """One reading."""
        return _draw(self.parts, rand)


def read(name: str, text: str, wildcards: Wildcards) -> Template:
    """The template in ``text``, the field ``name`` of a request.

    Raises ``InvalidInput`` for a brace that is not closed, an unknown wildcard that stands by
    itself, and more than ``CHOICES_MAX`` choices or ``DEPTH_MAX`` levels of them.
    """
    reader = _Reader(name, text, wildcards)
    at = 0
    while (mark := _MARK.search(text, at)) is not None:
        reader.add(text[at : mark.start()])
        at = reader.take(mark)
    reader.add(text[at:])
    return reader.finish()


class _Reader:
    """The choices that are open, from the outermost; the template itself is the first."""

    def __init__(self, name: str, text: str, wildcards: Wildcards) -> None:
        self.name, self.text, self.wildcards = name, text, wildcards
        self.whole = Option()
        self.opened: list[Chosen] = []
        self.choices = self.deepest = 0

    @property
    def option(self) -> Option:
        return self.opened[-1].options[-1] if self.opened else self.whole

    def add(self, part: Part) -> None:
        """Add to the innermost open option; white space at its beginning is dropped."""
        if isinstance(part, str) and self.opened:
            if "$$" in part:
                raise self.fault("holds '$$', before which a number must stand, as in {2$$a|b}")
            part = part if self.option.parts else part.lstrip()
        if part != "":
            self.option.parts.append(part)

    def take(self, mark: re.Match[str]) -> int:
        """Read from a mark on; where reading goes on."""
        if mark[0] == "__":
            return self.take_wildcard(mark.start())
        if mark[0] == "{":
            return self.open(mark.start())
        if mark[0] == "|" and self.opened:
            return self.begin_option(mark.end())
        if mark[0] == "}" and self.opened:
            closed = self.opened.pop()
            self.add(_settled(closed))
            return mark.end()
        self.add(mark[0])
        return mark.end()

    def open(self, start: int) -> int:
        if start and _VARIABLE.match(self.text, start - 1):
            raise self.fault(f"holds a variable, {_shown(self.text[start - 1 :])}; none are read")
        self.count(len(self.opened) + 1)
        choice = Chosen(start)
        at = start + 1
        if (count := _COUNT.match(self.text, at)) is not None:
            exact, low, high, separator = count.groups()
            choice.low = int(exact or low or 1)
            choice.high = int(exact or high or CHOICES_MAX**2)
            choice.separator = separator or ","
            at = count.end()
        self.opened.append(choice)
        return self.begin_option(at)

    def begin_option(self, at: int) -> int:
        weight = _WEIGHT.match(self.text, at)
        self.opened[-1].options.append(Option(float(weight[1]) if weight else 1.0))
        return weight.end() if weight else at

    def take_wildcard(self, start: int) -> int:
        mark = _NAME.match(self.text, start)
        if mark is None:
            self.add("__")
            return start + 2
        phrases = self.phrases(mark[1])
        if phrases:
            self.count(len(self.opened))
            self.add(Wildcard(phrases))
            return mark.end()
        if not _inside_a_word(self.text, mark):
            known = ", ".join(f"__{name}__" for name in self.wildcards)
            raise self.fault(
                f"uses the wildcard {mark[0]!r}, which nobody defined; defined are: {known}"
            )
        self.add("__")
        return start + 2

    def phrases(self, name: str) -> tuple[str, ...]:
        """Those of a wildcard's name, in which ``*`` stands for anything."""
        if "*" not in name:
            return tuple(self.wildcards.get(name, ()))
        self.count(len(self.opened))
        found = [p for known, p in self.wildcards.items() if fnmatchcase(known, name)]
        return tuple(phrase for phrases in found for phrase in phrases)

    def count(self, depth: int) -> None:
        self.choices += 1
        self.deepest = max(self.deepest, depth)
        if self.choices > CHOICES_MAX or self.deepest > DEPTH_MAX:
            raise self.fault(
                f"has more than {CHOICES_MAX} choices, or choices nested deeper than {DEPTH_MAX}; "
                "a template may have no more"
            )

    def finish(self) -> Template:
        if self.opened:
            start = self.opened[-1].start
            raise self.fault(
                f"has a '{{' that is never closed, at {_shown(self.text[start:])}; close it, or "
                "write \\{ where the brace itself is meant"
            )
        return Template(tuple(self.whole.parts))

    def fault(self, what: str) -> InvalidInput:
        return InvalidInput(self.name, f"{self.name} {what}.")


def _settled(choice: Chosen) -> Chosen:
    """A closed choice: a wildcard alone in it gives its phrases as options."""
    if len(choice.options) == 1 and len(parts := choice.options[0].parts) == 1:
        only = parts[0]
        if isinstance(only, Wildcard):
            choice.options = [Option(1.0, [phrase]) for phrase in only.phrases]
    most = len(choice.options)
    choice.low, choice.high = sorted((min(choice.low, most), min(choice.high, most)))
    return choice


def _inside_a_word(text: str, mark: re.Match[str]) -> bool:
    beside = text[max(0, mark.start() - 1) : mark.start()] + text[mark.end() : mark.end() + 1]
    return any(letter.isalnum() or letter == "_" for letter in beside)


def _draw(parts: Sequence[Part], rand: Random) -> str:
    drawn = []
    for part in parts:
        if isinstance(part, str):
            drawn.append(part)
        elif isinstance(part, Wildcard):
            drawn.append(rand.choices(part.phrases)[0])
        else:
            drawn.append(_draw_choice(part, rand))
    return "".join(drawn)


def _draw_choice(choice: Chosen, rand: Random) -> str:
    if len(choice.options) == 1:
        return _draw(choice.options[0].parts, rand) if choice.high else ""
    left, taken = list(choice.options), []
    for _ in range(rand.randint(choice.low, choice.high)):
        weights = [option.weight for option in left]
        at = rand.choices(range(len(left)), weights if any(weights) else None)[0]
        taken.append(left.pop(at))
    texts = [_draw(option.parts, rand) for option in taken]
    return choice.separator.join(filter(None, texts))


def _shown(text: str) -> str:
    return repr(text if len(text) <= 30 else text[:27] + "...")

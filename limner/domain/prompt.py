"""The prompt language: text -> a schedule of composed, weighted spans.

Order of reading: ``<name:args>`` tags are taken out, ``AND`` splits the rest into branches with
weights, editing and alternation become a schedule over the steps (``editing``), then each text
is weighed (``attention``). The behaviour is AUTOMATIC1111's; where that one raises, the part it
cannot read is text here, and ``adjustments`` say so. Nothing in this room raises on any text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from math import isnan

from limner.domain.attention import WEIGHT_MAX, Span, limited, weigh
from limner.domain.editing import CHOICES_MAX, SHOWN_MAX, TooMuchEditing, schedule

__all__ = ["Adapter", "Branch", "Entry", "Prompt", "Span", "parse", "split_branches", "unparse"]

ADJUSTMENTS_MAX = 20

_TAG = re.compile(r"<(\w+):([^>]+)>")
_AND = re.compile(r"\bAND\b")
_BRANCH_WEIGHT = re.compile(r":\s*([-+]?(?:\d+\.?|\d*\.\d+))\Z")
_NOTHING = "\\"  # a backslash before any other character is dropped
_ADAPTER_KINDS = ("lora", "lyco")


@dataclass(frozen=True)
class Branch:
    """One composed prompt: ``weight`` times guidance pulls towards its ``spans``.

    ``text`` is what the spans were read from, brackets and all.
    """

    weight: float
    spans: tuple[Span, ...]
    text: str = field(default="", compare=False)


@dataclass(frozen=True)
class Entry:
    """The branches that hold up to and including ``until_step`` (counted from 1)."""

    until_step: int
    branches: tuple[Branch, ...]


@dataclass(frozen=True)
class Adapter:
    """``<lora:name:text_encoder:unet>``: an adapter and its two strengths."""

    name: str
    text_encoder: float
    unet: float


@dataclass(frozen=True)
class Prompt:
    """A parsed prompt. Every entry has the same branches with the same weights.

    The last entry's ``until_step`` is the number of steps. ``too_much_editing``: its brackets were
    read as plain text, because they change it more than is read.
    """

    entries: tuple[Entry, ...]
    adjustments: tuple[str, ...] = field(default=(), compare=False)
    adapters: tuple[Adapter, ...] = ()
    too_much_editing: bool = False

    @property
    def weights(self) -> tuple[float, ...]:
        """Weight of each branch."""
        return tuple(branch.weight for branch in self.entries[0].branches)

    def at(self, step: int) -> Entry:
        """The entry that holds at ``step`` (1..steps)."""
        return next(entry for entry in self.entries if step <= entry.until_step)


def parse(text: str, steps: int, *, negative: bool = False) -> Prompt:
    """Read ``text`` for a picture of ``steps`` steps.

    A negative prompt has no branches and no tags: both are text in it.
    """
    notes: list[str] = []
    adapters: list[Adapter] = []
    if negative:
        parts = [(text, 1.0)]
        if _AND.search(text) or _TAG.search(text):
            notes.append("AND and <name:...> tags are plain text in a negative prompt.")
    else:
        text = _take_tags(text, adapters, notes)
        parts = _split(text, notes)
    schedules, too_much = _schedule([part for part, _ in parts], steps, notes)
    entries = _join(schedules, [weight for _, weight in parts], notes)
    return Prompt(entries, _told(notes), tuple(adapters), too_much)


def _schedule(
    parts: list[str], steps: int, notes: list[str]
) -> tuple[list[list[tuple[int, str]]], bool]:
    """The texts of each branch over the steps, and whether editing was given up for all."""
    schedules = []
    try:
        for part in parts:
            texts, more = schedule(part, steps)
            schedules.append(texts)
            notes.extend(more)
        if _shown(schedules) > max(SHOWN_MAX, sum(map(len, parts))):
            raise TooMuchEditing
    except TooMuchEditing:
        notes.append(
            f"Editing and alternation were read as plain text: at most {CHOICES_MAX} such brackets "
            f"are read, and {SHOWN_MAX:,} characters that they show over the steps."
        )
        return [[(steps, part)] for part in parts], True
    return schedules, False


def _shown(schedules: list[list[tuple[int, str]]]) -> int:
    """Characters of all different texts."""
    return sum(map(len, {text for entries in schedules for _, text in entries}))


def take_adapters(text: str) -> tuple[str, tuple[Adapter, ...]]:
    """``text`` without the tags of adapters, and these; other tags stay in it."""
    adapters: list[Adapter] = []

    def taken(match: re.Match[str]) -> str:
        adapter = _adapter(match[1], match[2])
        if adapter is None:
            return match[0]
        adapters.append(adapter)
        return ""

    last = text.rfind(">") + 1
    return _TAG.sub(taken, text[:last]) + text[last:], tuple(adapters)


def _take_tags(text: str, adapters: list[Adapter], notes: list[str]) -> str:
    """``text`` without its ``<name:args>`` tags."""

    def taken(match: re.Match[str]) -> str:
        adapter = _adapter(match[1], match[2])
        if adapter is None:
            notes.append(_unread(match))
        else:
            adapters.append(adapter)
            notes.append(f"{match[0]!r} draws with the LoRA that it names, and is no text.")
        return ""

    last = text.rfind(">") + 1
    return _TAG.sub(taken, text[:last]) + text[last:]


def _unread(tag: re.Match[str]) -> str:
    if tag[1] not in _ADAPTER_KINDS:
        return f"{tag[0]!r} was taken out: it is no adapter that Limner knows."
    name, *strengths = tag[2].split(":")
    if not name.strip():
        return f"{tag[0]!r} was taken out: it names no LoRA."
    return (
        f"{tag[0]!r} was taken out: {':'.join(strengths)!r} is no strength of a LoRA; a number is, "
        "as in '<lora:name:0.8>'."
    )


def _adapter(kind: str, arguments: str) -> Adapter | None:
    """``name:text_encoder:unet`` or ``name:te=..:unet=..``; unet defaults to te, te to 1."""
    parts = [argument.partition("=") for argument in arguments.split(":")]
    named = {key.strip(): value for key, equals, value in parts if equals}
    plain = [key for key, equals, _ in parts if not equals]
    name = plain[0].strip() if plain else ""
    te = named.get("te", plain[1] if len(plain) > 1 else "1")
    try:
        strengths = [float(te), float(named.get("unet", plain[2] if len(plain) > 2 else te))]
    except ValueError:
        return None
    if kind not in _ADAPTER_KINDS or not name or any(map(isnan, strengths)):
        return None
    return Adapter(name, *map(limited, strengths))


def split_branches(text: str) -> list[tuple[str, str]]:
    """The texts between ``AND`` words, each with the ``:weight`` at its end, or none."""
    parts = []
    for part in _AND.split(text):
        part = part.rstrip()
        match = _BRANCH_WEIGHT.search(part)
        at = match.start() if match else len(part)
        parts.append((part[:at].rstrip(), part[at:]))
    return parts


def _split(text: str, notes: list[str]) -> list[tuple[str, float]]:
    """The branches with their weights as numbers."""
    parts = []
    for part, suffix in split_branches(text):
        given = float(suffix[1:].strip() or 1.0)
        if limited(given) != given:
            notes.append(f"Weights were limited to {WEIGHT_MAX:.0f}.")
        parts.append((part, limited(given)))
    if len(parts) == 1 and parts[0][1] != 1.0:
        notes.append(f"{parts[0][1]:g} at the end was read as the weight of the whole prompt.")
    return parts


def _join(
    schedules: list[list[tuple[int, str]]], weights: list[float], notes: list[str]
) -> tuple[Entry, ...]:
    """One schedule of all branches, with an entry wherever any of them changes."""
    weighed = {}
    for text in dict.fromkeys(text for entries in schedules for _, text in entries):
        spans, more = weigh(text)
        weighed[text] = spans
        notes.extend(more)
    joined = []
    places = [0] * len(schedules)
    for until in sorted({until for entries in schedules for until, _ in entries}):
        branches = []
        for index, entries in enumerate(schedules):
            if entries[places[index]][0] < until:
                places[index] += 1
            text = entries[places[index]][1]
            branches.append(Branch(weights[index], weighed[text], text))
        joined.append(Entry(until, tuple(branches)))
    return tuple(joined)


def _told(notes: Iterable[str]) -> tuple[str, ...]:
    """Each sentence once, and not too many of them."""
    told = list(dict.fromkeys(notes))
    if len(told) > ADJUSTMENTS_MAX:
        more = len(told) - ADJUSTMENTS_MAX
        told[ADJUSTMENTS_MAX:] = [f"{more} more adjustments are not listed."]
    return tuple(told)


def unparse(prompt: Prompt) -> str:
    """A text that reads as ``prompt``: tags, then the branches, weights and edits spelt out."""
    tags = [
        f"<lora:{a.name}:te={_number(a.text_encoder)}:unet={_number(a.unet)}>"
        for a in prompt.adapters
    ]
    branches = [_unparse_branch(prompt, index) for index in range(len(prompt.weights))]
    # White space after AND belongs to the branch, so a word there needs another separator.
    branches[1:] = [re.sub(r"\A(?=\w)", r"\\", branch) for branch in branches[1:]]
    return "".join(tags) + " AND".join(branches)


def _unparse_branch(prompt: Prompt, index: int) -> str:
    """Entries nest from the last: ``[a:[b:c:4]:2]`` is a up to 2, b up to 4, then c."""
    printed: dict[int, str] = {}  # by identity: an alternation repeats a few tuples of spans
    pieces: list[str] = []
    for entry in prompt.entries:
        spans = entry.branches[index].spans
        if id(spans) not in printed:
            printed[id(spans)] = _unparse_spans(spans)
        pieces += ["[", printed[id(spans)], ":"]
    ends = [f":{entry.until_step}]" for entry in prompt.entries[-2::-1]]
    weight = prompt.weights[index]
    return "".join([*pieces[:-3], pieces[-2], *ends]) + (
        "" if weight == 1.0 else f" :{_number(weight)}"
    )


def _unparse_spans(spans: tuple[Span, ...]) -> str:
    return "".join(_unparse_span(span, at, spans) for at, span in enumerate(spans))


def _unparse_span(span: Span, at: int, spans: tuple[Span, ...]) -> str:
    """Bare where that reads back as the same span, else as ``(text:weight)``."""
    before, after = spans[max(0, at - 1) : at], spans[at + 1 : at + 2]
    if span == Span.BREAK and [s.weight for s in (*before, *after)] == [1.0, 1.0]:
        return " BREAK "
    if span.weight == 1.0:
        # BREAK and the end of a branch swallow white space; only BREAK leaves an empty span.
        left = Span.BREAK not in before or span.text == span.text.lstrip()
        right = after not in ((), (Span.BREAK,)) or span.text == span.text.rstrip()
        if left and right and (span.text or Span.BREAK in (*before, *after) or len(spans) == 1):
            return _escape(span.text)
    return f"({_escape(span.text) or _NOTHING}:{_number(span.weight)})"


def _escape(text: str) -> str:
    """Literal in every reading: no bracket, weight, edit, tag, ``AND`` or ``BREAK`` is left."""
    text = re.sub(r"[\\()\[\]:|]", r"\\\g<0>", text)
    text = re.sub(r"(?<=:)(\s*)(?=[-+.\d])|(<)(?=\w)", r"\1\2\\", text)
    return re.sub(r"\b(AN)(D)\b|\b(BREA)(K)\b", r"\1\3\\\2\4", text)


def _number(value: float) -> str:
    """A decimal without exponent that reads back as exactly ``value``."""
    return format(Decimal(repr(value)), "f")

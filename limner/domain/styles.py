"""The style mixer: picks from a catalogue round the user's prompt, in a stated order.

    (Concept Type:w) of (Direction:w),(Mood:w) PROMPT,(by ARTIST:w)...,suffix of the type,
    (Movement:w)...,(Colour:w),preset

The negative prompt is the user's, then the type's, then the preset's. Each branch of an ``AND``
gets the whole frame. "random" draws from the request's seed, so a mix can be repeated.
"""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from limner.domain.params import PROMPT_LENGTH_MAX
from limner.domain.prompt import split_branches
from limner.errors import InvalidInput

Kind = Literal[
    "concept", "image_type", "direction", "mood", "colors", "artists", "movements", "preset"
]
KINDS: tuple[Kind, ...] = get_args(Kind)
RANDOM = "random"
WEIGHT = 1.3
PICKS_MAX = 3
LINES_MAX = 64


@dataclass(frozen=True)
class Style:
    """An entry of the catalogue: its phrase, and what it adds at the end and to the negative."""

    name: str
    text: str
    suffix: str = ""
    negative: str = ""


Catalogue = Mapping[Kind, Mapping[str, Style]]


def _named(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


class Pick(BaseModel):
    """A listed name or ``random``, and its weight (1.3 unless given; a preset's is 1)."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = Field(min_length=1, max_length=100)
    weight: float | None = Field(None, ge=0.0, le=2.0)


AnyPick = Annotated[Pick, BeforeValidator(_named)]
Picks = Annotated[tuple[AnyPick, ...], Field(max_length=PICKS_MAX)]
Lines = Annotated[
    tuple[Annotated[str, Field(max_length=PROMPT_LENGTH_MAX)], ...], Field(max_length=LINES_MAX)
]


class StyleMix(BaseModel):
    """What a request may carry as ``style_mix``. A pick is a name, or ``{"name", "weight"}``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    concept: AnyPick | None = None
    image_type: AnyPick | None = None
    direction: AnyPick | None = None
    mood: AnyPick | None = None
    colors: AnyPick | None = None
    preset: AnyPick | None = None
    artists: Picks = ()
    movements: Picks = ()
    sequence: Lines = ()
    subsequence: Lines = ()

    def picks(self, kind: Kind) -> tuple[Pick, ...]:
        """The picks of one kind, none to three."""
        value = getattr(self, kind)
        return value if isinstance(value, tuple) else () if value is None else (value,)


@dataclass(frozen=True)
class Chosen:
    """A pick resolved to its entry; ``weight`` None means without a bracket."""

    style: Style
    weight: float | None

    def phrase(self, before: str = "") -> str:
        text = before + self.style.text
        return text if self.weight in (None, 1.0) else f"({text}:{self.weight:g})"


Choices = Mapping[Kind, tuple[Chosen, ...]]


@dataclass(frozen=True)
class Mixed:
    """One line of a mix: what is drawn, and what was picked for it."""

    prompt: str
    negative_prompt: str
    picks: Mapping[str, list[dict[str, Any]]]


def choose(mix: StyleMix, catalogue: Catalogue, seed: int) -> Choices:
    """Resolve every pick; random ones depend on the seed and their place alone.

    Raises:
        InvalidInput: a name that the catalogue does not list.
    """
    return {kind: _choose(kind, mix.picks(kind), catalogue[kind], seed) for kind in KINDS}


def _choose(
    kind: Kind, picks: Sequence[Pick], listed: Mapping[str, Style], seed: int
) -> tuple[Chosen, ...]:
    named = [None if p.name.casefold() == RANDOM else _find(kind, p.name, listed) for p in picks]
    taken = [style for style in named if style]
    chosen = []
    for place, (pick, style) in enumerate(zip(picks, named, strict=True)):
        if style is None:
            style = _draw(f"{seed} {kind} {place}", [s for s in listed.values() if s not in taken])
            taken.append(style)
        default = None if kind == "preset" else WEIGHT
        chosen.append(Chosen(style, default if pick.weight is None else pick.weight))
    return tuple(chosen)


def _find(kind: Kind, name: str, listed: Mapping[str, Style]) -> Style:
    folded = {known.casefold(): style for known, style in listed.items()}
    if (style := folded.get(name.strip().casefold())) is not None:
        return style
    near = difflib.get_close_matches(name.casefold(), folded, n=1)
    hint = f"; did you mean {folded[near[0]].name!r}?" if near else "."
    raise InvalidInput(
        f"style_mix.{kind}",
        f"style_mix.{kind} is {name!r}, which is not in the catalogue{hint} "
        f"Listed are: {', '.join(listed)}; or 'random'.",
    )


def _draw(key: str, styles: Sequence[Style]) -> Style:
    """One of ``styles``, the same for the same key on every machine and Python."""
    digest = hashlib.sha256(key.encode()).digest()
    return styles[int.from_bytes(digest[:8], "big") % len(styles)]


def mix_lines(
    prompt: str, negative_prompt: str, mix: StyleMix, catalogue: Catalogue, seed: int
) -> tuple[Mixed, ...]:
    """The prompts of a mix, one for each line of the sequences (one when there are none).

    The outer sequence changes slowest; every line shares the picks.

    Raises:
        InvalidInput: a name that is not listed, too many lines, or a prompt grown too long.
    """
    count = max(1, len(mix.sequence)) * max(1, len(mix.subsequence))
    if count > LINES_MAX:
        raise InvalidInput(
            "style_mix.sequence",
            f"style_mix.sequence and style_mix.subsequence make {count} lines together; "
            f"at most {LINES_MAX} are drawn.",
        )
    choices = choose(mix, catalogue, seed)
    picks: dict[str, list[dict[str, Any]]] = {
        kind: [
            {"name": c.style.name, "weight": 1.0 if c.weight is None else c.weight} for c in chosen
        ]
        for kind, chosen in choices.items()
        if chosen
    }
    negative = _checked("negative_prompt", _negative(negative_prompt, choices))
    return tuple(
        Mixed(_checked("prompt", _positive([prompt, outer, inner], choices)), negative, picks)
        for outer in mix.sequence or ("",)
        for inner in mix.subsequence or ("",)
    )


def _positive(parts: Sequence[str], choices: Choices) -> str:
    """The frame round each branch of the prompt and its lines."""
    framed = []
    for text, weight in split_branches(parts[0]):
        whole = clean(",".join(part for part in (text, *parts[1:]) if part.strip()))
        for branch, inner in split_branches(whole):
            framed.append(f"{_frame(branch, choices)} {inner or weight}".strip())
    return " AND ".join(framed)


def _frame(prompt: str, choices: Choices) -> str:
    parts = {kind: [c.phrase() for c in chosen] for kind, chosen in choices.items()}
    head = _head(choices)
    opening = ",".join([*parts["direction"], *parts["mood"]])
    subject = f"{opening} {prompt}" if prompt.strip() else opening
    tail = [
        *(c.phrase("by ") for c in choices["artists"]),
        *(c.style.suffix for c in choices["image_type"]),
        *parts["movements"],
        *parts["colors"],
        *parts["preset"],
    ]
    of = " of " if head and subject.strip() else ""
    return clean(",".join([f"{head}{of}{subject}", *tail]))


def _head(choices: Choices) -> str:
    """Concept and type: in one bracket when they weigh the same."""
    both = [*choices["concept"], *choices["image_type"]]
    if len(both) == 2 and both[0].weight == both[1].weight:
        text = f"{both[0].style.text} {both[1].style.text}"
        return Chosen(Style("", text), both[0].weight).phrase()
    return " ".join(chosen.phrase() for chosen in both)


def _negative(negative_prompt: str, choices: Choices) -> str:
    added: Iterable[Chosen] = (*choices["image_type"], *choices["preset"])
    return clean(",".join([negative_prompt, *(chosen.style.negative for chosen in added)]))


def clean(text: str) -> str:
    """Without empty commas and doubled spaces; an escaped comma stays."""
    text = re.sub(r"\s+", " ", text)
    text = re.sub(r"(?: ?(?<!\\),)+ ?", ", ", text)
    return re.sub(r"\A[ ,]+|(?:(?<!\\),| )+\Z", "", text)


def _checked(field: str, text: str) -> str:
    if len(text) > PROMPT_LENGTH_MAX:
        raise InvalidInput(
            field,
            f"{field} is {len(text)} characters long with its styles; at most "
            f"{PROMPT_LENGTH_MAX} are read.",
        )
    return text

"""A text block as people post it: whole, on one line, one pair a line, with more behind it.

What AUTOMATIC1111's own rules read, they decide (``parsing``); only where they find no settings is
the beginning of these looked for. Takes time in proportion to the text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from limner.domain import sampler_names
from limner.domain.infotext import laying, prose
from limner.domain.infotext.parsing import (
    check_length,
    has_pairs,
    split_prompts,
    unquoted,
)

# What other programs, and people, call the same.
ALIASES: Mapping[str, str] = {
    "cfg": "CFG scale",
    "guidance": "CFG scale",
    "guidance scale": "CFG scale",
    "sampling steps": "Steps",
    "sampling method": "Sampler",
    "sampler name": "Sampler",
    "scheduler": "Schedule type",
    "schedule": "Schedule type",
    "resolution": "Size",
    "image size": "Size",
    "dimensions": "Size",
    "base model": "Model",
    "base model hash": "Model hash",
    "model name": "Model",
    "checkpoint": "Model",
    "clipskip": "Clip skip",
    "clip_skip": "Clip skip",
    "eta noise seed delta": "ENSD",
    "denoising": "Denoising strength",
    "denoise": "Denoising strength",
    "lora hash": "Lora hashes",
    "sampler sigma": "Schedule type",
    "cfgscale": "CFG scale",
    "cfg_scale": "CFG scale",
    "negativeprompt": "Negative prompt",
    "negative_prompt": "Negative prompt",
    "positive_prompt": "Prompt",
    "prompt": "Prompt",
    "hires scale": "Hires upscale",
    "hires upscale by": "Hires upscale",
    "hires denoising strength": "Hires strength",
}
_CORE = (
    "Steps", "Sampler", "Sampling method", "Schedule type", "CFG scale", "CFG Scale", "Seed",
    "Size", "Model hash", "Model",
)  # fmt: skip
_CORE_MIN = 3
# Names whatever their case; others stay as they are written.
_KNOWN = {
    name.casefold(): name
    for name in (
        *(name for name in _CORE if name != "CFG Scale"), "Clip skip", "VAE", "VAE hash", "ENSD",
        "RNG", "Eta", "Denoising strength", "Hires upscale", "Hires resize", "Hires steps",
        "Hires upscaler", "Hires strength", "Variation seed", "Variation seed strength", "Tiling",
        "Lora hashes", "Lora weights", "TI hashes", "Hashes", "Version", "Width", "Height",
    )
}  # fmt: skip
_PROMPTS = ("Prompt", "Negative prompt")
_CORE_NAMES = "|".join(
    [*_CORE, *(name.title() for name, of in ALIASES.items() if of not in _PROMPTS)]
)
_STARTS = [
    re.compile(rf"(?:^|(?<=[\s,.;|/>)]))({_CORE_NAMES})[ ]?:[ ]*", re.MULTILINE | flags)
    for flags in (0, re.IGNORECASE)
]
_STEPS = re.compile(r"Steps ?: *\d+", re.IGNORECASE)
_MARK = re.compile(rf"([,|;/•·])\s*(?:{_CORE_NAMES}) ?:", re.IGNORECASE)
_NAME = re.compile(r"[\s,|;/•·*-]*+([^\W_][\w /-]*+):[ \t]*+")
_QUOTED = re.compile(r'"(?:\\.|[^\\"])*+"(?=\s*(?:[,|\n]|\Z))', re.DOTALL)
_NEGATIVE_LINE = re.compile(r"^[ \t]*+negative prompt ?:", re.IGNORECASE | re.MULTILINE)
_NEGATIVE = re.compile(r"^[ \t]*+negative(?: prompts)? ?:|\bnegative prompt ?:", re.I | re.M)
_PROMPT_LINE = re.compile(r"^[ \t]*+(?:positive )?prompt ?:", re.IGNORECASE | re.MULTILINE)
_PROMPT = re.compile(
    r"\A\s*(?:parameters ?: *|parameters *\n)?(?:(?:positive )?prompt ?: *\n?)?", re.IGNORECASE
)
_OLD_NAME = re.compile(r"\bHires[. ]fix (?=\w[\w ]*:)", re.IGNORECASE)
_LINE = re.compile(r"\n|\Z")
_TEMPLATES = ("Template", "Negative Template")  # of prompts, without quotes: to the line's end
_JSON = ("Hashes", "Civitai resources", "Civitai metadata")
# What "Lora hashes" holds, where a site has lost the name.
_HASHED = re.compile(r'[\s,|]*+"((?:[^":,]++: ?[0-9a-f]{8,64}+(?:, ?|(?=")))++)"')


@dataclass(frozen=True)
class Infotext:
    """A text block in its parts; ``pairs`` by the names that AUTOMATIC1111 has for them."""

    prompt: str
    negative_prompt: str = ""
    pairs: Mapping[str, str] = field(default_factory=dict)


def read(text: str) -> Infotext:
    """The parts of a posted text; without settings ``pairs`` is empty.

    Raises ``InvalidInput`` for a text that is too long.
    """
    check_length(text)
    found = _laid_out(laying.plain(text))
    return Infotext(found.prompt, found.negative_prompt, _with_sampler(found.pairs))


def _with_sampler(pairs: Mapping[str, str]) -> Mapping[str, str]:
    """Some say scheduler of what is a sampler here, and name no other."""
    said = sampler_names.split(pairs.get("Schedule type", ""))[0]
    if "Sampler" in pairs or not sampler_names.find_sampler(said):
        return pairs
    return {("Sampler" if n == "Schedule type" else n): value for n, value in pairs.items()}


def _laid_out(text: str) -> Infotext:
    if told := laying.told(text):
        return _of_object(told)
    found = _read(text)
    found = found if found.pairs else _read(laying.unmarked(text))
    found = found if found.pairs else _of_prose(text)
    if found.negative_prompt or "Seed Mode" not in found.pairs:
        return found
    prompt, _, negative = found.prompt.partition("\n-")  # Draw Things' way
    return Infotext(prompt, negative, found.pairs)


def _of_prose(text: str) -> Infotext:
    head, pairs = prose.read(text)
    return Infotext(*_prompts(head, plain=not pairs), pairs)


def _of_object(told: Mapping[str, str]) -> Infotext:
    """What a program keeps as an object, or a site tells so, by the same names."""
    pairs = {_name(name): value for name, value in told.items() if value}
    prompt, negative = pairs.pop("Prompt", ""), pairs.pop("Negative prompt", "")
    return Infotext(prompt, negative, pairs)


def _name(name: str) -> str:
    """The name that AUTOMATIC1111 has for it."""
    name = " ".join(name.split())
    return ALIASES.get(name.casefold()) or _KNOWN.get(name.casefold()) or name


def _read(text: str) -> Infotext:
    head, _, last = text.rpartition("\n")
    if last.startswith("Steps: ") and has_pairs(last):
        return Infotext(*_prompts(head, plain=True), _pairs(last))
    start = next((at for at in (_start(text, core) for core in _STARTS) if at is not None), None)
    if start is None:
        return Infotext(*_prompts(text, plain=True))
    mark = _mark(text[start:])
    head, pairs = _before(text[:start], mark)
    prompt, negative = _prompts(head, plain=False)
    pairs = _pairs(text[start:], mark) | pairs
    return Infotext(prompt, negative, pairs)


def _mark(text: str) -> str:
    """What parts the pairs: a comma, as a rule."""
    marks: list[str] = _MARK.findall(text)
    return max(",|;/•·", key=marks.count)


def _before(text: str, mark: str) -> tuple[str, dict[str, str]]:
    """The prompts, and pairs that stand above a line that says where the prompt begins."""
    begun = _PROMPT_LINE.search(text)
    if begun is None or not _NAME.match(text) or not _STARTS[0].match(text):
        return text.rstrip("\n -*•"), {}
    return text[begun.start() :].rstrip("\n -*•"), _pairs(text[: begun.start()], mark)


def _start(text: str, core: re.Pattern[str]) -> int | None:
    """Where the settings begin: at the last ``Steps`` that others follow, or the line of the first
    of at least three.
    """
    found = list(core.finditer(text))
    if len({match[1] for match in found}) < _CORE_MIN:
        return None
    starts = [match.start(1) for match in found]
    for start in reversed(starts[: 1 - _CORE_MIN]):
        if _STEPS.match(text, start):
            line = text.rfind("\n", 0, start) + 1
            first = next(each for each in starts if each >= line)
            return start if text[line:first].strip() else _up(text, starts, line)
    lines = [text.rfind("\n", 0, start) + 1 for start in starts]
    begun = [
        line for line, start in zip(lines, starts, strict=True) if not text[line:start].strip()
    ]
    return _up(text, starts, begun[-1]) if begun else starts[0]


def _up(text: str, starts: list[int], line: int) -> int:
    """The first of the lines, up from ``line``, that all begin with a known name."""
    known = set(starts)
    while line:
        above = text.rfind("\n", 0, line - 1) + 1
        if above + len(text[above:line]) - len(text[above:line].lstrip()) not in known:
            break
        line = above
    return line


def _prompts(text: str, *, plain: bool) -> tuple[str, str]:
    """Prompt and negative prompt; ``plain``: as AUTOMATIC1111 lays them out."""
    prompt, negative = split_prompts(text.split("\n"))
    if not negative:
        mark = _NEGATIVE_LINE.search(text) or (None if plain else _NEGATIVE.search(text))
        if mark:
            prompt, negative = (part.strip() for part in (text[: mark.start()], text[mark.end() :]))
    return _PROMPT.sub("", prompt, count=1), negative


def _pairs(text: str, mark: str = ",") -> dict[str, str]:
    """The first value of each name."""
    read: dict[str, str] = {}
    for name, value in _scan(_OLD_NAME.sub("Hires ", text), mark):
        if value:
            read.setdefault(_name(name), value)
    return read


def _scan(text: str, mark: str) -> Iterator[tuple[str, str]]:
    """Names and values one after the other; what is neither is passed over."""
    end = re.compile(rf"[{re.escape(mark)}\n]|\Z")
    decoded: set[str] = set()
    at = 0
    while at < len(text):
        if named := _NAME.match(text, at):
            name = named[1].strip()
            as_json = name in _JSON and name not in decoded
            decoded.add(name)  # each once, or a broken one could be tried from every place
            whole = name in _TEMPLATES
            value, at = _value(text, named.end(), end, as_json=as_json, whole=whole)
            yield name, value
        elif bare := _HASHED.match(text, at):
            yield "Lora hashes", bare[1]
            at = bare.end()
        else:
            at = max(_end(end, text, at).end(), at + 1)


def _value(
    text: str, at: int, end: re.Pattern[str], *, as_json: bool, whole: bool
) -> tuple[str, int]:
    """The value that begins at ``at``, and where it ends."""
    if as_json:
        with suppress(ValueError, RecursionError):
            _, stop = json.JSONDecoder().raw_decode(text, at)
            return text[at:stop], stop
    if quoted := _QUOTED.match(text, at):
        return str(unquoted(quoted[0])), quoted.end()
    stopped = _end(_LINE if whole else end, text, at)
    return text[at : stopped.start()].strip(), stopped.end()


def _end(end: re.Pattern[str], text: str, at: int) -> re.Match[str]:
    found = end.search(text, at)
    assert found is not None, "the end of a text ends a value"
    return found

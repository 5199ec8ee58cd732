"""Settings as people say them in a sentence: ``DPM++ 2M Karras, 28 steps, clip skip 2``."""

from __future__ import annotations

import re

from limner.domain import sampler_names

BESIDES = "Said besides"
_NAMES_MIN = 3
_GAP_MOST = 2  # parts between or behind settings that are none
_PARTS_MOST = 60  # at the end of a text
_PART_MOST = 100  # characters
_NUMBER = r"(\d{1,9}(?:\.\d{1,9})?)"
_IS = r"\s{0,3}[:=]?\s{0,3}"
_SAID = {
    name: re.compile(rf"(?<![^\s(:=@])(?:{said})(?!\w)", re.IGNORECASE)
    for name, said in {
        "Size": rf"(?:(?:size|resolution){_IS})?(\d{{2,5}} ?[x×*] ?\d{{2,5}})(?: ?px| pixels)?",
        "Steps": rf"(?:sampling )?steps?{_IS}(\d{{1,9}})|(\d{{1,9}}) ?(?:sampling )?steps",
        "CFG scale": rf"(?:cfg|guidance)(?: scale)?{_IS}{_NUMBER}|{_NUMBER} ?cfg(?: scale)?",
        "Clip skip": rf"clip[ _-]?skip{_IS}(\d{{1,9}})",
        "Seed": rf"seed{_IS}(-?\d{{1,20}})",
        "Denoising strength": rf"denois\w{{0,5}}(?: strength)?{_IS}{_NUMBER}",
        "ENSD": rf"ensd{_IS}(\d{{1,20}})",
    }.items()
}
_NAMED = {
    name: re.compile(rf"(?:{said})(?:\s*[:=]\s*|\s+)(.+)", re.IGNORECASE)
    for name, said in {
        "Model": "(?:base )?model|checkpoint",
        "VAE": "vae",
        "Schedule type": "schedule(?:r| type)?",
        "Sampler": "sampler|sampling method",
    }.items()
}
_PARTED = re.compile(r"[,;|•·\n]|\.\s|\s[/–-]\s")
_FILLERS = r"(?:settings|with|using|used|at|of|in|on|and|the|sampler|sampling|method)"
_ROUND = re.compile(
    rf"^(?:[\s:=@()!?.*'\"-]|\b{_FILLERS}\b)+|(?:[\s:=@()!?.*'\"-]|\b{_FILLERS}\b)+$", re.I
)
_BARE = ("Karras", "Exponential", "SGM Uniform", "Align Your Steps")


def read(text: str) -> tuple[str, dict[str, str]]:
    """What stands before the settings at the end of a text, and these by AUTOMATIC1111's names.

    Fewer than three are none. What is said among them and is no setting is under ``BESIDES``.
    """
    found = _at_the_end(text)
    pairs: dict[str, str] = {}
    for _, said, _ in found:
        pairs = said | pairs
    if len(pairs) < _NAMES_MIN or pairs.keys().isdisjoint({"Steps", "Sampler"}):
        return text, {}
    if besides := [part for _, said, part in found if not said]:
        pairs[BESIDES] = ", ".join(besides)
    return text[: found[0][0]].rstrip(" ,;|/.-\n"), pairs


def _at_the_end(text: str) -> list[tuple[int, dict[str, str], str]]:
    """The last parts of a text from the first setting on: where each begins, and what it says."""
    parts = [(start, _said(part), part) for start, part in _parts(text)]
    first = gap = 0
    kept: list[tuple[int, dict[str, str], str]] = []
    for each in reversed(parts):
        kept.append(each)
        gap = 0 if each[1] else gap + 1
        if each[1]:
            first = len(kept)
        if gap > _GAP_MOST:
            break
    return kept[:first][::-1]


def _parts(text: str) -> list[tuple[int, str]]:
    ends = [*(match.span() for match in _PARTED.finditer(text)), (len(text), len(text))]
    starts = [0, *(end for _, end in ends)]
    parts = [
        (start, text[start:stop].strip()) for start, (stop, _) in zip(starts, ends, strict=False)
    ]
    return [(start, part) for start, part in parts if part][-_PARTS_MOST:]


def _said(part: str) -> dict[str, str]:
    """The settings that a part of a sentence is, all of it; none where it is anything else."""
    if len(part) > _PART_MOST:
        return {}
    said: dict[str, str] = {}
    for name, pattern in _SAID.items():
        if found := pattern.search(part):
            said[name] = re.sub(r" ?[×*x] ?", "x", next(filter(None, found.groups())))
            part = f"{part[: found.start()]} {part[found.end() :]}"
    rest = _ROUND.sub("", part)
    if not rest:
        return said
    named = _method(rest) or _named(part.strip())
    return said | named if named else {}


def _method(name: str) -> dict[str, str]:
    if sampler_names.find_sampler(sampler_names.split(name)[0]):
        return {"Sampler": name}
    return {"Schedule type": name} if sampler_names.find_schedule(name) in _BARE else {}


def _named(part: str) -> dict[str, str]:
    """What is said behind a name, whatever it is."""
    for name, pattern in _NAMED.items():
        if whole := pattern.fullmatch(part):
            return {name: whole[1].strip()}
    return {}

"""Hires fix in texts: a second, larger pass under AUTOMATIC1111's and Forge's names."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from limner.domain import automatic1111, sampler_names
from limner.domain.hires import UPSCALERS, Hires
from limner.domain.infotext import programs
from limner.domain.infotext.undone import shown
from limner.domain.params import Generation
from limner.domain.samplers import RULED_NAMES
from limner.domain.tags import number
from limner.domain.upscalers import BUILT_IN

STRENGTH = "Denoising strength"
SIZES = ("Hires upscale", "Hires resize")
FIRST = "First pass size"
# Pairs whose value is that of a field of ``hires`` as it stands.
FIELDS: Mapping[str, str] = {
    STRENGTH: "strength",
    "Hires steps": "steps",
    "Hires CFG Scale": "guidance",
    "Hires prompt": "prompt",
    "Hires negative prompt": "negative_prompt",
}
NAMES = frozenset(
    {*SIZES, *FIELDS, FIRST, "Hires strength", "Hires upscaler", "Hires sampler"}
    | {"Hires schedule type"}
)
_CALLED = {name.casefold(): name for name in (*UPSCALERS, *BUILT_IN)}
_CALLED |= {"none": "Lanczos", "": "Latent"}
_NOTHING = ("", "0", "0.0", "Use same sampler", "Use same scheduler")


def pairs_of(generation: Generation) -> Iterator[tuple[str, Any]]:
    """The pairs of a picture's second pass, by the names that other programs read."""
    if (hires := generation.hires) is None:
        return
    yield STRENGTH, number(hires.strength)
    yield _size_of(hires, generation)
    if hires.steps is not None:
        yield "Hires steps", hires.steps
    yield "Hires upscaler", hires.upscaler
    if hires.sampler is not None:
        yield "Hires sampler", hires.sampler
    if hires.schedule is not None:
        yield "Hires schedule type", hires.schedule
    if hires.guidance is not None:
        yield "Hires CFG Scale", number(hires.guidance)
    for name, prompt in (("", hires.prompt), (" negative", hires.negative_prompt)):
        if prompt is not None:
            yield f"Hires{name} prompt", json.dumps(prompt, ensure_ascii=False)


def _size_of(hires: Hires, generation: Generation) -> tuple[str, str]:
    """As a factor where it says the size exactly, which these programs take rounded down."""
    factor = number(hires.width / generation.width)
    sides = (generation.width, generation.height)
    if [int(side * float(factor)) for side in sides] == [hires.width, hires.height]:
        return "Hires upscale", factor
    return "Hires resize", f"{hires.width}x{hires.height}"


def meant(
    pairs: Mapping[str, str], size: tuple[int, int], first: Mapping[str, Any], told: list[str]
) -> dict[str, Any] | None:
    """The field ``hires`` of a request, of a text's pairs; ``told`` gets what is done otherwise.

    ``size`` is what the text says of the picture, ``first`` how the first pass is sampled. None
    where no second pass is said. Texts of 2022, which name the size of the first pass, do not say
    how it was enlarged: as pixels, unless that program was set otherwise. What is no upscaler's
    name here may be a file's.
    """
    if not any(pairs.get(name, "") not in _NOTHING for name in (*SIZES, "Hires upscaler", FIRST)):
        return None
    if not _is_said(pairs):
        return _of_2022(pairs, size, told) if FIRST in pairs and STRENGTH in pairs else None
    made = {ours: pairs[theirs] for theirs, ours in FIELDS.items() if _says(pairs, theirs)}
    if "Hires strength" in pairs:  # SD.Next's
        made["strength"] = pairs["Hires strength"]
    name = pairs.get("Hires upscaler", "")
    upscaler = {"upscaler": _CALLED.get(name.casefold(), name)}
    return {**_size(pairs), **made, **upscaler, **_method(pairs, first, told)}


def _is_said(pairs: Mapping[str, str]) -> bool:
    """By a size, or, as AUTOMATIC1111 takes it, by an upscaler beside a strength."""
    sized = any(pairs.get(name, "") not in _NOTHING for name in SIZES)
    return sized or ("Hires upscaler" in pairs and STRENGTH in pairs)


def _of_2022(pairs: Mapping[str, str], size: tuple[int, int], told: list[str]) -> dict[str, Any]:
    told.append(
        f"{FIRST}: {shown(pairs[FIRST])}: such texts do not say how it was made larger; Lanczos "
        "was taken"
    )
    sides = {name: side - side % 8 for name, side in zip(("width", "height"), size, strict=True)}
    return {**sides, "upscaler": "Lanczos", "strength": pairs[STRENGTH]}


def _says(pairs: Mapping[str, str], name: str) -> bool:
    return (name == STRENGTH and name in pairs) or pairs.get(name, "") not in _NOTHING


def _size(pairs: Mapping[str, str]) -> dict[str, Any]:
    """A size counts before a factor; a side of 0 is what keeps the proportions."""
    width, _, height = pairs.get("Hires resize", "").lower().partition("x")
    sides = {"width": width.strip(), "height": height.strip()}
    floored = {n: int(side) - int(side) % 8 for n, side in sides.items() if side.isdecimal()}
    named = {name: side for name, side in floored.items() if side}
    return named or {"scale": pairs.get("Hires upscale", "2").lower().strip("x ")}


def _method(pairs: Mapping[str, str], first: Mapping[str, Any], told: list[str]) -> dict[str, Any]:
    """Its sampler and schedule; what is not said is the first pass's."""
    sampler, schedule = (
        "" if pairs.get(name, "") in _NOTHING else pairs[name]
        for name in ("Hires sampler", "Hires schedule type")
    )
    if not (sampler or schedule):
        return {}
    if not sampler and "sampler" not in first:
        told.append(
            f"Hires schedule type: {shown(schedule)} is left out; {first['scheduler']} has its own"
        )
        return {}
    found = automatic1111.find(
        sampler or first["sampler"], schedule or _unsaid(sampler, pairs, first)
    )
    told += found.notes
    if "scheduler" in found.fields:
        told.append(f"Hires sampler: {shown(sampler)} is left out; the first pass's draws")
        return {}
    return dict(found.fields)


def _unsaid(sampler: str, pairs: Mapping[str, str], first: Mapping[str, Any]) -> str:
    """The schedule of a sampler without one: the first pass's, or as before there were any."""
    joined, spaced = sampler_names.split(sampler)
    if spaced or sampler_names.find_sampler(joined) not in RULED_NAMES:
        return ""
    return str(first.get("schedule", "")) if programs.names_schedules(pairs) else "Uniform"

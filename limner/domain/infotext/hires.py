"""Hires fix in texts: a second, larger pass under AUTOMATIC1111's and Forge's names."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from limner.domain import automatic1111
from limner.domain.hires import UPSCALERS, Hires
from limner.domain.params import Generation
from limner.domain.tags import number

STRENGTH = "Denoising strength"
SIZES = ("Hires upscale", "Hires resize")
# Pairs whose value is that of a field of ``hires`` as it stands.
FIELDS: Mapping[str, str] = {
    STRENGTH: "strength",
    "Hires steps": "steps",
    "Hires CFG Scale": "guidance",
    "Hires prompt": "prompt",
    "Hires negative prompt": "negative_prompt",
}
NAMES = frozenset({*SIZES, *FIELDS, "Hires upscaler", "Hires sampler", "Hires schedule type"})
_CALLED = {name.casefold(): name for name in UPSCALERS} | {"none": "Lanczos", "": "Latent"}
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


def meant(pairs: Mapping[str, str], told: list[str]) -> dict[str, Any] | None:
    """The field ``hires`` of a request, of a text's pairs; ``told`` gets what is done otherwise.

    None where no second pass is said. Of texts of 2022, which name the size of the first pass,
    none is made: these were enlarged in another way.
    """
    if not any(pairs.get(name, "") not in _NOTHING for name in SIZES):
        return None
    made = {ours: pairs[theirs] for theirs, ours in FIELDS.items() if _says(pairs, theirs)}
    return {**_size(pairs), **made, **_upscaler(pairs, told), **_method(pairs, told)}


def _says(pairs: Mapping[str, str], name: str) -> bool:
    return (name == STRENGTH and name in pairs) or pairs.get(name, "") not in _NOTHING


def _size(pairs: Mapping[str, str]) -> dict[str, Any]:
    """A size counts before a factor; a side of 0 is what keeps the proportions."""
    width, _, height = pairs.get("Hires resize", "").lower().partition("x")
    sides = {"width": width.strip(), "height": height.strip()}
    floored = {n: int(side) - int(side) % 8 for n, side in sides.items() if side.isdecimal()}
    named = {name: side for name, side in floored.items() if side}
    return named or {"scale": pairs.get("Hires upscale", "2")}


def _upscaler(pairs: Mapping[str, str], told: list[str]) -> dict[str, str]:
    name = pairs.get("Hires upscaler", "")
    if (known := _CALLED.get(name.casefold())) is not None:
        return {"upscaler": known}
    told.append(f"Hires upscaler: {name} is not here; Lanczos takes its place")
    return {"upscaler": "Lanczos"}


def _method(pairs: Mapping[str, str], told: list[str]) -> dict[str, Any]:
    sampler = pairs.get("Hires sampler", "")
    if sampler in _NOTHING:
        return {}
    found = automatic1111.find(sampler, pairs.get("Hires schedule type", ""))
    told += found.notes
    if "scheduler" in found.fields:
        told.append(f"Hires sampler: {sampler} is left out; the first pass's draws")
        return {}
    return dict(found.fields)

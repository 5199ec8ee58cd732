"""AUTOMATIC1111's names of samplers and schedules: read, and listed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from limner.domain import sampler_names, samplers, schedulers
from limner.domain.sampler_names import SCHEDULE_NAMES, SamplerName, ScheduleName
from limner.domain.samplers import SAMPLERS
from limner.domain.schedulers import SchedulerName, fold
from limner.errors import InvalidInput

DEFAULT: SchedulerName = "UniPC"

# A name that follows its pattern, of a scheduler that is no sampler here.
VENDORS: Mapping[str, SchedulerName] = {"DPM++ 2S": "DPM Single"}
# Relatives that stand in, and are told.
_STAND_INS: Mapping[str, SamplerName] = {
    "DPM fast": "DPM++ 2M",
    "DPM adaptive": "DPM++ 2M",
    "Restart": "Heun",
    "HeunPP2": "Heun",
    "IPNDM": "LMS",
    "IPNDM_V": "LMS",
}
# The schedules that AUTOMATIC1111 takes for those, where theirs are others.
_AUTOMATIC: Mapping[str, ScheduleName] = {"restart": "Karras"}
_VENDORS_BY_FOLDED = {fold(theirs): ours for theirs, ours in VENDORS.items()}
_STAND_INS_BY_FOLDED = {fold(theirs): ours for theirs, ours in _STAND_INS.items()}
# Values of options that ask for nothing, whatever the sampler.
_NEUTRAL: Mapping[str, tuple[float, ...]] = {
    "eta": (0.0, 1.0),
    "s_churn": (0.0,),
    "s_noise": (1.0,),
    "s_tmin": (0.0,),
    "s_tmax": (0.0, 1e9),
}
_NAMES: Mapping[ScheduleName, str] = {
    name: name.lower().replace(" ", "_") for name in SCHEDULE_NAMES
}
_PLAIN = ("", "automatic", "uniform", "normal")  # as diffusers spaces by itself, or nearly
_RHO: Mapping[ScheduleName, float] = {"Karras": 7.0, "Polyexponential": 1.0}
_NAME_MAX = 60
_OF_MODEL = frozenset({"Uniform", "SGM Uniform", "Simple", "Normal", "DDIM", "Beta"})


@dataclass(frozen=True)
class Found:
    """What a client's names mean: fields of a ``Generation``, and what differs from the names."""

    fields: Mapping[str, Any]
    notes: tuple[str, ...] = ()


def find(name: str, schedule: str = "", options: Mapping[str, float] | None = None) -> Found:
    """The method for names such as ``DPM++ 2M Karras``, joined or apart, with its options."""
    options = options or {}
    joined, spaced = sampler_names.split(name)
    if sampler_names.find_sampler(joined):
        return _named(name, schedule, options)
    if ours := _scheduler(name) or _scheduler(joined):
        return _vendors(ours, spaced or schedule, options)
    stand_in = _STAND_INS_BY_FOLDED.get(fold(joined)) or sampler_names.sampler_begun(joined)
    if stand_in is None:
        unknown = f"sampler {_shown(name)} is unknown; {DEFAULT} was used"
        return Found({"scheduler": DEFAULT}, (unknown, *_ignored(DEFAULT, options)))
    note = f"sampler {_shown(name)} is not served; {stand_in} was used"
    named = fold(schedule) not in ("", fold(sampler_names.AUTOMATIC))
    automatic = spaced or _AUTOMATIC.get(fold(joined)) or ""
    made = _named(stand_in, schedule if named else automatic, options)
    return Found(made.fields, (note, *made.notes))


def _named(name: str, schedule: str, options: Mapping[str, float]) -> Found:
    notes = []
    try:
        sampler, spaced = samplers.choose(name, schedule)
    except InvalidInput:
        sampler, spaced = samplers.choose(name, _near(name, schedule))
        if spaced or fold(schedule) not in _PLAIN:
            told = f"scheduler {_shown(schedule)} was ignored; {spaced or 'its own'} was used"
            notes.append(told)
    spec = SAMPLERS[sampler]
    silent = {**_NEUTRAL, "eta": (spec.eta,)}
    taken = {o: v for o, v in options.items() if o in spec.options and v not in silent[o]}
    notes += _ignored(sampler, {o: v for o, v in options.items() if o not in spec.options})
    named = {"sampler": sampler} | ({"schedule": spaced} if spaced else {})
    return Found({**named, **taken}, tuple(notes))


def _ignored(name: str, options: Mapping[str, float]) -> list[str]:
    asking = [option for option, value in options.items() if value not in _NEUTRAL[option]]
    return [f"{option} was ignored: {name} has none" for option in asking]


def _near(sampler: str, schedule: str) -> ScheduleName | None:
    """The schedule with which an unknown name begins, where the sampler takes that."""
    begun = sampler_names.schedule_begun(schedule)
    with suppress(InvalidInput):
        samplers.choose(sampler, begun)
        return begun
    return None


def _vendors(ours: SchedulerName, spacing: str, options: Mapping[str, float]) -> Found:
    notes = _ignored(ours, options)
    if fold(spacing) not in _PLAIN:
        notes.append(f"scheduler {_shown(spacing)} was ignored: {ours} has its own spacing")
    return Found({"scheduler": ours}, tuple(notes))


def _scheduler(name: str) -> SchedulerName | None:
    folded = fold(name).replace("dpmpp", "dpm++")
    theirs = _VENDORS_BY_FOLDED.get(folded) or _VENDORS_BY_FOLDED.get(folded.removeprefix("k"))
    return theirs or schedulers.find(name)


def listed() -> list[dict[str, Any]]:
    """``GET /samplers``."""
    named = [
        {"name": name, "aliases": [_alias(name)], "options": _options(name)} for name in SAMPLERS
    ]
    return named + [
        {"name": theirs, "aliases": sorted({_alias(theirs), ours}), "options": {}}
        for theirs, ours in VENDORS.items()
    ]


def _alias(name: str) -> str:
    return "k_" + name.lower().replace("++", "pp").replace(" ", "_")


def _options(name: SamplerName) -> dict[str, str]:
    spec = SAMPLERS[name]
    said = {
        "second_order": spec.order > 1,
        "discard_next_to_last_sigma": spec.skips,
        "uses_ensd": spec.draws > 0,
    }
    spaced = {"scheduler": _NAMES[spec.automatic]} if spec.automatic else {}
    return spaced | {key: "True" for key, so in said.items() if so}


def schedules() -> list[dict[str, Any]]:
    """``GET /schedulers``."""
    rows = [("automatic", sampler_names.AUTOMATIC, -1.0, False)]
    rows += [(_NAMES[s], s, _RHO.get(s, -1.0), s in _OF_MODEL) for s in SCHEDULE_NAMES]
    return [
        {
            "name": name,
            "label": label,
            "aliases": None,
            "default_rho": rho,
            "need_inner_model": of_model,
        }
        for name, label, rho, of_model in rows
    ]


def _shown(name: str) -> str:
    """A client's name in quotes, cut to a readable length."""
    return json.dumps(
        name if len(name) <= _NAME_MAX else f"{name[:_NAME_MAX]}...", ensure_ascii=False
    )

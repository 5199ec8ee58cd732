"""AUTOMATIC1111's names of samplers and schedules: read, and listed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from limner.domain import samplers, schedulers
from limner.domain.samplers import SAMPLERS, SCHEDULE_NAMES, SamplerName, ScheduleName
from limner.domain.schedulers import SchedulerName, fold
from limner.errors import InvalidInput

DEFAULT: SchedulerName = "UniPC"

# A name that follows its pattern, of a scheduler that is no sampler here.
VENDORS: Mapping[str, SchedulerName] = {"DPM++ 2S": "DPM Single"}
# Relatives that stand in, and are told.
_STAND_INS: Mapping[str, SamplerName] = {"DPM fast": "DPM++ 2M", "DPM adaptive": "DPM++ 2M"}
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
    joined = samplers.split(name)[0]
    if samplers.find_sampler(joined):
        return _named(name, schedule, options)
    if stand_in := _STAND_INS_BY_FOLDED.get(fold(joined)):
        note = f"sampler {_shown(name)} is not served; {stand_in} was used"
        made = _named(stand_in + name.removeprefix(joined), schedule, options)
        return Found(made.fields, (note, *made.notes))
    return _vendors(name, joined, schedule, options)


def _named(name: str, schedule: str, options: Mapping[str, float]) -> Found:
    notes = []
    try:
        sampler, spaced = samplers.choose(name, schedule)
    except InvalidInput:
        sampler, spaced = samplers.choose(name)
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


def _vendors(name: str, joined: str, schedule: str, options: Mapping[str, float]) -> Found:
    ours = _scheduler(name) or _scheduler(joined)
    if ours is None:
        unknown = f"sampler {_shown(name)} is unknown; {DEFAULT} was used"
        return Found({"scheduler": DEFAULT}, (unknown, *_ignored(DEFAULT, options)))
    notes = _ignored(ours, options)
    spacing = name.removeprefix(joined).strip() or schedule
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
    rows = [("automatic", samplers.AUTOMATIC, -1.0, False)]
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

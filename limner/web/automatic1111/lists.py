"""What AUTOMATIC1111's clients list before they draw: samplers, schedules, models, styles."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from limner.domain import schedulers
from limner.domain.model import ModelInfo
from limner.domain.schedulers import SchedulerName
from limner.domain.styles import Catalogue
from limner.web.reading.fields import shown

DEFAULT_SAMPLER: SchedulerName = "UniPC"

NAMES = schedulers.AUTOMATIC1111_NAMES
# Relatives that stand in, and are told: the noise they add at each step is left out.
_STAND_INS: Mapping[str, SchedulerName] = {
    "DPM++ 2S a": "DPM Single",
    "DPM++ SDE": "DPM Single",
    "DPM++ 2M SDE": "DPM Multi",
    "DPM++ 2M SDE Heun": "DPM Multi",
    "DPM++ 3M SDE": "DPM Multi",
    "DPM fast": "DPM Multi",
    "DPM adaptive": "DPM Multi",
}
_KARRAS: frozenset[SchedulerName] = frozenset({"DPM2 Karras", "DPM2 a Karras"})
_OWN_SPACING = frozenset({"", "automatic", "uniform", "normal"})
_SUFFIXES = ("karras", "exponential", "polyexponential")
_SCHEDULES = {"automatic": "Automatic", "uniform": "Uniform", "karras": "Karras"}
_BY_FOLDED = {schedulers.fold(theirs): ours for ours, theirs in NAMES.items()}
_STAND_INS_BY_FOLDED = {schedulers.fold(theirs): ours for theirs, ours in _STAND_INS.items()}


@dataclass(frozen=True)
class Sampler:
    """What draws in place of a sampler and a schedule that a client named."""

    scheduler: SchedulerName
    notes: tuple[str, ...] = ()


def find_sampler(name: str, schedule: str = "") -> Sampler:
    """The scheduler for a client's names, such as ``DPM++ 2M Karras``, and what differs."""
    method, spacing = _split(name, schedule.strip().lower())
    ours, notes = _method(name, method)
    if ours in _KARRAS:
        odd = spacing not in ("", "automatic", "karras")
    else:
        odd = spacing not in _OWN_SPACING
    if odd:
        own = "Karras" if ours in _KARRAS else "its own spacing"
        notes.append(f"scheduler {shown(spacing)} was ignored: {NAMES[ours]} is drawn with {own}")
    return Sampler(ours, tuple(notes))


def _split(name: str, schedule: str) -> tuple[str, str]:
    """Method and schedule; an old client's name holds both. A schedule of its own wins."""
    for suffix in _SUFFIXES:
        if name.strip().lower().endswith(f" {suffix}"):
            kept = schedule if schedule not in ("", "automatic") else suffix
            return name.strip()[: -len(suffix)], kept
    return name, schedule


def _method(name: str, method: str) -> tuple[SchedulerName, list[str]]:
    folded = schedulers.fold(method).replace("dpmpp", "dpm++")
    for form in (folded, folded.removeprefix("k")):
        if found := _BY_FOLDED.get(form):
            return found, []
        if found := _STAND_INS_BY_FOLDED.get(form):
            return found, [f"sampler {shown(name)} is not served; {NAMES[found]} was used"]
    if found := schedulers.find(name) or schedulers.find(method):
        return found, []
    return DEFAULT_SAMPLER, [f"sampler {shown(name)} is unknown; {DEFAULT_SAMPLER} was used"]


def samplers() -> list[dict[str, Any]]:
    """``GET /samplers``."""
    return [
        {"name": theirs, "aliases": sorted({f"k_{schedulers.fold(theirs)}", ours}), "options": {}}
        for ours, theirs in NAMES.items()
    ]


def schedules() -> list[dict[str, Any]]:
    """``GET /schedulers``."""
    return [
        {
            "name": name,
            "label": label,
            "aliases": None,
            "default_rho": 7.0 if name == "karras" else -1.0,
            "need_inner_model": False,
        }
        for name, label in _SCHEDULES.items()
    ]


def title(model: ModelInfo) -> str:
    """The name under which its clients choose a model."""
    return f"{model.name} [{model.short_hash}]"


def models(model: ModelInfo) -> list[dict[str, Any]]:
    """``GET /sd-models``: the loaded one. Where its file lies is not told."""
    return [
        {
            "title": title(model),
            "model_name": model.name,
            "hash": model.short_hash,
            "sha256": model.source_sha256 or model.sha256,
            "filename": f"{model.name}.safetensors",
            "config": None,
        }
    ]


def styles(catalogue: Catalogue) -> list[dict[str, str]]:
    """``GET /prompt-styles``: every entry of the style catalogue."""
    return [
        {
            "name": style.name,
            "prompt": ", ".join(filter(None, (style.text, style.suffix))),
            "negative_prompt": style.negative,
        }
        for kind in catalogue.values()
        for style in kind.values()
    ]


# Lists of what is not here: clients want them all the same.
EMPTY: Mapping[str, Callable[[], Any]] = {
    "upscalers": lambda: [
        {"name": "None", "model_name": None, "model_path": None, "model_url": None, "scale": 1}
    ],
    "latent-upscale-modes": lambda: [{"name": "None"}],
    "sd-vae": list,
    "sd-modules": list,
    "loras": list,
    "hypernetworks": list,
    "face-restorers": list,
    "realesrgan-models": list,
    "extensions": list,
    "embeddings": lambda: {"loaded": {}, "skipped": {}},
    "scripts": lambda: {"txt2img": [], "img2img": []},
}

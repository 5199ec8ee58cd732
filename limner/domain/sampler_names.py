"""What samplers and schedules are called, by AUTOMATIC1111 and by other programs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal, get_args

from limner.domain.schedulers import fold

SamplerName = Literal[
    "Euler a",
    "Euler",
    "LMS",
    "Heun",
    "DPM2",
    "DPM2 a",
    "DPM++ 2S a",
    "DPM++ 2M",
    "DPM++ SDE",
    "DPM++ 2M SDE",
    "DPM++ 2M SDE Heun",
    "DPM++ 3M SDE",
    "DDIM",
    "LCM",
    "TCD",
    "UniPC",
    "DEIS",
    "DDPM",
    "PNDM",
]
SAMPLER_NAMES: tuple[SamplerName, ...] = get_args(SamplerName)
ScheduleName = Literal[
    "Uniform",
    "Karras",
    "Exponential",
    "Polyexponential",
    "SGM Uniform",
    "Align Your Steps",
    "Simple",
    "Normal",
    "DDIM",
    "Beta",
]
SCHEDULE_NAMES: tuple[ScheduleName, ...] = get_args(ScheduleName)
AUTOMATIC = "Automatic"

_ALIASES: Mapping[str, SamplerName] = {
    "eulerancestral": "Euler a",
    "dpm2ancestral": "DPM2 a",
    "dpm++2sancestral": "DPM++ 2S a",
    "dpm++sdegpu": "DPM++ SDE",
    "dpm++2msdegpu": "DPM++ 2M SDE",
    "dpm++2msdeheungpu": "DPM++ 2M SDE Heun",
    "dpm++3msdegpu": "DPM++ 3M SDE",
    "dpmsde": "DPM++ SDE",
    "lmsd": "LMS",
    "plms": "PNDM",
    "unipcbh2": "UniPC",
}
"""What ComfyUI, diffusers and SD.Next call them."""
_SCHEDULE_ALIASES: Mapping[str, ScheduleName] = {
    "ays": "Align Your Steps",
    "ddimuniform": "DDIM",
    "k": "Karras",
}
_BY_FOLDED: Mapping[str, SamplerName] = {**{fold(n): n for n in SAMPLER_NAMES}, **_ALIASES}
_SCHEDULES_BY_FOLDED: Mapping[str, ScheduleName] = {
    **{fold(name): name for name in SCHEDULE_NAMES},
    **_SCHEDULE_ALIASES,
}
_BETWEEN_WORDS = re.compile(r"[\s_]+")
_WORDS_MOST = 20  # that are looked at: no name has more


def find_sampler(name: str) -> SamplerName | None:
    """The sampler that is called so, whatever the case; also ``k_dpmpp_2m``."""
    folded = fold(name).replace("dpmpp", "dpm++")
    return _BY_FOLDED.get(folded) or _BY_FOLDED.get(folded.removeprefix("k"))


def find_schedule(name: str) -> ScheduleName | None:
    """The schedule that is called so, whatever the case; none for ``Automatic``."""
    return _SCHEDULES_BY_FOLDED.get(fold(name))


def split(name: str) -> tuple[str, ScheduleName | None]:
    """A joined name such as ``DPM++ 2M Karras`` or ``dpmpp_2m_karras`` in two; the longest schedule
    at its end counts.

    A name that is a sampler's as it stands stays whole.
    """
    if not find_sampler(name):
        for between in list(_BETWEEN_WORDS.finditer(name))[:_WORDS_MOST]:
            if end := find_schedule(name[between.end() :]):
                return name[: between.start()], end
    return name, None


def sampler_begun(name: str) -> SamplerName | None:
    """The sampler with which a longer name begins, such as Euler a of ``Euler a CFG++``."""
    return next(filter(None, map(find_sampler, _begun(name))), None)


def schedule_begun(name: str) -> ScheduleName | None:
    """The schedule with which one begins, such as Align Your Steps of ``Align Your Steps GITS``."""
    return next(filter(None, map(find_schedule, _begun(name))), None)


def _begun(name: str) -> list[str]:
    """The name without its last word, without its last two, and so on."""
    found = list(_BETWEEN_WORDS.finditer(name))[:_WORDS_MOST]
    return [name[: between.start()] for between in reversed(found)]

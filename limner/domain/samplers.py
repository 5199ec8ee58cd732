"""AUTOMATIC1111's samplers and schedules by name: what each is, and which options it takes.

A sampler says how to go from one level of noise to the next (``engine/sampling/rules.py``), a
schedule which levels there are (``engine/sampling/schedules.py``); any goes with any.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from limner.domain.sampler_names import (
    AUTOMATIC,
    SAMPLER_NAMES,
    SCHEDULE_NAMES,
    SamplerName,
    ScheduleName,
    find_sampler,
    find_schedule,
    split,
)
from limner.domain.schedulers import SPECS, SchedulerName, fold
from limner.errors import InvalidInput

STEPS_MOST = 50  # of LCM and TCD: the steps that their teachers took
TRAIN_STEPS = 1000
STRENGTH_MOST = 0.999

OPTIONS: Mapping[str, tuple[float, float]] = {
    "eta": (0.0, 1.0),
    "s_churn": (0.0, 100.0),
    "s_noise": (0.0, 2.0),
    "s_tmin": (0.0, 1e9),
    "s_tmax": (0.0, 1e9),
}
"""The options' ranges, both ends included."""

SPACED_BY_DIFFUSERS: Mapping[ScheduleName, str] = {
    "Karras": "use_karras_sigmas",
    "Exponential": "use_exponential_sigmas",
    "Beta": "use_beta_sigmas",
}
"""The schedules that some of diffusers' classes have, by the argument that asks for it."""

FIELDS = ("sampler", "schedule", *OPTIONS)
"""The fields of a request that name a sampler and set it up."""

_CHURN = ("s_churn", "s_noise", "s_tmin", "s_tmax")
_NOISY = ("eta", "s_noise")


@dataclass(frozen=True)
class SamplerSpec:
    """What a sampler is known to do before it is traced.

    ``automatic``: the schedule that AUTOMATIC1111 takes where none is named. ``order``: UNet
    evaluations in a step (the last takes one). ``draws``: how often a step draws noise.
    ``skips``: the level of noise before the last is left out, of a schedule of one step more.
    ``options`` that it takes, and its ``eta`` where none is given.

    Of what diffusers computes, ``diffusers`` is the class and ``arguments`` are its own beside the
    checkpoint's. It has timesteps of its own, or the levels of one of ``schedules``. Its first step
    is evaluated twice (``first_twice``); it may begin at zero terminal SNR (``zero_snr``); it takes
    at most ``steps_most``.
    """

    automatic: ScheduleName | None
    good_for: str
    order: int = 1
    draws: int = 0
    skips: bool = False
    options: tuple[str, ...] = ()
    eta: float = 1.0
    diffusers: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    schedules: tuple[ScheduleName, ...] = ()
    first_twice: bool = False
    zero_snr: bool = True
    steps_most: int | None = None


def _of_vendors(name: SchedulerName, **more: Any) -> SamplerSpec:
    """A sampler that is one of the vendor's schedulers, on the terms of a sampler by name."""
    spec = SPECS[name]
    return SamplerSpec(
        None,
        spec.good_for,
        diffusers=spec.class_name,
        arguments=spec.arguments,
        zero_snr=spec.zero_snr,
        **more,
    )


SAMPLERS: Mapping[SamplerName, SamplerSpec] = {
    "Euler a": SamplerSpec(
        "Uniform", "variety; every step count gives another picture", draws=1, options=_NOISY
    ),
    "Euler": SamplerSpec("Uniform", "soft and predictable", options=_CHURN),
    "LMS": SamplerSpec("Uniform", "smooth; wants 30 steps or more"),
    "Heun": SamplerSpec("Uniform", "careful detail at twice the cost", 2, options=_CHURN),
    "DPM2": SamplerSpec("Karras", "fine detail at twice the cost", 2, skips=True, options=_CHURN),
    "DPM2 a": SamplerSpec(
        "Karras", "rich texture at twice the cost", 2, draws=1, skips=True, options=_NOISY
    ),
    "DPM++ 2S a": SamplerSpec(
        "Karras", "texture and variety at twice the cost", 2, draws=1, options=_NOISY
    ),
    "DPM++ 2M": SamplerSpec("Karras", "the usual choice: sharp pictures in 20 to 30 steps"),
    "DPM++ SDE": SamplerSpec(
        "Karras", "detail in 8 to 15 steps at twice the cost", 2, draws=2, options=_NOISY
    ),
    "DPM++ 2M SDE": SamplerSpec(
        "Exponential", "fine texture; wants 25 steps or more", draws=1, options=_NOISY
    ),
    "DPM++ 2M SDE Heun": SamplerSpec(
        "Exponential", "like DPM++ 2M SDE, a little smoother", draws=1, options=_NOISY
    ),
    "DPM++ 3M SDE": SamplerSpec(
        "Exponential",
        "fine texture; wants 30 steps or more",
        draws=1,
        skips=True,
        options=_NOISY,
    ),
    "DDIM": SamplerSpec("DDIM", "the classic; exact repeats", draws=1, options=_NOISY, eta=0.0),
    "LCM": SamplerSpec(
        None,
        "2 to 8 steps at guidance 1, with a model or LoRA made for it",
        draws=1,
        eta=0.0,
        diffusers="LCMScheduler",
        steps_most=STEPS_MOST,
    ),
    "TCD": SamplerSpec(
        None,
        "2 to 8 steps at guidance 1, with a model or LoRA made for it",
        draws=1,
        options=("eta",),
        eta=0.3,
        diffusers="TCDScheduler",
        steps_most=STEPS_MOST,
    ),
    "UniPC": _of_vendors("UniPC", schedules=tuple(SPACED_BY_DIFFUSERS)),
    "DEIS": SamplerSpec(
        None,
        "sharp pictures in 15 to 20 steps",
        diffusers="DEISMultistepScheduler",
        schedules=tuple(SPACED_BY_DIFFUSERS),
        zero_snr=False,
    ),
    "DDPM": _of_vendors("DDPM", draws=1),
    "PNDM": _of_vendors("PNDM", first_twice=True),
}

RULED_NAMES = tuple(name for name in SAMPLER_NAMES if not SAMPLERS[name].diffusers)
"""The samplers that go with any schedule."""


def choose(sampler: str, schedule: str | None = None) -> tuple[SamplerName, ScheduleName | None]:
    """What is meant by a sampler's name, and a schedule's beside it or at its end.

    A schedule by itself counts before one at the sampler's end; none, or ``Automatic``, is the one
    that AUTOMATIC1111 takes for the sampler, and none of diffusers' with timesteps of their own.
    Raises ``InvalidInput`` for a name nobody knows, and for a schedule that the sampler does not
    take.
    """
    method, joined = split(sampler)
    found = find_sampler(method)
    if found is None:
        known = ", ".join(SAMPLER_NAMES)
        raise InvalidInput("sampler", f"sampler is {sampler[:100]!r}; it must be one of {known}")
    named = joined
    if schedule is not None and fold(schedule) not in ("", fold(AUTOMATIC)):
        named = _schedule(schedule)
    spec = SAMPLERS[found]
    if named and spec.diffusers and named not in spec.schedules:
        others = f" or take one of {', '.join(spec.schedules)}" if spec.schedules else ""
        raise InvalidInput(
            "schedule",
            f"schedule is {named!r}; {found} has timesteps of its own: leave it out{others}",
        )
    return found, named or spec.automatic


def _schedule(name: str) -> ScheduleName:
    found = find_schedule(name)
    if found is None:
        known = ", ".join((AUTOMATIC, *SCHEDULE_NAMES))
        raise InvalidInput("schedule", f"schedule is {name[:100]!r}; it must be one of {known}")
    return found


def check_options(sampler: SamplerName, given: Mapping[str, Any]) -> None:
    """Raises ``InvalidInput`` for an option that the sampler has not, or outside its range."""
    for name, value in given.items():
        if name not in SAMPLERS[sampler].options:
            having = ", ".join(each for each in SAMPLERS if name in SAMPLERS[each].options)
            raise InvalidInput(
                name, f"{name} is {value:g}, but {sampler} has none; those that do are {having}"
            )
        least, most = OPTIONS[name]
        if not least <= value <= most:
            raise InvalidInput(name, f"{name} is {value:g}; it must be from {least:g} to {most:g}")


def completed(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """``values`` of a request with the sampler and schedule that they name, if they name any.

    Raises ``InvalidInput`` where they name a ``scheduler`` as well, a schedule or an option
    without a sampler, or what the sampler has not.
    """
    given = {name: values[name] for name in FIELDS if values.get(name) is not None}
    if not given:
        return values
    if "sampler" not in given:
        name = next(iter(given))
        raise InvalidInput(name, f"{name} acts only beside sampler, which is missing")
    if values.get("scheduler") is not None:
        raise InvalidInput(
            "sampler",
            f"sampler is {given['sampler']!r} and scheduler is {values['scheduler']!r}; "
            "one picture is drawn by one of them: leave the other out",
        )
    sampler, schedule = choose(given["sampler"], given.get("schedule"))
    check_options(sampler, {name: given[name] for name in OPTIONS if name in given})
    most = SAMPLERS[sampler].steps_most
    if most and values.get("steps", 0) > most:
        raise InvalidInput(
            "steps", f"steps is {values['steps']}; {sampler} is drawn in at most {most}"
        )
    return {**values, "sampler": sampler, "schedule": schedule}

"""How a body says to sample: by ``scheduler``, or by ``sampler``, ``schedule`` and options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from limner.domain import samplers, schedulers
from limner.errors import UnknownScheduler
from limner.settings import Settings
from limner.web.reading.fields import Number, Reader, Text, shown

DEFAULT_SCHEDULER: schedulers.SchedulerName = "UniPC"
_NAME = Text(0, 100)

READERS: Mapping[str, Reader] = {
    "scheduler": _NAME,
    "sampler": _NAME,
    "schedule": _NAME,
    **{name: Number(*ends) for name, ends in samplers.OPTIONS.items()},
}


def settle(
    given: Mapping[str, Any],
    values: dict[str, Any],
    settings: Settings,
    notes: list[str],
    *,
    default: schedulers.SchedulerName,
) -> None:
    """Leave in ``values`` what is meant: a scheduler, or a sampler with its schedule.

    ``given`` are the fields of the body, ``values`` they after defaults; ``default`` stands in for
    an unknown scheduler, which is noted. Raises ``InvalidInput``
    for what cannot be meant, ``UnknownScheduler`` where the server is strict.
    """
    named = {name: value for name, value in given.items() if name in READERS and value != ""}
    meant = samplers.completed(named)
    if "sampler" in meant:
        values |= {**meant, "scheduler": None}
    else:
        values["scheduler"] = _scheduler(values["scheduler"], default, settings, notes)


def chosen(values: Mapping[str, Any]) -> dict[str, Any]:
    """What of settled ``values`` a ``Generation`` is made with."""
    names = samplers.FIELDS if values["scheduler"] is None else ("scheduler",)
    return {name: values[name] for name in names if name in values}


def _scheduler(
    given: str, default: schedulers.SchedulerName, settings: Settings, notes: list[str]
) -> schedulers.SchedulerName:
    found = schedulers.find(given)
    if found:
        return found
    known = ", ".join(schedulers.SCHEDULER_NAMES)
    if settings.strict:
        raise UnknownScheduler(
            "scheduler", f"scheduler is {shown(given)}; it must be one of {known}"
        )
    notes.append(f"scheduler {shown(given)} is unknown; {default} was used")
    return default

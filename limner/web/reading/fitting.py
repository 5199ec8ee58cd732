"""Defaults that fit the model which draws, where a body does not say: told in a note."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal

from limner.domain.few_steps import FITTING, Fitting
from limner.domain.samplers import SAMPLERS
from limner.usecases.drawing.choosing import Chosen

Said = Literal["sampler", "steps", "guidance"]


def fit(
    values: dict[str, Any], given: Collection[str], choice: Chosen | None, least: int
) -> list[str]:
    """Change ``values`` to what a model of few steps is drawn with, and say what was changed.

    ``given`` are the fields of the body, ``least`` the fewest steps of a scheduler.
    """
    by: dict[Said, set[str]] = {
        "sampler": {"scheduler", "sampler"},
        "steps": {"num_inference_steps", "preset"},
        "guidance": {"guidance_scale", "preset"},
    }
    said = {each for each, names in by.items() if names & set(given)}
    fitting = of(choice)
    if fitting is None:
        return []
    if "steps" in said and not reaches(fitting, values["num_inference_steps"]):
        said.add("sampler")
    if "sampler" not in said:
        values |= {"scheduler": None, "sampler": fitting.sampler, "schedule": fitting.schedule}
    steps = fitting.steps if values["scheduler"] is None else max(least, fitting.steps)
    if "steps" not in said:
        values["num_inference_steps"] = steps
    if "guidance" not in said:
        values["guidance_scale"] = fitting.guidance
    return told(choice, said, steps)


def of(choice: Chosen | None) -> Fitting | None:
    """What a chosen model is drawn with where nothing is said; None for one of many steps."""
    return None if choice is None or choice.few_steps is None else FITTING[choice.few_steps]


def reaches(fitting: Fitting, steps: int) -> bool:
    """Whether its sampler can be drawn in so many steps; else the usual one is."""
    most = SAMPLERS[fitting.sampler].steps_most
    return most is None or steps <= most


def told(choice: Chosen | None, said: Collection[Said], steps: int | None = None) -> list[str]:
    """The note on what was not ``said``, and so was changed; ``steps`` if not the fitting ones."""
    fitting = of(choice)
    if choice is None or fitting is None:
        return []
    ways: dict[Said, str] = {
        "sampler": f"by {fitting.sampler}",
        "steps": f"in {steps or fitting.steps} steps",
        "guidance": f"at guidance {fitting.guidance:g}",
    }
    changed = ", ".join(way for name, way in ways.items() if name not in said)
    name, kind = choice.few_steps_by or choice.card.name, choice.few_steps
    return [f"{name} is made for few steps ({kind}): drawn {changed}"] if changed else []

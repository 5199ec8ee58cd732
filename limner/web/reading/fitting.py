"""Defaults that fit the model which draws, where a body does not say: told in a note."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from limner.domain.few_steps import FITTING
from limner.usecases.drawing.choosing import Chosen


def fit(
    values: dict[str, Any], given: Collection[str], choice: Chosen | None, least: int
) -> list[str]:
    """Change ``values`` to what a model of few steps is drawn with, and say what was changed.

    ``given`` are the fields of the body, ``least`` the fewest steps of a scheduler.
    """
    if choice is None or choice.few_steps is None:
        return []
    fitting, changed = FITTING[choice.few_steps], []
    if not {"scheduler", "sampler"} & set(given):
        values |= {"scheduler": None, "sampler": fitting.sampler, "schedule": fitting.schedule}
        changed.append(f"by {fitting.sampler}")
    if not {"num_inference_steps", "preset"} & set(given):
        steps = fitting.steps if values["scheduler"] is None else max(least, fitting.steps)
        values["num_inference_steps"] = steps
        changed.append(f"in {steps} steps")
    if not {"guidance_scale", "preset"} & set(given):
        values["guidance_scale"] = fitting.guidance
        changed.append(f"at guidance {fitting.guidance:g}")
    if not changed:
        return []
    kind = choice.few_steps
    return [f"{choice.card.name} is made for few steps ({kind}): drawn {', '.join(changed)}"]

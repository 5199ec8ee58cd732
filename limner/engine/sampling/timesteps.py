"""The timesteps of diffusers' schedulers, and where ours differ from them."""

from __future__ import annotations

import copy
from typing import Any

import torch

from limner.domain.samplers import SPACED_BY_DIFFUSERS


def is_spaced(scheduler: Any) -> bool:
    """Whether its levels of noise follow a schedule, one for each evaluation.

    DPM2 Karras has two to a step, of which the second lies between timesteps.
    """
    spaced = any(scheduler.config.get(spacing) for spacing in SPACED_BY_DIFFUSERS.values())
    return spaced and scheduler.order == 1


def scheduled(
    class_name: str, made: Any, steps: int, start: int | None
) -> tuple[Any, torch.Tensor]:
    """A scheduler of its own set to ``steps``, and its timesteps from ``start`` on."""
    scheduler = copy.deepcopy(made)
    _space(scheduler, steps)
    if start is None:
        if is_spaced(scheduler):
            # Levels that round to one timestep: told no place, it would begin at the second.
            scheduler.set_begin_index(0)
        return scheduler, scheduler.timesteps
    if class_name == "PNDMScheduler":
        return scheduler, _twice_at_first(scheduler.timesteps, start)
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(start * scheduler.order)
    return scheduler, scheduler.timesteps[start * scheduler.order :]


def _space(scheduler: Any, steps: int) -> None:
    """Set ``steps`` timesteps; of 61, 103, 121 and 122 trailing ones diffusers makes one too many.

    Its range then ends a rounding error above 0, at timestep -1: for want of a noise below the
    least, the last. A hair fewer steps end where they should.
    """
    scheduler.set_timesteps(steps)
    if scheduler.timesteps[-1] < 0:
        scheduler.set_timesteps(steps * (1 - 1e-9))
        scheduler.num_inference_steps = steps


# Two methods of several steps do not begin inside a schedule as they begin at its start; there we
# differ from diffusers, and ADR 0007 says why.


def told(class_name: str, k: int, eta: float | None) -> dict[str, float]:
    """What a step is told besides: LMS, how many derivatives there are at evaluation k.

    By itself it counts those of steps that were never run. TCD is told its ``eta``.
    """
    if class_name == "TCDScheduler" and eta is not None:
        return {"eta": eta}
    return {"order": min(k + 1, 4)} if class_name == "LMSDiscreteScheduler" else {}


def _twice_at_first(timesteps: torch.Tensor, start: int) -> torch.Tensor:
    """PNDM's timesteps from ``start`` on: the second is evaluated twice, wherever it begins."""
    once = torch.unique_consecutive(timesteps)[start:]
    return torch.cat([once[:2], once[1:]])

"""How a picture is sampled: by one of the vendor's schedulers, or by a sampler and a schedule.

A method knows what has to be known before anything is drawn: how many steps run, how often the
UNet is evaluated, and how much of it is kept. ``engine/sampling/samplers.py`` makes the matrix.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from limner.domain import schedulers
from limner.domain.sampler_names import AUTOMATIC, SamplerName, ScheduleName
from limner.domain.samplers import SAMPLERS, STRENGTH_MOST, TRAIN_STEPS
from limner.domain.schedulers import SPECS, SchedulerName
from limner.errors import InvalidInput


class Method(Protocol):
    """What pricing, planning and receipts ask. ``strength`` None means from pure noise."""

    def steps_run(self, steps: int, strength: float | None) -> int:
        """User's steps that really run. May be 0, which the caller must refuse."""
        ...

    def evaluations(self, steps: int, strength: float | None) -> int:
        """UNet evaluations of one picture, for each branch of its guidance."""
        ...

    def draws(self, steps: int, strength: float | None) -> int:
        """Noise drawn on the way, at most, beside the start noise."""
        ...

    @property
    def keeps_noise(self) -> bool:
        """Whether that noise enters the region that a mask keeps."""
        ...

    def check_zero_snr(self) -> None:
        """Raises ``InvalidInput`` where it cannot begin at zero terminal SNR."""
        ...

    @property
    def names(self) -> tuple[str, str]:
        """``Sampler`` and ``Schedule type`` as AUTOMATIC1111 calls them."""
        ...


@dataclass(frozen=True)
class Vendors:
    """A scheduler of the vendor's twelve, as diffusers computes it."""

    scheduler: SchedulerName

    def steps_run(self, steps: int, strength: float | None) -> int:
        return schedulers.steps_run(steps, strength)

    def evaluations(self, steps: int, strength: float | None) -> int:
        return schedulers.evaluations(self.scheduler, steps, strength)

    def draws(self, steps: int, strength: float | None) -> int:
        draws = SPECS[self.scheduler].draws_noise
        return self.evaluations(steps, strength) if draws else 0

    @property
    def keeps_noise(self) -> bool:
        return False

    def check_zero_snr(self) -> None:
        schedulers.check_zero_snr(self.scheduler)

    @property
    def names(self) -> tuple[str, str]:
        ours = self.scheduler
        return schedulers.AUTOMATIC1111_NAMES[ours], schedulers.schedule_type(ours)


@dataclass(frozen=True)
class Diffusers:
    """A sampler that diffusers' pipelines run, such as LCM or UniPC.

    With timesteps of its own, or the levels of ``schedule`` as diffusers spaces them.
    """

    sampler: SamplerName
    eta: float = 1.0
    schedule: ScheduleName | None = None

    def steps_run(self, steps: int, strength: float | None) -> int:
        return schedulers.steps_run(steps, strength)

    def evaluations(self, steps: int, strength: float | None) -> int:
        ran = self.steps_run(steps, strength)
        return ran + (SAMPLERS[self.sampler].first_twice and ran > 1)

    def draws(self, steps: int, strength: float | None) -> int:
        return SAMPLERS[self.sampler].draws * max(0, self.steps_run(steps, strength) - 1)

    @property
    def keeps_noise(self) -> bool:
        return False

    def check_zero_snr(self) -> None:
        if SAMPLERS[self.sampler].zero_snr:
            return
        allowed = ", ".join(name for name, spec in SAMPLERS.items() if spec.zero_snr)
        raise InvalidInput(
            "sampler",
            f"sampler is {self.sampler!r}, which cannot begin at the zero terminal SNR that the "
            f"loaded model was trained with; allowed are {allowed}.",
        )

    @property
    def names(self) -> tuple[str, str]:
        theirs = "PLMS" if self.sampler == "PNDM" else self.sampler
        return theirs, self.schedule or AUTOMATIC


@dataclass(frozen=True)
class Ruled:
    """A sampler over a schedule, as k-diffusion computes them and AUTOMATIC1111 runs them.

    Of a source it runs one step more than ``int(steps * strength)``, at strength 1 all.
    """

    sampler: SamplerName
    schedule: ScheduleName
    eta: float = 1.0
    s_churn: float = 0.0
    s_noise: float = 1.0
    s_tmin: float = 0.0
    s_tmax: float = float("inf")

    def steps_run(self, steps: int, strength: float | None) -> int:
        if strength is None:
            return steps
        return min(int(steps * min(strength, STRENGTH_MOST)) + 1, steps)

    def intervals(self, steps: int, strength: float | None) -> int:
        """How often the level of noise changes: DDIM's schedule has more than the user's steps."""
        skips = SAMPLERS[self.sampler].skips
        spare = levels(self.schedule, steps + skips) - (steps + skips)
        return self.steps_run(steps, strength) + spare

    def evaluations(self, steps: int, strength: float | None) -> int:
        order = SAMPLERS[self.sampler].order
        return self.intervals(steps, strength) * order - (order - 1)

    def draws(self, steps: int, strength: float | None) -> int:
        count = self.intervals(steps, strength)
        if self.s_churn:
            return count
        return (count - 1) * SAMPLERS[self.sampler].draws if self.eta else 0

    @property
    def keeps_noise(self) -> bool:
        return True

    def check_zero_snr(self) -> None:
        """All can: each begins at the most noise there is."""

    @property
    def names(self) -> tuple[str, str]:
        return self.sampler, self.schedule


def levels(schedule: ScheduleName, steps: int) -> int:
    """Levels of noise above 0 of a schedule for so many steps: as many, but for DDIM's.

    That takes every ``1000 // steps``-th of the training timesteps from the second on, which are
    more than ``steps`` where 1000 is no multiple: 31 of 30, 167 of 150.
    """
    if schedule != "DDIM":
        return steps
    return -(-(TRAIN_STEPS - 1) // (TRAIN_STEPS // steps))

"""The contract's twelve scheduler names, their aliases, and how often each evaluates the UNet.

The constructor arguments are for SD 1.5's noise schedule (scaled-linear betas 0.00085..0.012,
1000 training steps); ``engine/sampling/samplers.py`` builds the diffusers objects from this table.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from limner.errors import InvalidInput

SchedulerName = Literal[
    "DDIM",
    "DPM Multi",
    "DPM Single",
    "Euler a",
    "Euler",
    "Heun",
    "DPM2 a Karras",
    "DPM2 Karras",
    "LMS",
    "PNDM",
    "DDPM",
    "UniPC",
]
SCHEDULER_NAMES: tuple[SchedulerName, ...] = get_args(SchedulerName)

BETAS: Mapping[str, Any] = {
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "num_train_timesteps": 1000,
}


@dataclass(frozen=True)
class SchedulerSpec:
    """A diffusers scheduler class by name and the arguments beside ``BETAS``.

    ``order`` is the number of UNet evaluations in one user's step (the last step of a
    two-evaluation method takes one). ``draws_noise``: fresh noise enters at its evaluations.
    ``zero_snr``: the class can begin where nothing of the picture is left (Lin et al. 2024).
    """

    class_name: str
    arguments: Mapping[str, Any]
    order: int = 1
    good_for: str = ""
    draws_noise: bool = False
    zero_snr: bool = False


SPECS: Mapping[SchedulerName, SchedulerSpec] = {
    "DDIM": SchedulerSpec(
        "DDIMScheduler",
        {"clip_sample": False, "set_alpha_to_one": False, "steps_offset": 1},
        good_for="the classic; img2img and exact repeats",
        zero_snr=True,
    ),
    "DPM Multi": SchedulerSpec(
        "DPMSolverMultistepScheduler",
        {},
        good_for="sharp pictures in 20 to 25 steps",
        zero_snr=True,
    ),
    "DPM Single": SchedulerSpec(
        "DPMSolverSinglestepScheduler", {}, good_for="like DPM Multi, steadier at high guidance"
    ),
    "Euler a": SchedulerSpec(
        "EulerAncestralDiscreteScheduler",
        {"steps_offset": 1},
        good_for="variety; every step count gives another picture",
        draws_noise=True,
        zero_snr=True,
    ),
    "Euler": SchedulerSpec(
        "EulerDiscreteScheduler",
        {"steps_offset": 1},
        good_for="soft and predictable",
        zero_snr=True,
    ),
    "Heun": SchedulerSpec(
        "HeunDiscreteScheduler", {"steps_offset": 1}, 2, "careful detail at twice the cost"
    ),
    "DPM2 a Karras": SchedulerSpec(
        "KDPM2AncestralDiscreteScheduler",
        {"use_karras_sigmas": True, "steps_offset": 1},
        2,
        "rich texture at twice the cost",
        draws_noise=True,
    ),
    "DPM2 Karras": SchedulerSpec(
        "KDPM2DiscreteScheduler",
        {"use_karras_sigmas": True, "steps_offset": 1},
        2,
        "fine detail at twice the cost",
    ),
    "LMS": SchedulerSpec(
        "LMSDiscreteScheduler", {"steps_offset": 1}, good_for="smooth; wants 30 steps or more"
    ),
    "PNDM": SchedulerSpec(
        "PNDMScheduler",
        {"skip_prk_steps": True, "set_alpha_to_one": False, "steps_offset": 1},
        good_for="the first Stable Diffusion's default",
    ),
    "DDPM": SchedulerSpec(
        "DDPMScheduler",
        {"clip_sample": False},
        good_for="the original method; wants 50 or more",
        draws_noise=True,
        zero_snr=True,
    ),
    "UniPC": SchedulerSpec(
        "UniPCMultistepScheduler",
        {},
        good_for="the default: good pictures in 20 steps",
        zero_snr=True,
    ),
}

# AUTOMATIC1111's name for each of ours; it has none for DPM Single and DDPM, whose names follow
# its pattern.
AUTOMATIC1111_NAMES: Mapping[SchedulerName, str] = {
    "Euler a": "Euler a",
    "Euler": "Euler",
    "LMS": "LMS",
    "Heun": "Heun",
    "DPM2 Karras": "DPM2",
    "DPM2 a Karras": "DPM2 a",
    "DPM Multi": "DPM++ 2M",
    "DPM Single": "DPM++ 2S",
    "DDIM": "DDIM",
    "PNDM": "PLMS",
    "UniPC": "UniPC",
    "DDPM": "DDPM",
}
_SPACED_BY_THEMSELVES = frozenset({"DDIM", "PNDM", "UniPC", "DDPM"})

METHOD = 2
"""Of how pictures are sampled, part of their receipts; raised when known seeds change.

2: LMS and PNDM begin from a source as they begin from noise (ADR 0007).
"""

_ALIASES: Mapping[str, SchedulerName] = {
    "dpmpp2m": "DPM Multi",
    "dmpp2m": "DPM Multi",
    "dpm++2m": "DPM Multi",
    "dpmppsdeancestral": "DPM Single",
    "eulera": "Euler a",
    "dpmancestral": "DPM2 a Karras",
    "dpmdiscrete": "DPM2 Karras",
}


def fold(name: str) -> str:
    """Case, spaces, ``_`` and ``-`` do not distinguish scheduler names."""
    return re.sub(r"[\s_\-]+", "", name).lower()


_BY_FOLDED: Mapping[str, SchedulerName] = {
    **{fold(name): name for name in SCHEDULER_NAMES},
    **_ALIASES,
}


def find(name: str) -> SchedulerName | None:
    """The contract's name for what a client sent, or None when nobody knows it."""
    return _BY_FOLDED.get(fold(name))


def check_zero_snr(name: SchedulerName) -> None:
    """Raises ``InvalidInput`` for a method that cannot draw with a zero-terminal-SNR model."""
    if SPECS[name].zero_snr:
        return
    allowed = ", ".join(other for other in SCHEDULER_NAMES if SPECS[other].zero_snr)
    raise InvalidInput(
        "scheduler",
        f"scheduler is {name!r}, which cannot begin at the zero terminal SNR that the loaded "
        f"model was trained with; allowed are {allowed}.",
    )


def schedule_type(name: SchedulerName) -> str:
    """The ``Schedule type`` with which AUTOMATIC1111 spaces the steps as we do.

    Its default for some methods (``Automatic``) is Karras' spacing, so ours is named.
    """
    if name in _SPACED_BY_THEMSELVES:
        return "Automatic"
    return "Karras" if SPECS[name].arguments.get("use_karras_sigmas") else "Uniform"


def steps_run(steps: int, strength: float | None = None) -> int:
    """User's steps that really run: all, or ``int(steps * strength)`` for img2img.

    ``strength`` None means from pure noise. May be 0, which the caller must refuse.
    """
    return steps if strength is None else min(int(steps * strength), steps)


def evaluations(scheduler: SchedulerName, steps: int, strength: float | None = None) -> int:
    """UNet evaluations of one picture, for each branch of its guidance.

    A two-evaluation method runs its last step with one. PNDM's first step is evaluated twice
    (Liu et al. 2022, the Runge-Kutta-free start), unless only one is run. Agreement with the
    traced matrices is tested.
    """
    ran = steps_run(steps, strength)
    if ran == 0:
        return 0
    if scheduler == "PNDM":
        return ran + (ran > 1)
    return ran * SPECS[scheduler].order - (SPECS[scheduler].order - 1)

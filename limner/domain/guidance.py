"""How a picture is guided: over which evaluations, and how what guidance says is tempered.

Guidance beyond 1 makes an estimate's values too large. A rescale (Lin et al. 2024, section 3.4)
brings back the spread they have at guidance 1; dynamic thresholding, as AUTOMATIC1111's extension
of that name does it, that of a milder guidance, which it calls mimic scale.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import cos, pi
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from limner.errors import InvalidInput

Mode = Literal[
    "constant",
    "linear down",
    "cosine down",
    "half cosine down",
    "linear up",
    "cosine up",
    "half cosine up",
    "power up",
    "power down",
    "linear repeating",
    "cosine repeating",
    "sawtooth",
]
MODE_NAMES: tuple[Mode, ...] = get_args(Mode)
Startpoint = Literal["mean", "zero"]
Variability = Literal["ad", "std"]

SCALE_MAX = 100.0
VALUE_MAX = 40.0

# How much of a scale there is at a share of the way, 0 to 1; of some modes by a value as well.
_FACTORS: Mapping[Mode, Callable[[float], float]] = {
    "constant": lambda _: 1.0,
    "linear down": lambda share: 1 - share,
    "cosine down": lambda share: cos(share * pi / 2),
    "half cosine down": cos,
    "linear up": lambda share: share,
    "cosine up": lambda share: 1 - cos(share * pi / 2),
    "half cosine up": lambda share: 1 - cos(share),
}
_FACTORS_BY_VALUE: Mapping[Mode, Callable[[float, float], float]] = {
    "power up": lambda share, power: share**power,
    "power down": lambda share, power: 1 - share**power,
    "linear repeating": lambda share, times: abs(2 * (share * times % 1) - 1),
    "cosine repeating": lambda share, times: cos(2 * pi * share * times) / 2 + 0.5,
    "sawtooth": lambda share, times: share * times % 1,
}
MODES_WITH_VALUE = tuple(_FACTORS_BY_VALUE)


class Thresholding(BaseModel):
    """Dynamic thresholding: the guided estimate is brought to the spread of a milder guidance.

    ``mimic_scale`` is that guidance. Values beyond ``percentile`` (a share, 0 to 1) of the guided
    estimate's distances from its mean are clamped. Both scales go over the steps, by their
    ``mode``, between the least (``mimic_min``, ``guidance_min``) and their value; ``mode_value``
    is a power or how often a mode repeats. ``separate_channels``: each of the latent's channels by
    itself. ``startpoint``: distances are scaled from the mean, or from zero. ``variability``: the
    spread is the largest distance ("ad") or the standard deviation ("std"). ``phi``: how much of
    the result is mixed with what guidance alone says, 0 to 1.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    mimic_scale: float = Field(7.0, ge=0.0, le=SCALE_MAX)
    percentile: float = Field(1.0, ge=0.0, le=1.0)
    mimic_mode: Mode = "constant"
    mimic_min: float = Field(0.0, ge=0.0, le=SCALE_MAX)
    guidance_mode: Mode = "constant"
    guidance_min: float = Field(0.0, ge=0.0, le=SCALE_MAX)
    mode_value: float = Field(4.0, ge=0.0, le=VALUE_MAX)
    separate_channels: bool = True
    startpoint: Startpoint = "mean"
    variability: Variability = "ad"
    phi: float = Field(1.0, ge=0.0, le=1.0)

    def scales(self, guidance: float, share: float) -> tuple[float, float]:
        """Mimic scale and guidance at a share of the way, from 0 at the first evaluation to 1."""
        mimic = self.mimic_scale - self.mimic_min
        more = guidance - self.guidance_min
        return (
            self.mimic_min + mimic * self._factor(self.mimic_mode, share),
            self.guidance_min + more * self._factor(self.guidance_mode, share),
        )

    def _factor(self, mode: Mode, share: float) -> float:
        if mode in _FACTORS_BY_VALUE:
            return _FACTORS_BY_VALUE[mode](share, self.mode_value)
        return _FACTORS[mode](share)


DEFAULTS: Mapping[str, Any] = {
    "guidance_start": 0.0,
    "guidance_end": 1.0,
    "guidance_rescale": 0.0,
    "thresholding": None,
}
"""The fields of a request that say more of guidance than how strong it is, and what says nothing.
"""


def on(evaluation: int, evaluations: int, start: float, end: float) -> bool:
    """Whether ``evaluation`` (from 0) of ``evaluations`` lies between two shares, as diffusers
    counts."""
    return evaluation / evaluations >= start and (evaluation + 1) / evaluations <= end


def coefficients(
    weights: Sequence[float], guidance: float, *, tempered: bool = False, regions: int = 0
) -> list[float]:
    """Of the rows of an evaluation: the unconditional first, unless it counts for nothing.

    ``weights`` are those of the prompts that ``AND`` joins. What is ``tempered``, and what has
    ``regions``, needs the unconditional wherever guidance is not 1. A region's row comes after
    them, with the coefficient that it has where it alone counts.
    """
    rows = [guidance * weight for weight in (*weights, *[1.0] * regions)]
    uncond = 1 - guidance * sum(weights)
    unused = uncond == 0 and not ((tempered or regions) and guidance != 1)
    return rows if unused else [uncond, *rows]


def check_interval(start: float, end: float) -> None:
    """Raises ``InvalidInput`` for an interval that lies the wrong way round."""
    if start >= end:
        raise InvalidInput(
            "guidance_start",
            f"guidance_start is {start:g}; it must be below guidance_end, which is {end:g}",
        )

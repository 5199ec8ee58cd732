"""Pictures whose edges meet: along which axes, and over which evaluations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, get_args

from pydantic import BaseModel, Field, model_validator

from limner.domain.guidance import on
from limner.errors import InvalidInput

Tiling = Literal["none", "x", "y", "xy"]
TILINGS: tuple[Tiling, ...] = get_args(Tiling)
DEFAULTS: Mapping[str, Any] = {"tiling": "none", "tiling_start": 0.0, "tiling_end": 1.0}
"""The fields of a request, and what says nothing."""


class Axes(NamedTuple):
    """Along which axes edges of a picture meet: ``x`` left and right, ``y`` top and bottom."""

    x: bool = False
    y: bool = False


APART = Axes()
"""No edges meet."""


class Tiled(BaseModel):
    """What a request says of its edges: which meet, and over which share of the evaluations the
    UNet sees to it (``guidance.on``). The VAE always does; without ``tiling`` the rest is unsaid.

    ``vae_tile``: pixels of the sides of the pieces in which the VAE takes the picture; None: whole,
    or as an engine settles it by its memory.
    """

    tiling: Tiling = "none"
    tiling_start: float = Field(0.0, ge=0.0, le=1.0)
    tiling_end: float = Field(1.0, ge=0.0, le=1.0)
    vae_tile: int | None = Field(None, ge=512, le=1024, multiple_of=64)

    @model_validator(mode="before")
    @classmethod
    def _without_unused_interval(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and values.get("tiling", "none") == "none":
            return {name: value for name, value in values.items() if name not in DEFAULTS}
        return values

    @model_validator(mode="after")
    def _somewhere(self) -> Tiled:
        if self.tiling_start >= self.tiling_end:
            raise InvalidInput(
                "tiling_start",
                f"tiling_start is {self.tiling_start:g}; it must be below tiling_end, which is "
                f"{self.tiling_end:g}",
            )
        return self

    @property
    def axes(self) -> Axes:
        """Along which axes edges of the picture meet."""
        return Axes("x" in self.tiling, "y" in self.tiling)

    def axes_over(self, evaluations: int) -> tuple[Axes, ...]:
        """Along which they do for the UNet, at each of so many evaluations."""
        interval = (self.tiling_start, self.tiling_end)
        inside = (on(k, evaluations, *interval) for k in range(evaluations))
        return tuple(self.axes if meets else APART for meets in inside)

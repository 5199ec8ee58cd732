"""A picture drawn small, made larger, and drawn again from what became of it."""

from __future__ import annotations

import math
from typing import Any, Literal, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from limner.domain import samplers
from limner.domain.sampler_names import SamplerName, ScheduleName
from limner.domain.upscalers import Upscaler, covering
from limner.errors import InvalidInput

LatentMode = Literal[
    "Latent",
    "Latent (antialiased)",
    "Latent (bicubic)",
    "Latent (bicubic antialiased)",
    "Latent (nearest)",
    "Latent (nearest-exact)",
]
LATENT_MODES: tuple[LatentMode, ...] = get_args(LatentMode)
PIXEL_MODES = ("Lanczos", "Nearest")
UPSCALERS = (*LATENT_MODES, *PIXEL_MODES)
"""What makes the first picture larger, by AUTOMATIC1111's names."""

PIXELS_MAX = 1 << 26
"""Of the larger picture before what is over is cut: sixteen times the largest second pass."""

STRENGTH = 0.7
"""How much of the schedule the second pass runs where nothing is said, as in AUTOMATIC1111."""


class Hires(BaseModel):
    """The second pass of a picture: its size in pixels, and what differs from the first.

    What is None is the first pass's. ``first_pass``: that is a picture of the request as well.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    width: int = Field(ge=64, le=2048, multiple_of=8)
    height: int = Field(ge=64, le=2048, multiple_of=8)
    upscaler: str = Field("Latent", max_length=500)
    upscaler_sha256: str | None = Field(None, max_length=64)
    steps: int | None = Field(None, ge=1, le=150)
    strength: float = Field(STRENGTH, ge=0.0, le=1.0)
    prompt: str | None = Field(None, max_length=10_000)
    negative_prompt: str | None = Field(None, max_length=10_000)
    sampler: SamplerName | None = None
    schedule: ScheduleName | None = None
    guidance: float | None = Field(None, ge=0.0, le=100.0)
    first_pass: bool = False

    @model_validator(mode="before")
    @classmethod
    def _with_one_method(cls, values: Any) -> Any:
        return samplers.completed(values) if isinstance(values, dict) else values

    @model_serializer(mode="wrap")
    def _said(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        said = {name: value for name, value in serialize(self).items() if value is not None}
        return said if self.first_pass else {n: v for n, v in said.items() if n != "first_pass"}

    def check(self, width: int, height: int, *, starts: bool, cut: bool) -> None:
        """Raises ``InvalidInput`` where a picture of this size, which ``starts`` from another or
        does not, has no such second pass. ``cut``: what is over its size is."""
        if starts:
            raise InvalidInput(
                "hires", "hires draws a picture twice; one that starts from a picture is drawn once"
            )
        if self.width < width or self.height < height:
            raise InvalidInput(
                "hires",
                f"hires is {self.width}x{self.height}; it must be no smaller than the first pass, "
                f"which is {width}x{height}",
            )
        large = covering((width, height), (self.width, self.height))
        if cut and math.prod(large) > PIXELS_MAX:
            raise InvalidInput(
                "hires",
                f"hires is {self.width}x{self.height}, cut out of {large[0]}x{large[1]}, for a "
                f"first pass of {width}x{height}; that may have {PIXELS_MAX:,} pixels",
            )

    @property
    def file(self) -> Upscaler | None:
        """The upscaler that makes it larger, where that is one of the library or of pixel art."""
        if self.upscaler in UPSCALERS:
            return None
        return Upscaler(name=self.upscaler, sha256=self.upscaler_sha256 or "")

    @property
    def in_latents(self) -> bool:
        """Whether latents are made larger, and not pixels."""
        return self.upscaler in LATENT_MODES

"""Parts of a picture with prompts of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from limner.domain.prompt import Prompt, parse, split_branches
from limner.errors import InvalidInput

REGIONS_MAX = 8
WEIGHT_MAX = 10.0
SIDE_MIN = 0.02
"""The least share of a picture's width or height: two latent pixels of a large one."""

Shares = tuple[float, float, float, float]
"""Left, top, width and height, in shares of the picture."""


class Region(BaseModel):
    """A part of the picture, and what is drawn there in place of the request's prompt.

    The part is a ``box``, or what is white in the mask of that SHA-256. Where ``weight`` is below
    1, so much of the request's prompt stays; where regions overlap, each counts by its weight.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    prompt: str = Field(min_length=1, max_length=10_000)
    box: Shares | None = None
    mask_sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$")
    weight: float = Field(1.0, gt=0.0, le=WEIGHT_MAX)

    @model_serializer(mode="wrap")
    def _one_part(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in serialize(self).items() if value is not None}

    @model_validator(mode="after")
    def _inside(self) -> Region:
        if (self.box is None) == (self.mask_sha256 is None):
            said = "is missing" if self.box is None else "is given beside mask"
            raise InvalidInput("box", f"box {said}; a region is either a box or a mask")
        if self.box is None:
            return self
        left, top, width, height = self.box
        shown = f"box is [{', '.join(f'{each:g}' for each in self.box)}]"
        if min(left, top) < 0 or max(left + width, top + height) > 1 + 1e-6:
            raise InvalidInput(
                "box", f"{shown}; it must lie in the picture, which is 1 wide and 1 high"
            )
        if min(width, height) < SIDE_MIN:
            raise InvalidInput("box", f"{shown}; it must be at least {SIDE_MIN:g} wide and high")
        return self

    @model_validator(mode="after")
    def _says_one_thing(self) -> Region:
        if (count := len(split_branches(self.prompt))) > 1:
            raise InvalidInput(
                "prompt", f"prompt composes {count} prompts with AND; a region takes one"
            )
        return self


def parsed(regions: Sequence[Region], steps: int) -> dict[str, Prompt]:
    """Their prompts, by the names of their fields, for a picture of ``steps`` steps."""
    return {f"regions.{n}.prompt": parse(each.prompt, steps) for n, each in enumerate(regions)}

"""How the masked part of a picture is repainted: what is there at first, how much of the picture
is drawn with it, how soft its edge is laid over the rest."""

from __future__ import annotations

from typing import Any, Literal, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from limner.errors import InvalidInput

MaskFill = Literal["fill", "original", "noise", "nothing"]
FILLS: tuple[MaskFill, ...] = get_args(MaskFill)
"""In the order of AUTOMATIC1111's ``inpainting_fill``."""

BLUR_MAX = 64
PADDING, PADDING_MAX = 32, 256
PIXELS_MAX = 4096 * 4096
"""Of a picture that is kept at its own size, whatever the size that is drawn."""


class Masking(BaseModel):
    """A mask by the SHA-256 of its bytes, and how it is used; without one the rest says nothing.

    ``mask_fill``: what the masked part starts from: the picture, its colours spread from around,
    noise or nothing. ``only_masked``: what is drawn is the mask's box with ``mask_padding`` pixels
    on each side, and the picture keeps its own size. ``mask_blur`` pixels soften the edge,
    ``mask_blur_y`` those up and down where they are others.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    mask_sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$")
    mask_blur: int = Field(0, ge=0, le=BLUR_MAX)
    mask_blur_y: int | None = Field(None, ge=0, le=BLUR_MAX)
    mask_fill: MaskFill = "original"
    only_masked: bool = False
    mask_padding: int = Field(PADDING, ge=0, le=PADDING_MAX)

    @property
    def blur(self) -> tuple[int, int]:
        """Pixels by which the edge is softened, across and down."""
        down = self.mask_blur if self.mask_blur_y is None else self.mask_blur_y
        return self.mask_blur, down

    @model_validator(mode="after")
    def _has_a_mask(self) -> Masking:
        if self.only_masked and self.mask_sha256 is None:
            raise InvalidInput("only_masked", "only_masked is true; it needs a mask")
        return self

    @model_serializer(mode="wrap")
    def _said(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without what says nothing, so that equal pictures have equal receipts, old ones too."""
        unsaid = self._unsaid()
        return {name: value for name, value in serialize(self).items() if name not in unsaid}

    def _unsaid(self) -> set[str]:
        unsaid = {"mask_blur_y"} if self.blur == (self.mask_blur, self.mask_blur) else set()
        unsaid |= {"mask_fill"} if self.mask_fill == "original" else set()
        return unsaid | (set() if self.only_masked else {"only_masked", "mask_padding"})

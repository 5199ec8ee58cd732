"""Pictures that are drawn part by part: enlarged in tiles, or boxes of them once more."""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from limner.domain.detectors import CLASS_MAX, CLASSES_MAX, FOUND_MAX, Detector, Found
from limner.domain.hires import PIXEL_MODES
from limner.domain.masking import BLUR_MAX, PADDING_MAX, PIXELS_MAX
from limner.domain.upscalers import Upscaler
from limner.errors import InvalidInput

Box = tuple[int, int, int, int]
"""Left, top, right and bottom in pixels; right and bottom are the first outside."""

UPSCALE_MAX = 4.0
TILES_MAX = 144
OVERLAP, OVERLAP_MAX = 64, 256
DETAILS_MAX = 16
DETAIL_STRENGTH, DETAIL_BLUR = 0.4, 4
THRESHOLD_MIN = 0.01
_Share = Annotated[float, Field(ge=0.0, le=1.0)]
_Class = Annotated[int, Field(ge=0, le=CLASS_MAX)]
_SEEKING = ("detector", "detector_sha256", "threshold", "classes", "max")


class SdUpscale(BaseModel):
    """A picture made larger and drawn over in tiles: AUTOMATIC1111's script of this name.

    ``width`` and ``height`` are the finished picture's; tiles of ``tile_width`` x ``tile_height``
    overlap by ``overlap`` pixels at least. All in pixels.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    width: int = Field(ge=64)
    height: int = Field(ge=64)
    upscaler: str = Field("Lanczos", max_length=500)
    upscaler_sha256: str | None = Field(None, max_length=64)
    tile_width: int = Field(512, ge=64, le=2048, multiple_of=8)
    tile_height: int = Field(512, ge=64, le=2048, multiple_of=8)
    overlap: int = Field(OVERLAP, ge=0, le=OVERLAP_MAX)

    @property
    def file(self) -> Upscaler | None:
        """The upscaler that makes it larger, where that is one of the library or of pixel art."""
        if self.upscaler in PIXEL_MODES:
            return None
        return Upscaler(name=self.upscaler, sha256=self.upscaler_sha256 or "")

    @model_serializer(mode="wrap")
    def _said(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in serialize(self).items() if value is not None}

    @property
    def tiles(self) -> tuple[Box, ...]:
        """Where the tiles lie, row by row; the whole is covered, and none leaves it."""
        columns = _places(self.width, self.tile_width, self.overlap)
        rows = _places(self.height, self.tile_height, self.overlap)
        return tuple(
            (x, y, x + self.tile_width, y + self.tile_height) for y in rows for x in columns
        )

    @model_validator(mode="after")
    def _has_some_tiles(self) -> SdUpscale:
        size, tile = f"{self.width}x{self.height}", f"{self.tile_width}x{self.tile_height}"
        if self.width * self.height > PIXELS_MAX:
            raise _refused(f"would be {size}; it may have {PIXELS_MAX:,} pixels")
        if self.tile_width > self.width or self.tile_height > self.height:
            raise _refused(f"would be {size}, smaller than a tile of {tile}")
        if 2 * self.overlap > min(self.tile_width, self.tile_height):
            raise _refused(f"has an overlap of {self.overlap}; it may be half of a tile of {tile}")
        if (count := len(self.tiles)) > TILES_MAX:
            raise _refused(f"takes {count} tiles of {tile}; at most {TILES_MAX} are drawn")
        return self


class Detail(BaseModel):
    """A box of the finished picture that is drawn once more, larger, and laid over it.

    ``box``: left, top, width and height in shares of the picture. Or boxes that a ``detector``
    finds in it: of objects of one of ``classes`` (of any, where there are none) that it is as sure
    of as ``threshold`` says, the ``max`` surest. ``found`` says where a box came from. What is None
    is the picture's own. ``padding`` and ``blur`` are pixels of the picture, as those of a mask.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    box: tuple[_Share, _Share, _Share, _Share] | None = None
    detector: str | None = Field(None, max_length=500)
    detector_sha256: str | None = Field(None, max_length=64)
    threshold: float | None = Field(None, ge=THRESHOLD_MIN, le=1.0)
    classes: tuple[_Class, ...] | None = Field(None, max_length=CLASSES_MAX)
    max: int | None = Field(None, ge=1, le=DETAILS_MAX)
    found: Found | None = None
    prompt: str | None = Field(None, max_length=10_000)
    negative_prompt: str | None = Field(None, max_length=10_000)
    strength: float = Field(DETAIL_STRENGTH, ge=0.0, le=1.0)
    steps: int | None = Field(None, ge=1, le=150)
    guidance: float | None = Field(None, ge=0.0, le=100.0)
    width: int | None = Field(None, ge=64, le=2048, multiple_of=8)
    height: int | None = Field(None, ge=64, le=2048, multiple_of=8)
    padding: int = Field(32, ge=0, le=PADDING_MAX)
    blur: int = Field(DETAIL_BLUR, ge=0, le=BLUR_MAX)

    @model_validator(mode="after")
    def _lies_somewhere(self) -> Detail:
        if self.box is None and self.detector is None:
            raise InvalidInput("box", "box is missing; it, or detector, says what is drawn again")
        if self.box is None:
            return self
        given = [name for name in _SEEKING if getattr(self, name) is not None]
        if given:
            raise InvalidInput(
                given[0], f"{given[0]} finds boxes, and box names one: leave one out"
            )
        return self

    @model_validator(mode="after")
    def _lies_inside(self) -> Detail:
        if self.box is None:
            return self
        x, y, width, height = self.box
        if x + width > 1 or y + height > 1:
            raise InvalidInput(
                "box", f"box is {list(self.box)}; left + width and top + height may be 1 at most"
            )
        if not (width and height):
            raise InvalidInput("box", f"box is {list(self.box)}, which holds nothing")
        return self

    @property
    def file(self) -> Detector | None:
        """What finds its boxes; None where it is one."""
        if self.detector is None:
            return None
        return Detector(name=self.detector, sha256=self.detector_sha256 or "")

    @property
    def boxes(self) -> int:
        """How many it is, or may become: what is priced."""
        return 1 if self.detector is None else self.max or FOUND_MAX

    def at(self, box: tuple[float, ...], found: Found) -> Detail:
        """One of its boxes, as it was found."""
        own = self.model_dump(exclude={*_SEEKING, "box", "found"})
        return Detail(box=box, found=found, **own)

    @model_serializer(mode="wrap")
    def _said(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in serialize(self).items() if value is not None}

    def pixels(self, width: int, height: int) -> Box:
        """The box in a picture of this size: all pixels that it touches."""
        assert self.box is not None, "boxes are found before they are drawn"
        x, y, w, h = self.box
        left, top = math.floor(x * width), math.floor(y * height)
        return left, top, math.ceil((x + w) * width), math.ceil((y + h) * height)


def _few(details: tuple[Detail, ...]) -> tuple[Detail, ...]:
    count = sum(each.boxes for each in details)
    if count <= DETAILS_MAX:
        return details
    raise InvalidInput(
        "details",
        f"details may become {count} boxes; at most {DETAILS_MAX} are drawn: ask for fewer by max",
    )


Details = Annotated[tuple[Detail, ...], Field(max_length=DETAILS_MAX), AfterValidator(_few)]


def _places(side: int, tile: int, overlap: int) -> list[int]:
    """Where tiles begin, evenly: as few as overlap enough."""
    count = math.ceil((side - overlap) / (tile - overlap))
    if count <= 1:
        return [0]
    return [min(int(n * (side - tile) / (count - 1)), side - tile) for n in range(count)]


def _refused(reason: str) -> InvalidInput:
    return InvalidInput("sd_upscale", f"sd_upscale {reason}")

"""Decoding what strangers send, in the process that calls: ``tasks`` does it in one of its own.

A ``MemoryError`` is never the picture's fault here: it is raised as it is.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Literal

import numpy as np
from PIL import Image, ImageOps

from limner.errors import InvalidInput
from limner.imaging.files import Pixels
from limner.imaging.transparency import clear, flatten, layered, scale_key

SIDE_MIN, SIDE_MAX = 16, 8192
RATIO_MAX = 16
PIXELS_MAX = 40_000_000

EDGE = 128  # of 255: marked from here up, as the engine repaints

# What of a mask is repainted: its white, what is transparent, or strokes of any colour on
# transparency where there is some, else the white.
MaskBy = Literal["white", "alpha", "painted"]

# No TIFF: the dozen codecs of libtiff are much for strangers to try (ADR 0006).
_INPUT_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
_ORIENTATION = 0x0112
_Turn = Image.Transpose
# EXIF 2.3, 4.6.4: how the stored rows and columns lie; 1 is upright.
_TURNS = {
    2: _Turn.FLIP_LEFT_RIGHT,
    3: _Turn.ROTATE_180,
    4: _Turn.FLIP_TOP_BOTTOM,
    5: _Turn.TRANSPOSE,
    6: _Turn.ROTATE_270,
    7: _Turn.TRANSVERSE,
    8: _Turn.ROTATE_90,
}


def read_image(data: bytes, field: str = "image") -> Pixels:
    """A stranger's picture as RGB.

    The first frame, turned as EXIF says, transparent pixels on white, 16 bits cut to 8.
    Raises ``InvalidInput`` naming ``field`` for what is no picture, broken, or too large.
    """
    return np.asarray(load_image(data, field, []))


def read_mask(data: bytes, field: str = "mask", *, alpha: bool = False) -> Pixels:
    """A mask as uint8 (height, width), 255 where to repaint.

    White is repainted, transparent counts as black; with ``alpha`` the transparent is
    repainted instead, whatever its colour.
    """
    return np.asarray(load_mask(data, field, [], "alpha" if alpha else "white"))


def load_image(data: bytes, field: str, notes: list[str]) -> Image.Image:
    """The same as a Pillow image; ``notes`` gain what was left aside."""
    return _load(data, field, notes, lambda image: flatten(image, "white", "RGB"))


def load_layers(data: bytes, field: str, notes: list[str]) -> Image.Image:
    """A stranger's picture as RGBA, its transparency kept."""
    return _load(data, field, notes, layered)


def load_mask(data: bytes, field: str, notes: list[str], by: MaskBy) -> Image.Image:
    """``read_mask`` as a Pillow image; ``notes`` gain what was left aside."""
    if by == "alpha":
        return _load(data, field, notes, clear)
    if by == "painted" and marks(around := _load(data, field, [], clear)):
        return ImageOps.invert(around)
    return _load(data, field, notes, lambda image: flatten(image, "black", "L"))


def marks(grey: Image.Image) -> bool:
    """Whether any pixel of a mask is plainly marked; one that is all but opaque, say, is not."""
    return bool(grey.point([level >= EDGE for level in range(256)]).getbbox())


def open_header(data: bytes, field: str) -> Image.Image:
    """The header only; size limits are checked before a pixel is decoded."""
    try:
        image = Image.open(io.BytesIO(data), formats=_INPUT_FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InvalidInput(
            field, f"{field} has too many pixels; at most {PIXELS_MAX:,} are read"
        ) from error
    except MemoryError:
        raise
    except Exception as error:
        raise unreadable(field) from error
    _check_size(image.width, image.height, field)
    return image


def _load(
    data: bytes, field: str, notes: list[str], convert: Callable[[Image.Image], Image.Image]
) -> Image.Image:
    image = open_header(data, field)
    try:
        image.load()
        scale_key(image, data)
        return convert(_upright(image, field, notes))
    except MemoryError:
        raise
    except Exception as error:  # decoders raise anything on files made to break them
        if "out of memory" in str(error):  # so Pillow tells it of a decoder
            raise MemoryError(str(error)) from error
        raise unreadable(field, "is broken or cut off") from error


def _upright(image: Image.Image, field: str, notes: list[str]) -> Image.Image:
    """``image`` turned as its EXIF says; EXIF that cannot be read is left aside."""
    try:
        turn = image.getexif().get(_ORIENTATION)
    except MemoryError:
        raise
    except Exception:  # a picture is more than what a camera noted about it
        notes.append(f"{field}: its EXIF cannot be read and was left aside; it was not turned")
        return image
    method = _TURNS.get(turn) if isinstance(turn, int) else None
    return image if method is None else image.transpose(method)


def _check_size(width: int, height: int, field: str) -> None:
    if width * height > PIXELS_MAX:
        raise InvalidInput(
            field, f"{field} is {width}x{height}; at most {PIXELS_MAX:,} pixels are read"
        )
    if min(width, height) < SIDE_MIN or max(width, height) > SIDE_MAX:
        raise InvalidInput(
            field, f"{field} is {width}x{height}; each side must be {SIDE_MIN} to {SIDE_MAX} pixels"
        )
    if max(width, height) > RATIO_MAX * min(width, height):
        raise InvalidInput(
            field,
            f"{field} is {width}x{height}; one side may be at most {RATIO_MAX} times the other",
        )


def unreadable(field: str, why: str = "is not a picture this server reads") -> InvalidInput:
    """The error for what is no picture, or a broken one."""
    return InvalidInput(field, f"{field} {why}; send PNG, JPEG, WebP, GIF or BMP")

"""Bytes of pictures: encoding with metadata, reading it back, decoding what strangers send.

Pixels are RGB, uint8, (height, width, 3). Equal pixels and metadata give equal files.
Metadata is AUTOMATIC1111's ``parameters`` text and the receipt: as text chunks in PNG, in
EXIF's UserComment and MakerNote in JPEG and WebP.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, PngImagePlugin

from limner.domain.receipt import canonical, receipt_id
from limner.errors import InvalidInput

Pixels = npt.NDArray[np.uint8]
Format = Literal["jpeg", "png", "webp"]
MEDIA_TYPES: Mapping[Format, str] = {
    "jpeg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
}

SIDE_MIN, SIDE_MAX = 16, 8192
RATIO_MAX = 16
PIXELS_MAX = 40_000_000
JPEG_SEGMENT_BYTES_MAX = 65_533

_INPUT_FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
_EXIF_IFD, _USER_COMMENT, _MAKER_NOTE, _SOFTWARE = 0x8769, 0x9286, 0x927C, 0x0131
_MAKER = b"Limner\0\0"
_UNICODE = b"UNICODE\0"
_RECEIPT_CHUNK = "limner"


@dataclass(frozen=True)
class Metadata:
    """What a picture carries: the ``parameters`` text and the receipt.

    A receipt of the form ``{"id": "sha256:..."}`` stands for one that was too long.
    """

    parameters: str = ""
    receipt: Mapping[str, Any] | None = None


def encode(pixels: Pixels, format: Format, metadata: Metadata | None = None) -> bytes:
    """``pixels`` as a file of ``format``."""
    return {"jpeg": to_jpeg, "png": to_png, "webp": to_webp}[format](pixels, metadata)


def to_png(pixels: Pixels, metadata: Metadata | None = None) -> bytes:
    """Lossless; text chunks ``parameters`` and ``limner`` (tEXt, or iTXt beyond Latin-1)."""
    info = PngImagePlugin.PngInfo()
    if metadata and metadata.parameters:
        info.add_text("parameters", metadata.parameters)
    if metadata and metadata.receipt:
        info.add_text(_RECEIPT_CHUNK, canonical(metadata.receipt))
    return _save(pixels, "PNG", pnginfo=info, compress_level=6)


def to_jpeg(pixels: Pixels, metadata: Metadata | None = None) -> bytes:
    """Quality 95, full chroma; metadata that does not fit goes through ``fit_jpeg``."""
    exif = _exif(fit_jpeg(metadata)) if metadata else b""
    return _save(pixels, "JPEG", quality=95, subsampling=0, exif=exif)


def to_webp(pixels: Pixels, metadata: Metadata | None = None) -> bytes:
    """Lossy at quality 92, for small files; ask for PNG where every pixel counts."""
    return _save(pixels, "WEBP", quality=92, method=4, exif=_exif(metadata) if metadata else b"")


def fit_jpeg(metadata: Metadata) -> Metadata:
    """``metadata`` itself, or what is left when it exceeds the 64 KB of a JPEG segment.

    First the receipt is replaced by its id, then the ``parameters`` text is left out.
    """
    if len(_exif(metadata)) <= JPEG_SEGMENT_BYTES_MAX or metadata.receipt is None:
        return metadata
    shorter = replace(metadata, receipt={"id": receipt_id(metadata.receipt)})
    if len(_exif(shorter)) <= JPEG_SEGMENT_BYTES_MAX:
        return shorter
    return replace(shorter, parameters="")


def grid(pictures: Sequence[Pixels]) -> Pixels:
    """Pictures of one size side by side in a near-square grid; empty places are black."""
    columns = int(np.ceil(np.sqrt(len(pictures))))
    rows = -(-len(pictures) // columns)
    height, width, _ = pictures[0].shape
    sheet = np.zeros((rows * height, columns * width, 3), np.uint8)
    for index, picture in enumerate(pictures):
        top, left = index // columns * height, index % columns * width
        sheet[top : top + height, left : left + width] = picture
    return sheet


def sprite(pixels: Pixels, sprite_pixels: int | None) -> Pixels:
    """The small picture of which each pixel fills ``sprite_pixels`` x ``sprite_pixels`` here.

    Raises ``InvalidInput`` when the model paints none.
    """
    if sprite_pixels is None:
        raise InvalidInput(
            "sprite", "sprite: the loaded model paints no sprites; only the embedded one does"
        )
    middle = sprite_pixels // 2
    return np.ascontiguousarray(pixels[middle::sprite_pixels, middle::sprite_pixels])


def read_metadata(data: bytes) -> Metadata:
    """What ``to_png``, ``to_jpeg`` or ``to_webp`` wrote; empty for pictures of others."""
    image = _open(data, "image")
    try:
        text = dict(getattr(image, "text", {}))
        exif = image.getexif().get_ifd(_EXIF_IFD)
    except Exception as error:
        raise _unreadable("image") from error
    if image.format == "PNG":
        return Metadata(str(text.get("parameters", "")), _json(text.get(_RECEIPT_CHUNK, "")))
    comment, note = _bytes(exif.get(_USER_COMMENT)), _bytes(exif.get(_MAKER_NOTE))
    parameters = comment.removeprefix(_UNICODE).decode("utf-16-be", "replace")
    receipt = note.removeprefix(_MAKER).decode("utf-8", "replace")
    return Metadata(
        parameters if comment.startswith(_UNICODE) else "",
        _json(receipt) if note.startswith(_MAKER) else None,
    )


def read_image(data: bytes, field: str = "image") -> Pixels:
    """A stranger's picture as RGB.

    The first frame, turned as EXIF says, transparent pixels on white, 16 bits cut to 8.
    Raises ``InvalidInput`` naming ``field`` for what is no picture, broken, or too large.
    """

    def to_rgb(image: Image.Image) -> Image.Image:
        return (_on(image, "white") if image.has_transparency_data else image).convert("RGB")

    return _load(data, field, to_rgb)


def read_mask(data: bytes, field: str = "mask", *, alpha: bool = False) -> Pixels:
    """A mask as uint8 (height, width), 255 where to repaint.

    White is repainted, transparent counts as black; with ``alpha`` the transparent is
    repainted instead, whatever its colour.
    """

    def to_grey(image: Image.Image) -> Image.Image:
        if alpha:
            return ImageOps.invert(image.convert("RGBA").getchannel("A"))
        return (_on(image, "black") if image.has_transparency_data else image).convert("L")

    return _load(data, field, to_grey)


_DATA_URI = re.compile(r"data:([\w.+-]+/[\w.+-]+)?(;[\w.=+-]+)*;base64,", re.IGNORECASE)


def parse_base64(text: str, field: str = "image") -> bytes:
    """Bytes of bare base64 or of a ``data:`` URI; white space and missing padding are fine."""
    head = text[:200].lstrip()
    if head[:5].lower() == "data:":
        prefix = _DATA_URI.match(text.lstrip())
        if prefix is None:
            raise InvalidInput(
                field, f"{field}: a data URI must be of the form data:image/png;base64,..."
            )
        text = text.lstrip()[prefix.end() :]
    bare = "".join(text.split()).rstrip("=").translate(str.maketrans("-_", "+/"))
    if not bare:
        raise InvalidInput(field, f"{field} is empty; send a picture as base64 or a data URI")
    try:
        return base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidInput(
            field, f"{field} is no base64; send a picture as bare base64 or as a data URI"
        ) from error


def _save(pixels: Pixels, format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, format, **options)
    return buffer.getvalue()


def _exif(metadata: Metadata) -> bytes:
    exif = Image.Exif()
    exif[_SOFTWARE] = "limner"
    ifd = exif.get_ifd(_EXIF_IFD)
    if metadata.parameters:
        ifd[_USER_COMMENT] = _UNICODE + metadata.parameters.encode("utf-16-be")
    if metadata.receipt:
        ifd[_MAKER_NOTE] = _MAKER + canonical(metadata.receipt).encode()
    return exif.tobytes()


def _open(data: bytes, field: str) -> Image.Image:
    """The header only; size limits are checked before a pixel is decoded."""
    try:
        image = Image.open(io.BytesIO(data), formats=_INPUT_FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InvalidInput(
            field, f"{field} has too many pixels; at most {PIXELS_MAX:,} are read"
        ) from error
    except Exception as error:
        raise _unreadable(field) from error
    _check_size(image.width, image.height, field)
    return image


def _load(data: bytes, field: str, convert: Callable[[Image.Image], Image.Image]) -> Pixels:
    image = _open(data, field)
    try:
        image.load()
        image = ImageOps.exif_transpose(image)
        if image.mode.startswith("I"):
            deep = np.asarray(image, np.uint32) >> 8
            image = Image.fromarray(deep.clip(0, 255).astype(np.uint8))
        return np.asarray(convert(image))
    except Exception as error:  # decoders raise anything on files made to break them
        raise _unreadable(field, "is broken or cut off") from error


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


def _on(image: Image.Image, colour: str) -> Image.Image:
    ground = Image.new("RGBA", image.size, colour)
    return Image.alpha_composite(ground, image.convert("RGBA"))


def _unreadable(field: str, why: str = "is not a picture this server reads") -> InvalidInput:
    return InvalidInput(field, f"{field} {why}; send PNG, JPEG, WebP or GIF")


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else b""


def _json(text: object) -> Mapping[str, Any] | None:
    try:
        value = json.loads(str(text)) if text else None
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None

"""Pictures as files, with their metadata.

Pixels are RGB, uint8, (height, width, 3). Equal pixels and metadata give equal files.
Metadata is AUTOMATIC1111's ``parameters`` text and the receipt: as text chunks in PNG, in
EXIF's UserComment and MakerNote in JPEG and WebP.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, PngImagePlugin

from limner.domain.receipt import canonical, receipt_id
from limner.errors import InvalidInput

Pixels = npt.NDArray[np.uint8]
Format = Literal["jpeg", "png", "webp"]
MEDIA_TYPES: Mapping[Format, str] = {
    "jpeg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
}
JPEG_SEGMENT_BYTES_MAX = 65_533

SOFTWARE = "limner"
RECEIPT_CHUNK = "limner"
MAKER = b"Limner\0\0"
UNICODE = b"UNICODE\0"
EXIF_IFD, USER_COMMENT, MAKER_NOTE, SOFTWARE_TAG = 0x8769, 0x9286, 0x927C, 0x0131


@dataclass(frozen=True)
class Metadata:
    """What a picture carries: the ``parameters`` text and the receipt.

    A receipt of the form ``{"id": "sha256:..."}`` stands for one that was too long. ``notes`` are
    sentences about what could not be read.
    """

    parameters: str = ""
    receipt: Mapping[str, Any] | None = None
    notes: tuple[str, ...] = ()


def encode(pixels: Pixels, format: Format, metadata: Metadata | None = None) -> bytes:
    """``pixels`` as a file of ``format``."""
    return {"jpeg": to_jpeg, "png": to_png, "webp": to_webp}[format](pixels, metadata)


def to_png(pixels: Pixels, metadata: Metadata | None = None) -> bytes:
    """Lossless; text chunks ``parameters`` and ``limner`` (tEXt, or iTXt beyond Latin-1)."""
    info = PngImagePlugin.PngInfo()
    if metadata and metadata.parameters:
        info.add_text("parameters", metadata.parameters)
    if metadata and metadata.receipt:
        info.add_text(RECEIPT_CHUNK, canonical(metadata.receipt))
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


def shrunk(pixels: Pixels, side: int) -> Pixels:
    """The picture at most ``side`` pixels long and high, for a thumbnail; never larger than it is.

    A whole fraction of its size is averaged block by block, so that a sprite keeps its pixels;
    any other is resampled by Lanczos.
    """
    height, width, _ = pixels.shape
    longest = max(width, height)
    if longest <= side:
        return pixels
    size = (max(1, round(width * side / longest)), max(1, round(height * side / longest)))
    whole = width % size[0] == 0 and height % size[1] == 0
    how = Image.Resampling.BOX if whole else Image.Resampling.LANCZOS
    return np.asarray(Image.fromarray(pixels).resize(size, how))


def _save(pixels: Pixels, format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, format, **options)
    return buffer.getvalue()


def _exif(metadata: Metadata) -> bytes:
    exif = Image.Exif()
    exif[SOFTWARE_TAG] = SOFTWARE
    ifd = exif.get_ifd(EXIF_IFD)
    if metadata.parameters:
        ifd[USER_COMMENT] = UNICODE + metadata.parameters.encode("utf-16-be")
    if metadata.receipt:
        ifd[MAKER_NOTE] = MAKER + canonical(metadata.receipt).encode()
    return exif.tobytes()

"""Stored pictures as files of the format a caller asked for."""

from __future__ import annotations

from dataclasses import dataclass

from limner import imaging
from limner.domain.infotext.writing import parameters_text
from limner.usecases.drawing.orders import Outcome, StoredPicture

TOO_LONG = "the receipt is too long for a JPEG; its id stands in its place"


@dataclass(frozen=True)
class Encoded:
    """Encoded pictures of one size, and what has to be said about them."""

    data: tuple[bytes, ...]
    width: int
    height: int
    notes: tuple[str, ...]


def encode(
    outcome: Outcome,
    format: imaging.Format,
    *,
    metadata: bool = True,
    grid: bool = False,
    sprite_pixels: int | None = None,
) -> Encoded:
    """One file for each picture, or one for all with ``grid``.

    ``sprite_pixels`` gives the small pixels of which each fills so many here. Takes tens of
    milliseconds for each picture: call it off the event loop.
    """
    pictures = [imaging.read_image(picture.png) for picture in outcome.pictures]
    if sprite_pixels is not None:
        pictures = [imaging.sprite(pixels, sprite_pixels) for pixels in pictures]
    if grid:
        pictures = [imaging.grid(pictures)]
    described = [_describe(picture) if metadata else None for picture in outcome.pictures]
    data = tuple(
        imaging.encode(pixels, format, text)
        for pixels, text in zip(pictures, described, strict=False)
    )
    height, width, _ = pictures[0].shape
    cut = format == "jpeg" and any(
        text and imaging.fit_jpeg(text) is not text for text in described
    )
    return Encoded(data, width, height, (TOO_LONG,) if cut else ())


def first_passes(outcome: Outcome, format: imaging.Format, *, metadata: bool) -> list[bytes]:
    """A file for each first pass that was asked for; as slow."""
    return [encode_one(each, format, metadata=metadata) for each in outcome.first_passes]


def encode_one(
    picture: StoredPicture,
    format: imaging.Format,
    *,
    metadata: bool = True,
    sprite_pixels: int | None = None,
) -> bytes:
    """One picture's file; the other arguments as those of ``encode``, and as slow."""
    pixels = imaging.read_image(picture.png)
    if sprite_pixels is not None:
        pixels = imaging.sprite(pixels, sprite_pixels)
    return imaging.encode(pixels, format, _describe(picture) if metadata else None)


def thumbnail(picture: StoredPicture, format: imaging.Format, side: int) -> bytes:
    """A picture's file at most ``side`` pixels long and high, without metadata; as slow."""
    return imaging.encode(imaging.shrunk(imaging.read_image(picture.png), side), format)


def _describe(picture: StoredPicture) -> imaging.Metadata:
    return imaging.Metadata(parameters_text(picture.receipt), picture.receipt)

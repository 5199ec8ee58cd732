"""Bytes of pictures: encoding with metadata, reading it back, decoding what strangers send.

``pool`` decodes in processes of its own; the functions here do it where they are called.
"""

from limner.domain.params import SIDE_MAX
from limner.imaging.base64 import parse_base64
from limner.imaging.files import (
    MEDIA_TYPES,
    Format,
    Metadata,
    Pixels,
    encode,
    fit_jpeg,
    grid,
    shrunk,
    sprite,
    to_jpeg,
    to_png,
    to_webp,
)
from limner.imaging.metadata import read_metadata
from limner.imaging.reading import read_image, read_mask

CONTROL_BYTES_MAX = 3 * SIDE_MAX**2
"""Of a control's map."""

__all__ = [
    "CONTROL_BYTES_MAX",
    "MEDIA_TYPES",
    "Format",
    "Metadata",
    "Pixels",
    "encode",
    "fit_jpeg",
    "grid",
    "parse_base64",
    "read_image",
    "read_mask",
    "read_metadata",
    "shrunk",
    "sprite",
    "to_jpeg",
    "to_png",
    "to_webp",
]

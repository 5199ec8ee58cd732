"""What pictures carry beside their pixels, ours and those of other tools.

The ``parameters`` text is looked for in a PNG's text chunk, in EXIF's UserComment, and in a
GIF's or JPEG's comment, in this order.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from PIL import Image

from limner.imaging.files import (
    EXIF_IFD,
    MAKER,
    MAKER_NOTE,
    RECEIPT_CHUNK,
    SOFTWARE,
    SOFTWARE_TAG,
    UNICODE,
    USER_COMMENT,
    Metadata,
)
from limner.imaging.reading import open_header, unreadable

TEXT_MAX = 2**20  # characters that are read of any one text
_CODE = 8  # bytes before a UserComment's text that name its encoding (EXIF 2.3, 4.6.5)
_JIS = b"JIS\0\0\0\0\0"


def read_metadata(data: bytes, field: str = "image") -> Metadata:
    """What ``data`` says about how it was made; empty for pictures that say nothing.

    EXIF that cannot be read is left aside, and ``notes`` say so. Raises ``InvalidInput`` for what
    is no picture.
    """
    image = open_header(data, field)
    text, notes = _text_chunks(image, field), list[str]()
    exif = _exif(image, field, notes)
    comment = read_comment(exif.get(USER_COMMENT), ours=exif.get(SOFTWARE_TAG) == SOFTWARE)
    own = image.info.get("comment", b"")
    told = _decoded(own) if isinstance(own, bytes) else str(own)
    parameters = text.get("parameters") or comment or told
    receipt = _receipt(exif.get(MAKER_NOTE)) or text.get(RECEIPT_CHUNK, "")
    return Metadata(parameters[:TEXT_MAX], _json(receipt), tuple(notes))


def _receipt(note: object) -> str:
    if isinstance(note, bytes) and note.startswith(MAKER):
        return _decoded(note[len(MAKER) :])
    return ""


def read_comment(value: object, *, ours: bool = False) -> str:
    """The text of a UserComment: UTF-16 of either byte order, UTF-8, ASCII, or JIS.

    ``ours``: it was written by ``files``, and is big-endian.
    """
    if isinstance(value, str):
        return value
    if not isinstance(value, bytes):
        return ""
    code, text = value[:_CODE], value[_CODE:]
    if code == UNICODE:
        return _utf16(text, ours=ours)
    if code == _JIS:
        return text.decode("iso2022_jp", "replace")
    return _decoded(text if code[:5] == b"ASCII" or not any(code) else value)


def _utf16(text: bytes, *, ours: bool) -> str:
    """No byte order is agreed on: a mark tells it, or where the zeros of Latin letters lie."""
    if text[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return text.decode("utf-16", "replace")
    little = not ours and text[1::2].count(0) > text[::2].count(0)
    return text.decode("utf-16-le" if little else "utf-16-be", "replace")


def _decoded(text: bytes) -> str:
    return text.decode("utf-8", "replace").strip("\0")


def _text_chunks(image: Image.Image, field: str) -> dict[str, str]:
    """A PNG's texts; those after its pixels are found by reading them."""
    if image.format != "PNG":
        return {}
    try:
        text = dict(getattr(image, "text", {}))
    except MemoryError:
        raise
    except Exception as error:
        raise unreadable(field, "is broken or cut off") from error
    return {str(name): str(value) for name, value in text.items()}


def _exif(image: Image.Image, field: str, notes: list[str]) -> dict[int, Any]:
    try:
        exif = image.getexif()
        found = dict(exif.get_ifd(EXIF_IFD))
        return {SOFTWARE_TAG: exif.get(SOFTWARE_TAG), **found}
    except MemoryError:
        raise
    except Exception:  # whatever a tool wrote there
        notes.append(f"{field}: its EXIF cannot be read and was left aside")
        return {}


def _json(text: str) -> Mapping[str, Any] | None:
    if len(text) > TEXT_MAX:
        return None
    try:
        value = json.loads(text) if text else None
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None

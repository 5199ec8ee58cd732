"""Files that come as text: bare base64, or a ``data:`` URI."""

from __future__ import annotations

import base64
import binascii
import re

from limner.errors import InvalidInput

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

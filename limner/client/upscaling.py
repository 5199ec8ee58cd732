"""What is asked of the server to make a picture larger, and what it answers."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from limner.client.pictures import Larger
from limner.client.steps import Ask
from limner.client.words import Upscale, to_text


def ask(image: Any, wanted: Upscale) -> Ask:
    """The call for a picture in any form that ``to_text`` takes."""
    return Ask("POST", "/api/upscale", {"image": to_text(image), "base64": True, **wanted})


def made(told: Mapping[str, Any]) -> Larger:
    """What came of it."""
    record = told["upscale"]
    return Larger(
        width=record["width"],
        height=record["height"],
        adjustments=tuple(told["adjustments"]),
        png=base64.b64decode(told["image"]),
        record=record,
    )

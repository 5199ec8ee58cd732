"""The field ``loras``: which LoRAs a request is drawn with."""

from __future__ import annotations

from typing import Any

from limner.domain.loras import LORAS_MAX, STRENGTH_MAX, Lora
from limner.web.reading.fields import Number
from limner.web.reading.objects import NAMING, TIMING, Objects

_STRENGTH = Number(-STRENGTH_MAX, STRENGTH_MAX)


def _made(_field: str, given: dict[str, Any]) -> Lora:
    return Lora(**given)


LORAS = Objects(
    {**NAMING, "unet": _STRENGTH, "text_encoder": _STRENGTH, **TIMING}, LORAS_MAX, _made
)

"""The field ``loras``: which LoRAs a request is drawn with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from limner.domain.loras import LORAS_MAX, STRENGTH_MAX, Lora
from limner.domain.prompt import take_adapters
from limner.web.reading.fields import Number
from limner.web.reading.objects import NAMING, TIMING, Objects


def acting(values: Mapping[str, Any]) -> tuple[str, ...]:
    """Names or SHA-256s of those that a form's ``values`` draw with, tags of the prompt included.

    Those that are taken away are not among them.
    """
    tags = take_adapters(values.get("prompt") or "")[1]
    named = [(lora.name or lora.sha256, lora.unet) for lora in values.get("loras") or ()]
    named += [(tag.name, tag.unet) for tag in tags]
    return tuple(name for name, unet in named if unet > 0)[:LORAS_MAX]


_STRENGTH = Number(-STRENGTH_MAX, STRENGTH_MAX)


def _made(_field: str, given: dict[str, Any]) -> Lora:
    return Lora(**given)


LORAS = Objects(
    {**NAMING, "unet": _STRENGTH, "text_encoder": _STRENGTH, **TIMING}, LORAS_MAX, _made
)

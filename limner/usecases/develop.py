"""From pixels to a picture: its receipt, its metadata and its lossless file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from typing import Any

from limner import imaging
from limner.domain.model import ModelInfo
from limner.domain.params import Generation
from limner.domain.receipt import parameters_text, receipt
from limner.engine.batching.request import Drawn, Pixels

_NAMED = ("limner", "torch", "diffusers", "transformers")


@dataclass(frozen=True)
class Picture:
    """A finished picture: RGB uint8 (height, width, 3) and its receipt.

    ``sprite_pixels`` as in ``ModelInfo``.
    """

    index: int
    pixels: Pixels
    receipt: dict[str, Any]
    sprite_pixels: int | None = None

    @property
    def metadata(self) -> imaging.Metadata:
        """What the picture's file carries."""
        return imaging.Metadata(parameters_text(self.receipt), self.receipt)

    def encode(self, format: imaging.Format, *, embed: bool = True) -> bytes:
        """The file's bytes; ``embed`` False leaves the metadata out."""
        return imaging.encode(self.pixels, format, self.metadata if embed else None)

    def sprite(self) -> bytes:
        """The true small pixels as PNG. Raises ``InvalidInput`` for a model without sprites."""
        return imaging.to_png(imaging.sprite(self.pixels, self.sprite_pixels), self.metadata)


def develop(generation: Generation, drawn: Drawn, model: ModelInfo) -> Picture:
    """The ``Picture`` of one ``Drawn`` event of ``generation``."""
    record = receipt(
        generation.alone(drawn.index),
        drawn.facts,
        model,
        versions(),
        (generation.prompt, generation.negative_prompt),
        hashlib.sha256(drawn.pixels.tobytes()).hexdigest(),
    )
    return Picture(drawn.index, drawn.pixels, record, model.sprite_pixels)


@cache
def versions() -> dict[str, str]:
    """Versions of the software that draws, without importing it."""
    return {name: metadata.version(name) for name in _NAMED}

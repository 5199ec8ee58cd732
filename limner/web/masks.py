"""What the surfaces' masks mean, and that they ask for something before anybody pays."""

from __future__ import annotations

import numpy as np
from PIL import Image

from limner import imaging
from limner.domain.params import ResizeMode
from limner.engine.request import Pixels
from limner.errors import InvalidInput
from limner.imaging.fitting import fit_mask

EDGE = 128  # of 255: marked from here up, as the engine repaints


def marks(mask: Pixels) -> bool:
    """Whether any pixel is plainly marked; one that is all but opaque, say, is not."""
    return bool((mask >= EDGE).any())


def painted(data: bytes, field: str = "mask") -> Pixels:
    """255 where to repaint: strokes of any colour on transparency, else what is white."""
    clear = imaging.read_mask(data, field, alpha=True)
    return 255 - clear if marks(clear) else imaging.read_mask(data, field)


def check(mask: Pixels, width: int, height: int, mode: ResizeMode, field: str = "mask") -> None:
    """Raises ``InvalidInput`` for a mask (H, W) that repaints nothing at the size to draw.

    ``field`` made it: ``mask``, or what placed the picture on a canvas.
    """
    if marks(mask) and np.asarray(fit_mask(Image.fromarray(mask), width, height, mode)).any():
        return
    if field != "mask":
        raise InvalidInput(
            field, f"{field}: the picture fills the canvas; nothing is left to paint"
        )
    raise InvalidInput(
        field, f"mask repaints nothing: at {width}x{height} no pixel of it is marked for repainting"
    )

"""Pictures with transparency or more than 8 bits, as plain RGB or grey.

A picture is converted in bands, so that no second picture of its size and four channels is made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np
from PIL import Image, ImageOps

BAND = 256
_PNG, _DEPTH_AT = b"\x89PNG\r\n\x1a\n", 24


def flatten(image: Image.Image, ground: str, mode: Literal["RGB", "L"]) -> Image.Image:
    """``image`` as ``mode``, what is transparent laid on the colour ``ground``."""
    if not (image.has_transparency_data or _deep(image)):
        return image if image.mode == mode else image.convert(mode)

    def laid(band: Image.Image) -> Image.Image:
        layer = _rgba(band)
        return Image.alpha_composite(Image.new("RGBA", layer.size, ground), layer).convert(mode)

    return _in_bands(image, mode, laid)


def clear(image: Image.Image) -> Image.Image:
    """Grey: 255 where ``image`` is transparent, 0 where it is opaque."""
    return _in_bands(image, "L", lambda band: ImageOps.invert(_rgba(band).getchannel("A")))


def layered(image: Image.Image) -> Image.Image:
    """RGBA of 8 bits."""
    return _in_bands(image, "RGBA", _rgba)


def scale_key(image: Image.Image, data: bytes) -> None:
    """Bring the transparent colour of a PNG, told in its file's bits, to the bits it is read in.

    Pillow spreads grey of 2 and 4 bits over 0 to 255 and cuts colours of 16 bits to their high
    byte, but hands on the colour as it stands in the file.
    """
    key = image.info.get("transparency")
    if not data.startswith(_PNG) or key is None:
        return
    depth = data[_DEPTH_AT]
    if isinstance(key, int) and image.mode == "L" and depth in (2, 4):
        image.info["transparency"] = (key & (2**depth - 1)) * 255 // (2**depth - 1)
    elif isinstance(key, tuple) and depth == 16:
        image.info["transparency"] = tuple(part >> 8 for part in key)


def _rgba(band: Image.Image) -> Image.Image:
    return _deep_rgba(band) if _deep(band) else band.convert("RGBA")


def _deep(image: Image.Image) -> bool:
    return image.mode.startswith("I")


def _deep_rgba(band: Image.Image) -> Image.Image:
    """Grey of 16 bits cut to 8; the transparent level is compared before the cut."""
    levels, key = np.asarray(band, np.uint32), band.info.get("transparency")
    grey = Image.fromarray((levels >> 8).clip(0, 255).astype(np.uint8))
    if not isinstance(key, int):
        return grey.convert("RGBA")
    alpha = Image.fromarray(np.where(levels == key, np.uint8(0), np.uint8(255)))
    return Image.merge("RGBA", (grey, grey, grey, alpha))


def _in_bands(
    image: Image.Image, mode: str, convert: Callable[[Image.Image], Image.Image]
) -> Image.Image:
    made = Image.new(mode, image.size)
    for top, band in _bands(image):
        made.paste(convert(band), (0, top))
    return made


def _bands(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    for top in range(0, image.height, BAND):
        yield top, image.crop((0, top, image.width, min(top + BAND, image.height)))

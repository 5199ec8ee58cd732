"""A picture placed on a larger canvas, and the mask of what is to be painted round it."""

from __future__ import annotations

import numpy as np
from PIL import Image

from limner.errors import InvalidInput
from limner.imaging.files import Pixels


def place(
    picture: Pixels,
    *,
    width: int,
    height: int,
    scale: float,
    offset_x: int,
    offset_y: int,
    mask_expand: int,
) -> tuple[Pixels, Pixels]:
    """``picture`` scaled, with its top left corner at the offsets of a canvas; and its mask.

    Returns RGB (height, width, 3), whose empty part repeats the picture's edges, and the mask
    (height, width): 255 is painted, which reaches ``mask_expand`` pixels into the picture
    wherever it borders on the empty part. What leaves the canvas is cut. Raises
    ``InvalidInput`` when nothing of the picture would stay.
    """
    scaled = _scaled(picture, scale, width - offset_x, height - offset_y)
    if scaled is None:
        raise InvalidInput(
            "offset_x" if offset_x >= width else "offset_y",
            f"offset_x {offset_x} and offset_y {offset_y} leave nothing of the picture on the "
            f"canvas of {width}x{height}",
        )
    below, right = height - offset_y - scaled.shape[0], width - offset_x - scaled.shape[1]
    borders = (offset_y, below), (offset_x, right)
    kept = np.zeros(scaled.shape[:2], np.uint8)
    inner = tuple(
        slice(mask_expand if before else 0, size - mask_expand if after else size)
        for (before, after), size in zip(borders, scaled.shape, strict=False)
    )
    if any(part.stop <= part.start for part in inner):
        raise InvalidInput(
            "mask_expand",
            f"mask_expand is {mask_expand}, which leaves nothing of the picture: on the canvas it "
            f"is {scaled.shape[1]}x{scaled.shape[0]}",
        )
    kept[inner] = 255
    return np.pad(scaled, (*borders, (0, 0)), mode="edge"), 255 - np.pad(kept, borders)


def _scaled(picture: Pixels, scale: float, room_x: int, room_y: int) -> Pixels | None:
    """What is seen of the scaled picture in a room of so many pixels; None for nothing."""
    full_height, full_width = picture.shape[:2]
    width = min(max(1, round(full_width * scale)), room_x)
    height = min(max(1, round(full_height * scale)), room_y)
    if width <= 0 or height <= 0:
        return None
    seen = (0, 0, min(full_width, width / scale), min(full_height, height / scale))
    image = Image.fromarray(picture)
    return np.asarray(image.resize((width, height), Image.Resampling.LANCZOS, box=seen)).copy()

"""How a picture is given to a network that takes one: its place, size, order and numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from limner.engine.onnx.headers import Graph, Port

UNIT, OPEN = 224, 448
"""Where a file leaves the size open, sides are multiples of ``UNIT``, the shorter about ``OPEN``:
networks look at squares of 14, 16 or 32 pixels, and these fit all of them."""
SIDE_MAX = 2_048
GREY = 114
_FLOATS, _WHOLE = ("float32", "float16"), ("uint8", "int32")
# Of ImageNet's pictures, by which most networks were trained to see.
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

Pixels = npt.NDArray[np.uint8]
Array = npt.NDArray[Any]


def takes(graph: Graph) -> bool:
    """Whether it takes one RGB picture and nothing else, its colours first or last."""
    if len(graph.inputs) != 1 or graph.inputs[0].dtype not in (*_FLOATS, *_WHOLE):
        return False
    shape = graph.inputs[0].shape
    if len(shape) != 4 or shape[0] not in (1, None):
        return False
    return 3 in (shape[1], shape[3]) and all(s is None or s <= SIDE_MAX for s in _sides(shape))


def is_last(port: Port) -> bool:
    """Whether its colours come last."""
    return port.shape[1] != 3


def _sides(shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
    return shape[2:] if shape[1] == 3 else shape[1:3]


def size(port: Port, width: int, height: int) -> tuple[int, int]:
    """Width and height of what it is given of a picture of this size."""
    tall, wide = _sides(port.shape)
    shorter = min(width, height)
    free_wide, free_tall = (
        min(SIDE_MAX, max(UNIT, round(OPEN * side / shorter / UNIT) * UNIT))
        for side in (width, height)
    )
    return wide or free_wide, tall or free_tall


@dataclass(frozen=True)
class Placed:
    """A picture whole in a frame, in its own proportions, in the middle: where it lies there."""

    x: float
    y: float
    scale: float

    def back(self, x: float, y: float) -> tuple[float, float]:
        """The pixel of the picture at a place of the frame."""
        return (x - self.x) / self.scale, (y - self.y) / self.scale


def placed(pixels: Pixels, width: int, height: int) -> tuple[Pixels, Placed]:
    """A frame (height, width, 3) that holds the picture, and where; grey round it."""
    tall, wide = pixels.shape[:2]
    scale = min(width / wide, height / tall)
    inner = max(1, round(wide * scale)), max(1, round(tall * scale))
    left, top = (width - inner[0]) // 2, (height - inner[1]) // 2
    frame = np.full((height, width, 3), GREY, np.uint8)
    frame[top : top + inner[1], left : left + inner[0]] = resized(pixels, *inner)
    return frame, Placed(left, top, scale)


def resized(pixels: Pixels, width: int, height: int) -> Pixels:
    """By bicubic interpolation, whatever its proportions."""
    picture = Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(picture)


Numbers = Callable[[Pixels], Array]


def plain(pixels: Pixels) -> Array:
    """From 0 to 255."""
    return pixels.astype(np.float32)


def shares(pixels: Pixels) -> Array:
    """From 0 to 1."""
    return pixels.astype(np.float32) / 255


def standard(pixels: Pixels) -> Array:
    """Less ImageNet's mean, by its deviation."""
    made: Array = (shares(pixels) - np.array(MEAN, "f4")) / np.array(DEVIATION, "f4")
    return made


def given(port: Port, pixels: Pixels, numbers: Numbers) -> Array:
    """The array for an input; one of whole numbers is always given those from 0 to 255."""
    made = pixels if port.dtype in _WHOLE else numbers(pixels)
    ordered = made if is_last(port) else made.transpose(2, 0, 1)
    return np.ascontiguousarray(ordered[None].astype(port.dtype))

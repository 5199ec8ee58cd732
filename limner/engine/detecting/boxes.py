"""What a detector says of a picture: numbers into boxes, and of many boxes a few.

The picture is letterboxed as YOLO's are: as large as fits, in the middle, grey around it. What
comes out is one of two: of YOLOv8's family (1, 4 + classes, N), middle, width and height of N boxes
in pixels of what it was given, and how sure it is of each class; or with the overlapping ones left
out already (1, N, 6), the corners, how sure, and which class.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from limner.engine.batching.ticket import Pixels
from limner.errors import CheckpointError

Floats = npt.NDArray[np.floating]
OVERLAP_MAX = 0.45
"""Share of what two boxes cover that both do, from which on they are one object."""
CANDIDATES_MAX = 1_000
_GREY = 114


@dataclass(frozen=True)
class Box:
    """``corners``: left, top, right and bottom in shares of the picture. ``kind``: the class."""

    corners: tuple[float, float, float, float]
    kind: int
    score: float


@dataclass(frozen=True)
class Letterbox:
    """Where a picture of ``width`` x ``height`` lies in one of ``side`` (height, width)."""

    width: int
    height: int
    side: tuple[int, int]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the picture there."""
        scale = min(self.side[1] / self.width, self.side[0] / self.height)
        return max(1, round(self.width * scale)), max(1, round(self.height * scale))

    @property
    def begins(self) -> tuple[int, int]:
        """Its left and top there."""
        width, height = self.size
        return (self.side[1] - width) // 2, (self.side[0] - height) // 2

    def given(self, pixels: Pixels) -> Floats:
        """(1, 3, height, width) of 0 to 1, of RGB ``pixels`` (h, w, 3)."""
        width, height = self.size
        left, top = self.begins
        made = Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR)
        whole = np.full((*self.side, 3), _GREY, np.uint8)
        whole[top : top + height, left : left + width] = np.asarray(made)
        return np.divide(whole.transpose(2, 0, 1)[None], 255, dtype=np.float32)

    def shares(self, corners: Floats) -> Floats:
        """Corners (n, 4) there in shares of the picture, none of them outside."""
        size, begins = np.tile(self.size, 2), np.tile(self.begins, 2)
        made: Floats = np.clip((corners - begins) / size, 0, 1)
        return made


Rows = tuple[Floats, Floats, npt.NDArray[np.int64]]


def read(made: Floats, masks: int = 0) -> Rows:
    """Corners (n, 4) in pixels of what the network was given, scores (n,) and classes (n,).

    ``masks``: rows behind the classes that are of masks. Raises ``CheckpointError`` for an array
    that is neither of the two forms.
    """
    if made.ndim == 3 and made.shape[0] == 1 and made.shape[2] == 6 and not masks:
        rows = made[0].astype(np.float64)
        return rows[:, :4], rows[:, 4], rows[:, 5].astype(np.int64)
    if made.ndim != 3 or made.shape[0] != 1 or made.shape[1] <= 4 + masks:
        raise CheckpointError(
            f"gives an array of {'x'.join(map(str, made.shape))}; a detector gives "
            "1 x (4 + classes) x boxes, or 1 x boxes x 6"
        )
    rows = made[0].T.astype(np.float64)
    scores = rows[:, 4 : rows.shape[1] - masks]
    middle, half = rows[:, :2], rows[:, 2:4] / 2
    return np.hstack([middle - half, middle + half]), scores.max(1), scores.argmax(1)


def chosen(found: list[Box], most: int) -> list[Box]:
    """The surest, none of which overlaps a surer one by more than ``OVERLAP_MAX``, whatever they
    show. Equally sure ones go from left to right, then downwards."""
    kept: list[Box] = []
    ordered = sorted(found, key=lambda box: (-box.score, box.corners, box.kind))
    for box in ordered[:CANDIDATES_MAX]:
        if len(kept) == most:
            break
        if all(overlap(box, other) <= OVERLAP_MAX for other in kept):
            kept.append(box)
    return kept


def overlap(one: Box, other: Box) -> float:
    """What both cover as a share of what they cover together; 0 where they are nothing."""
    left, top = np.maximum(one.corners[:2], other.corners[:2])
    right, bottom = np.minimum(one.corners[2:], other.corners[2:])
    both = max(0.0, right - left) * max(0.0, bottom - top)
    together = _area(one) + _area(other) - both
    return float(both / together) if together > 0 else 0.0


def _area(box: Box) -> float:
    left, top, right, bottom = box.corners
    return (right - left) * (bottom - top)

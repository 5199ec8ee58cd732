"""Poses drawn from keypoints, as ControlNets that follow OpenPose were trained on them.

Eighteen points of a body in the order of OpenPose's COCO model: nose, neck, right shoulder, elbow
and wrist, left shoulder, elbow and wrist, right hip, knee and ankle, left hip, knee and ankle,
right eye, left eye, right ear, left ear (Cao et al. 2017).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from limner.imaging.files import Pixels

POINTS = 18
PEOPLE_MAX = 20

Point = tuple[float, float] | None
Person = Sequence[Point]

# Which points a limb joins; limb i and point i have colour i.
LIMBS: Sequence[tuple[int, int]] = (
    (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12),
    (12, 13), (1, 0), (0, 14), (14, 16), (0, 15), (15, 17),
)  # fmt: skip
_LIMB_SHARE = 0.6  # of its colour; points have all of theirs
_WIDTH = 4  # of a limb's half and a point's radius, in pixels at 512
_CORNERS = 24


def colour(number: int) -> tuple[int, int, int]:
    """Of eighteen round the circle of hues, from red on."""
    sector, step = divmod(number * 6 / POINTS, 1)
    up, down = round(255 * step), round(255 * (1 - step))
    return (
        (255, up, 0), (down, 255, 0), (0, 255, up), (0, down, 255), (up, 0, 255), (255, 0, down),
    )[int(sector)]  # fmt: skip


def draw(people: Sequence[Person], width: int, height: int) -> Pixels:
    """RGB (height, width, 3): people's points, in pixels, on black; None is not seen."""
    canvas = Image.new("RGB", (width, height))
    radius = max(1.0, _WIDTH * min(width, height) / 512)
    pen = ImageDraw.Draw(canvas)
    for person in people:
        for number, (a, b) in enumerate(LIMBS):
            start, end = person[a], person[b]
            if start is not None and end is not None:
                shade = tuple(round(_LIMB_SHARE * level) for level in colour(number))
                pen.polygon(_ellipse(start, end, radius), fill=shade)
    for person in people:
        for number, point in enumerate(person):
            if point is not None:
                x, y = point
                box = (x - radius, y - radius, x + radius, y + radius)
                pen.ellipse(box, fill=colour(number))
    return np.asarray(canvas)


def _ellipse(
    start: tuple[float, float], end: tuple[float, float], radius: float
) -> list[tuple[float, float]]:
    """The corners of one whose long axis goes from ``start`` to ``end``."""
    (x, y), half = ((a + b) / 2 for a, b in zip(start, end, strict=True)), math.dist(start, end) / 2
    turn = math.atan2(end[1] - start[1], end[0] - start[0])
    corners = []
    for step in range(_CORNERS):
        angle = 2 * math.pi * step / _CORNERS
        along, across = half * math.cos(angle), radius * math.sin(angle)
        corners.append(
            (
                x + along * math.cos(turn) - across * math.sin(turn),
                y + along * math.sin(turn) + across * math.cos(turn),
            )
        )
    return corners

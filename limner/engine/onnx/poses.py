"""Networks that find people's joints, told by the shapes of what they give.

Each is a row of ``FORMS``: YOLO's and MoveNet's see several people or one, those of crops (RTMPose,
DWPose, ViTPose, HRNet) one person, for whom they take the whole picture.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from limner.engine.onnx import pictures
from limner.engine.onnx.files import Session
from limner.engine.onnx.headers import Graph
from limner.engine.onnx.pictures import Array, Numbers, Pixels
from limner.errors import CheckpointError

PEOPLE_MAX = 20
OVERLAP = 0.5  # of two boxes, from which on the surer one stands for both
_COCO = 17  # points: nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles; left first
_CROPPED = (_COCO, 26, 133)  # COCO's, and those of sets that begin with them
_BODY = (18, 19)  # in OpenPose's own order, with the background behind
# OpenPose's points by COCO's; the neck, None, is the middle of the shoulders.
_FROM_COCO = (0, None, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3)
_LEFT, _RIGHT = 5, 6  # shoulders

Sides = tuple[int | None, ...]
Person = Array  # (points, 3): x and y in pixels of what was given, and how sure it is
Point = tuple[float, float] | None


@dataclass(frozen=True)
class Form:
    """``fits`` its outputs' shapes; ``read`` gives people of outputs and the size (w, h) given."""

    fits: Callable[[Sequence[Sides]], bool]
    read: Callable[[Sequence[Array], int, int], list[Person]]
    numbers: Numbers


def form_of(graph: Graph) -> Form | None:
    """How to read what it gives; None where it finds no people."""
    task = graph.metadata.get("task", "pose")
    if task != "pose" or not pictures.takes(graph):
        return None
    shapes = [port.shape for port in graph.outputs]
    if any(not shape or shape[0] not in (1, None) for shape in shapes):
        return None
    return next((form for form in FORMS.values() if form.fits(shapes)), None)


def found(session: Session, pixels: Pixels, threshold: float) -> list[list[Point]]:
    """People in OpenPose's points (``imaging.preprocessing.pose``), in pixels of the picture.

    What is less sure than ``threshold`` is not seen. Raises ``CheckpointError`` where it does not
    run, or gives something else than its file says.
    """
    port = session.inputs[0]
    form = form_of(session.graph)
    assert form is not None, "asked before"
    height, width = pixels.shape[:2]
    frame, place = pictures.placed(pixels, *pictures.size(port, width, height))
    made = session.run({port.name: pictures.given(port, frame, form.numbers)})
    try:
        people = form.read([each.astype(np.float64) for each in made], *frame.shape[1::-1])
    except (IndexError, ValueError) as error:
        raise CheckpointError(f"{session.path.name} gives other shapes than it says.") from error
    seen = [_points(person, threshold) for person in people]
    drawn = [[p and place.back(*p) for p in person] for person in seen if any(person)]
    return drawn[:PEOPLE_MAX]


def _points(person: Person, threshold: float) -> list[Point]:
    sure = [(float(x), float(y)) if score >= threshold else None for x, y, score in person]
    if len(person) in _BODY:
        return sure[:18]
    left, right = sure[_LEFT], sure[_RIGHT]
    neck = left and right and ((left[0] + right[0]) / 2, (left[1] + right[1]) / 2)
    return [neck if at is None else sure[at] for at in _FROM_COCO]


def _yolo(outputs: Sequence[Array], _width: int, _height: int) -> list[Person]:
    """1 x 56 x boxes: middle, size, score, then 17 points; overlapping boxes are one person."""
    rows = outputs[0][0].T
    x, y, wide, tall, scores = rows[:, :5].T
    boxes = np.stack([x - wide / 2, y - tall / 2, x + wide / 2, y + tall / 2], 1)
    kept: list[int] = []
    for at in np.argsort(-scores, kind="stable")[:1000]:
        if scores[at] < 0.25 or len(kept) == PEOPLE_MAX:
            break
        if all(_overlap(boxes[at], boxes[other]) < OVERLAP for other in kept):
            kept.append(int(at))
    return [rows[at, 5:].reshape(_COCO, 3) for at in kept]


def _overlap(a: Array, b: Array) -> float:
    """The area that two boxes (x1, y1, x2, y2) share, of what they cover together."""
    wide, tall = np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0)
    both = sum(float((box[2] - box[0]) * (box[3] - box[1])) for box in (a, b))
    shared = float(wide * tall)
    return shared / max(both - shared, 1e-9)


def _yolo_sorted(outputs: Sequence[Array], _width: int, _height: int) -> list[Person]:
    """1 x people x 57: corners, score, class, then 17 points."""
    rows = outputs[0][0]
    return [row[6:].reshape(_COCO, 3) for row in rows if row[4] >= 0.25]


def _movenet(outputs: Sequence[Array], width: int, height: int) -> list[Person]:
    """1 x 1 x 17 x 3: y, x, score, as shares."""
    return [_turned(outputs[0][0, 0], width, height)]


def _movenet_several(outputs: Sequence[Array], width: int, height: int) -> list[Person]:
    """1 x 6 x 56: 17 points as before, a box, and how sure there is somebody."""
    rows = [row for row in outputs[0][0] if row[55] >= 0.25]
    return [_turned(row[: 3 * _COCO].reshape(_COCO, 3), width, height) for row in rows]


def _turned(points: Array, width: int, height: int) -> Person:
    return points[:, (1, 0, 2)] * (width, height, 1)


def _simcc(outputs: Sequence[Array], width: int, height: int) -> list[Person]:
    """1 x points x columns and 1 x points x rows, in parts of a pixel: where each is highest."""
    across, down = outputs[0][0], outputs[1][0]
    x, y = across.argmax(1) * width / across.shape[1], down.argmax(1) * height / down.shape[1]
    return [np.stack([x, y, np.minimum(across.max(1), down.max(1))], 1)]


def _heat(outputs: Sequence[Array], width: int, height: int) -> list[Person]:
    """1 x points x rows x columns: where each is hottest."""
    planes = outputs[0][0]
    points, rows, columns = planes.shape
    flat = planes.reshape(points, -1)
    y, x = np.divmod(flat.argmax(1), columns)
    return [np.stack([(x + 0.5) * width / columns, (y + 0.5) * height / rows, flat.max(1)], 1)]


def _is(*sides: int) -> Callable[[Sequence[Sides]], bool]:
    """Whether the first output has these sides behind its first; -1 for any."""

    def fits(shapes: Sequence[Sides]) -> bool:
        inner = shapes[0][1:]
        return len(inner) == len(sides) and all(
            wanted in (-1, side) for wanted, side in zip(sides, inner, strict=True)
        )

    return fits


def _are_simcc(shapes: Sequence[Sides]) -> bool:
    if len(shapes) != 2 or any(len(shape) != 3 for shape in shapes):
        return False
    return shapes[0][1] in _CROPPED and shapes[0][1] == shapes[1][1]


def _are_heat(shapes: Sequence[Sides]) -> bool:
    return len(shapes[0]) == 4 and shapes[0][1] in (*_CROPPED, *_BODY)


FORMS: Mapping[str, Form] = {
    "MoveNet": Form(_is(1, _COCO, 3), _movenet, pictures.plain),
    "MoveNet of several": Form(_is(6, 56), _movenet_several, pictures.plain),
    "YOLO": Form(_is(56, -1), _yolo, pictures.shares),
    "YOLO, sorted": Form(_is(-1, 57), _yolo_sorted, pictures.shares),
    "SimCC": Form(_are_simcc, _simcc, pictures.standard),
    "heat": Form(_are_heat, _heat, pictures.standard),
}

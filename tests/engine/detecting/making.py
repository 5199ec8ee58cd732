"""Small detectors: networks that find blocks of pure red, green and blue.

They look at squares of 8 pixels: the mean of a colour in one, less that of the other two, is how
sure they are of its class. So what they must find in a picture is known without running them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from tests.engine.onnx import made

CELL = 8
NAMES = {"names": "{0: 'red', 1: 'green', 2: 'blue'}"}
# Of each class one colour less the others.
_WEIGHTS = (2 * np.eye(3, dtype=np.float32) - 1).reshape(3, 3, 1, 1)


def yolo(path: Path, side: int = 64, *, masks: bool = False, half: bool = False) -> str:
    """A file whose output is 1 x 7 x cells, as YOLOv8 has it; its SHA-256.

    ``masks``: two more rows, of masks, and the masks' output.
    """
    cells = (side // CELL) ** 2
    rows = 7 + 2 * masks
    nodes, weights = _scores(side)
    weights |= {"places": _places(side).T[None], "more": np.zeros((1, 2, cells), np.float32)}
    joined = ["places", "flat", "more"][: 2 + masks]
    nodes.append(helper.make_node("Concat", joined, ["output0"], axis=1))
    outputs: dict[str, Sequence[int]] = {"output0": [1, rows, cells]}
    if masks:
        nodes.append(helper.make_node("Conv", ["x", "protos"], ["output1"], strides=[CELL, CELL]))
        weights["protos"] = np.ones((2, 3, CELL, CELL), np.float32)
        outputs["output1"] = [1, 2, side // CELL, side // CELL]
    return _written(path, nodes, side, outputs, weights, half=half)


def end_to_end(path: Path, side: int = 64) -> str:
    """A file whose output is 1 x cells x 6: corners, how sure, which class; its SHA-256."""
    cells = (side // CELL) ** 2
    middle = _places(side)
    corners = np.hstack([middle[:, :2] - middle[:, 2:] / 2, middle[:, :2] + middle[:, 2:] / 2])
    nodes, weights = _scores(side)
    weights |= {"corners": corners[None].astype(np.float32)}
    nodes += [
        helper.make_node("ReduceMax", ["flat"], ["sure"], axes=[1], keepdims=1),
        helper.make_node("ArgMax", ["flat"], ["which"], axis=1, keepdims=1),
        helper.make_node("Cast", ["which"], ["kind"], to=TensorProto.FLOAT),
        helper.make_node("Concat", ["sure", "kind"], ["both"], axis=1),
        helper.make_node("Transpose", ["both"], ["last"], perm=[0, 2, 1]),
        helper.make_node("Concat", ["corners", "last"], ["output0"], axis=2),
    ]
    return _written(path, nodes, side, {"output0": [1, cells, 6]}, weights)


def _scores(side: int) -> tuple[list[Any], dict[str, Any]]:
    cells = (side // CELL) ** 2
    pooled = {"kernel_shape": [CELL, CELL], "strides": [CELL, CELL]}
    nodes = [
        helper.make_node("Conv", ["x", "colours"], ["pure"]),
        helper.make_node("AveragePool", ["pure"], ["mean"], **pooled),
        helper.make_node("Reshape", ["mean", "shape"], ["flat"]),
    ]
    return nodes, {"colours": _WEIGHTS, "shape": np.int64([1, 3, cells])}


def _places(side: int) -> Any:
    """Middle, width and height of each cell, row by row, in pixels: (cells, 4)."""
    at = np.arange(side // CELL, dtype=np.float32) * CELL + CELL / 2
    y, x = np.meshgrid(at, at, indexing="ij")
    size = np.full_like(x, CELL)
    return np.stack([x, y, size, size], axis=-1).reshape(-1, 4)


def _written(
    path: Path,
    nodes: list[Any],
    side: int,
    outputs: Mapping[str, Sequence[int]],
    weights: dict[str, Any],
    *,
    half: bool = False,
) -> str:
    dtype = TensorProto.FLOAT16 if half else TensorProto.FLOAT
    taken = "images"
    first = helper.make_node("Cast", [taken], ["x"], to=TensorProto.FLOAT)
    made.saved(
        path, [first, *nodes], {taken: [1, 3, side, side]}, outputs, weights, NAMES, dtype
    )  # fmt: skip
    return hashlib.sha256(path.read_bytes()).hexdigest()

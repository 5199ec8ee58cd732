"""What an ONNX file is, told by the shapes of what it takes and gives."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

from limner.engine.checkpoints.digests import sha256
from limner.engine.checkpoints.inspection import DESCRIPTIONS
from limner.engine.onnx import depths, headers, poses
from limner.engine.onnx.headers import Graph, Port

SUFFIX = ".onnx"
_CLASSES_SHOWN = 20


def kind_of(graph: Graph) -> str:
    """A key of ``inspection.DESCRIPTIONS``: ``onnx`` of what is none of the rest."""
    if poses.form_of(graph) is not None:
        return "pose"
    if depths.is_one(graph):
        return "depth"
    return "detector" if takes_picture(graph) and _gives_boxes(graph) else "onnx"


def takes_picture(graph: Graph) -> bool:
    """Whether it takes an RGB picture, 1 x 3 x height x width, and nothing else."""
    if len(graph.inputs) != 1 or graph.inputs[0].dtype not in ("float32", "float16"):
        return False
    shape = graph.inputs[0].shape
    return len(shape) == 4 and shape[0] in (1, None) and shape[1] in (3, None)


def _gives_boxes(graph: Graph) -> bool:
    """1 x boxes x 6, or 1 x (4 + classes) x boxes: not a picture as large as the one it takes."""
    shape, taken = graph.outputs[0].shape, graph.inputs[0].shape
    if len(shape) != 3 or shape[0] not in (1, None):
        return False
    rows, columns = shape[1:]
    if columns == 6:
        return True
    return rows is not None and rows > 4 and (rows, columns) != taken[2:] and rows != columns


def classes(graph: Graph) -> str:
    """What its classes are called by their number, as Ultralytics writes it; empty: unknown."""
    try:
        names = dict(ast.literal_eval(graph.metadata.get("names", "{}")))
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return ""
    told = [f"{number} {str(name)[:40]}" for number, name in list(names.items())[:_CLASSES_SHOWN]]
    more = f" and {len(names) - len(told)} more" if len(names) > len(told) else ""
    return ", ".join(told) + more


def facts(path: Path) -> dict[str, Any]:
    """What is known of a file, for people: plain JSON types. Raises ``CheckpointError``."""
    graph = headers.read(path)
    kind = kind_of(graph)
    return {
        "path": str(path),
        "kind": kind,
        "description": DESCRIPTIONS[kind],
        "bytes": path.stat().st_size,
        "sha256": sha256(path),
        "inputs": ", ".join(map(_shape, graph.inputs)),
        "outputs": ", ".join(map(_shape, graph.outputs)),
        "classes": classes(graph) or None,
    }


def _shape(port: Port) -> str:
    sides = "x".join("any" if side is None else str(side) for side in port.shape)
    return f"{port.name} {port.dtype} {sides}"

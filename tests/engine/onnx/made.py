"""Small ONNX files, made by the onnx package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Shape = Sequence[int | str]


def saved(
    path: Path,
    nodes: Sequence[Any],
    inputs: Mapping[str, Shape],
    outputs: Mapping[str, Shape],
    weights: Mapping[str, Any] = {},
    metadata: Mapping[str, str] = {},
    dtype: int = TensorProto.FLOAT,
) -> Path:
    """A file of these nodes; inputs are of ``dtype``, outputs of float32."""
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info(name, dtype, shape) for name, shape in inputs.items()],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in outputs.items()
        ],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    helper.set_model_props(model, dict(metadata))
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path


def doubled(path: Path) -> Path:
    """A network that gives twice what it takes, (any, 3)."""
    node = helper.make_node("Mul", ["x", "two"], ["y"])
    weights = {"two": np.float32([2])}
    return saved(path, [node], {"x": ["n", 3]}, {"y": ["n", 3]}, weights, {"author": "Ann"})

"""ONNX files of the operator's own, opened to be run on the processor.

onnxruntime runs them, the extra ``onnx``: no network is Limner's. Nothing in a file is a program,
but it may say how much memory to take; so it is opened with bounds and tried by who uses it.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from limner.engine.checkpoints.headers import stamp
from limner.engine.onnx import headers
from limner.engine.onnx.headers import Graph, Port
from limner.errors import CheckpointError

THREADS = 2
"""Of the processor, for one network: the rest draws."""
MISSING = (
    "ONNX files are run with onnxruntime, which cannot be imported here; "
    "install it: pip install 'limner[onnx]'"
)
_ERROR_CHARS = 200

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Session:
    """A network that is in memory, for any thread. ``bytes``: of its file."""

    path: Path
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    metadata: Mapping[str, str]
    bytes: int
    _network: Any = field(repr=False)

    @property
    def graph(self) -> Graph:
        """What its file said when it was opened."""
        return Graph(self.path, self.inputs, self.outputs, self.metadata, "")

    def run(self, given: Mapping[str, Array]) -> list[Array]:
        """The outputs, in their order, for an array by the name of each input.

        An array must have the input's type. Blocks, without Python's lock.

        Raises:
            CheckpointError: it does not run with arrays of these shapes, or gives something that
                is no tensor or not finite.
        """
        try:
            made = self._network.run([each.name for each in self.outputs], dict(given))
        except Exception as error:  # onnxruntime has a class for each of its codes, and no base
            raise CheckpointError(f"{self.path.name} does not run: {_short(error)}.") from error
        return [_finite(self.path, each) for each in made]


def opened(path: Path) -> Session:
    """The network in the file at ``path``, on the processor.

    Raises:
        CheckpointError: onnxruntime is not installed, or the file is gone, damaged, changed while
            it was read, has its weights elsewhere or needs operators that onnxruntime has not.
    """
    runtime = _runtime()
    graph = headers.read(path)
    try:
        content = path.read_bytes()
        options = _options(runtime)
        network = runtime.InferenceSession(
            content, sess_options=options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:
        raise CheckpointError(f"{path.name} cannot be opened: {_short(error)}.") from error
    if stamp(path) != graph.stamp:
        raise CheckpointError(f"{path.name} changed while it was read; try again.")
    return Session(path, graph.inputs, graph.outputs, graph.metadata, len(content), network)


def available() -> bool:
    """Whether there is an onnxruntime."""
    try:
        _runtime()
    except CheckpointError:
        return False
    return True


@lru_cache(maxsize=1)
def _runtime() -> Any:
    try:
        return importlib.import_module("onnxruntime")
    except ImportError as error:
        raise CheckpointError(f"{MISSING} ({error}).") from error


def _options(runtime: Any) -> Any:
    """Few threads that sleep where there is nothing to do, and the same bits every time."""
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = THREADS, 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.enable_cpu_mem_arena = False  # it would keep the memory of the largest picture
    options.use_deterministic_compute = True
    options.log_severity_level = 4
    return options


def _finite(path: Path, made: Any) -> Array:
    if not isinstance(made, np.ndarray):
        raise CheckpointError(f"{path.name} gives something that is no tensor.")
    if made.dtype.kind == "f" and not np.isfinite(made).all():
        raise CheckpointError(f"{path.name} gives numbers that are not finite.")
    return made


def _short(error: Exception) -> str:
    """The first line of what onnxruntime says, without its code and full stop."""
    lines: Sequence[str] = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].split(" : ")[-1].strip().rstrip(".")[:_ERROR_CHARS]

"""The bytes of a tensor out of its file, without PyTorch.

They are read, not mapped: a mapped file that is cut short by somebody ends the process.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from limner.engine.checkpoints.headers import SIZES, TensorInfo
from limner.errors import CheckpointError

_NUMPY = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4"}


def read(info: TensorInfo) -> npt.NDArray[np.uint8]:
    """The bytes that it spans in its file.

    Raises:
        CheckpointError: the file is gone or too short.
    """
    buffer = np.empty(info.span * SIZES[info.dtype], dtype=np.uint8)
    done = 0
    try:
        with info.file.open("rb", buffering=0) as file:
            file.seek(info.offset)
            while done < len(buffer) and (count := file.readinto(buffer[done:].data)):
                done += count
    except OSError as error:
        raise CheckpointError(f"{info.file} vanished or failed while it was read.") from error
    if done < len(buffer):
        raise CheckpointError(f"{info.file.name} was cut short while it was read.")
    return buffer


def floats(info: TensorInfo) -> npt.NDArray[np.float64] | None:
    """A small tensor's numbers; None where they are of another type or lie apart."""
    if info.dtype not in _NUMPY or info.strides is not None:
        return None
    found = read(info).view(_NUMPY[info.dtype]).reshape(info.shape)
    if info.dtype == "BF16":  # the upper half of a float32
        return (found.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    return found.astype(np.float64)

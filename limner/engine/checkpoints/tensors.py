"""The numbers of a tensor out of its file, and tensors into a new ``.safetensors``."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch

from limner.engine.checkpoints import raw
from limner.engine.checkpoints.headers import FLOATS, SIZES, Header, TensorInfo
from limner.errors import CheckpointError

_WHOLE = {
    "I64": "int64", "I32": "int32", "I16": "int16", "I8": "int8", "BOOL": "bool", "U8": "uint8",
    "U16": "uint16", "U32": "uint32", "U64": "uint64", "C64": "complex64", "C128": "complex128",
}  # fmt: skip
DTYPES: Mapping[str, torch.dtype] = {
    name: getattr(torch, kind) for name, kind in {**FLOATS, **_WHOLE}.items()
}


def read(info: TensorInfo) -> torch.Tensor:
    """The tensor in its own number type, on the CPU; a scaled one as float32.

    Raises:
        CheckpointError: the file is gone or too short, or its number type is unknown.
    """
    dtype = DTYPES.get(info.dtype)
    if dtype is None:
        raise CheckpointError(f"{info.file.name}: {info.name!r} is stored as {info.dtype}.")
    if not info.count:
        return torch.empty(info.shape, dtype=dtype)
    numbers = torch.from_numpy(raw.read(info)).view(dtype)
    found = numbers if info.strides is None else numbers.as_strided(info.shape, info.strides)
    found = found.reshape(info.shape)
    return found if info.scale is None else found.float() * _fitting(read(info.scale), found.ndim)


def _fitting(scale: torch.Tensor, ndim: int) -> torch.Tensor:
    """One scale for the tensor, or one for each of its rows."""
    return scale.float() if scale.numel() == 1 else scale.float().reshape(-1, *[1] * (ndim - 1))


def is_finite(tensor: torch.Tensor) -> bool:
    """Whether no number is infinite or none at all; 8-bit ones are looked at as float32."""
    wide = tensor if tensor.element_size() > 1 else tensor.float()
    return all(bool(end.isfinite()) for end in wide.aminmax()) if wide.numel() else True


def require_finite(header: Header) -> None:
    """Raise CheckpointError, naming the tensor, where a file's numbers are infinite, or none."""
    for info in header.tensors.values():
        if info.dtype in FLOATS and not is_finite(read(info)):
            raise CheckpointError(
                f"{header.path.name}: {info.name!r} holds values that are not finite."
            )


def write(
    path: Path,
    tensors: Mapping[str, TensorInfo | torch.Tensor],
    metadata: Mapping[str, str],
    dtypes: Mapping[str, str],
) -> Iterator[tuple[str, torch.Tensor]]:
    """Write a ``.safetensors``; gives each tensor, as written, to be judged by the caller.

    ``dtypes`` says, in safetensors' names, as what each is written. One is in memory at a time.
    """
    order = sorted(tensors, key=lambda name: (-SIZES[dtypes[name]], name))
    entries: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for name in order:
        start, end = end, end + math.prod(tensors[name].shape) * SIZES[dtypes[name]]
        shape = list(tensors[name].shape)
        entries[name] = {"dtype": dtypes[name], "shape": shape, "data_offsets": [start, end]}
    header = json.dumps(entries, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        for name in order:
            known = tensors[name]
            found = read(known) if isinstance(known, TensorInfo) else known
            tensor = found.to(DTYPES[dtypes[name]]).contiguous()
            file.write(tensor.view(-1).view(torch.uint8).numpy().data)
            yield name, tensor

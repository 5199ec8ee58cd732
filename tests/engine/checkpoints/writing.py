"""The small plain checkpoint that odd files are made from, and how its tensors are written."""

from __future__ import annotations

import functools
import json
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from tests.engine import checkpoint_files

Tensors = dict[str, torch.Tensor]
Made = Path | tuple[Path, Tensors]
Maker = Callable[[Path, Tensors], Made]
UNET, VAE, TEXT = "model.diffusion_model.", "first_stage_model.", "cond_stage_model.transformer."
INNER = f"{TEXT}text_model."
POSITIONS = f"{INNER}embeddings.position_ids"


@functools.cache
def plain() -> dict[str, Any]:
    """The models that every odd file is made from."""
    return checkpoint_files.models()


def written(folder: Path, tensors: Tensors, name: str = "odd.safetensors") -> Path:
    save_file({key: value.contiguous() for key, value in tensors.items()}, folder / name)
    return folder / name


def renamed(folder: Path, tensors: Tensors, pairs: Mapping[str, str]) -> Path:
    """Beginnings of names replaced."""
    for old, new in pairs.items():
        tensors = {
            new + key.removeprefix(old) if key.startswith(old) else key: value
            for key, value in tensors.items()
        }
    return written(folder, tensors)


def added(folder: Path, tensors: Tensors, more: Mapping[str, torch.Tensor]) -> Path:
    return written(folder, tensors | dict(more))


def without(tensors: Tensors, *starts: str) -> Tensors:
    return {key: value for key, value in tensors.items() if not key.startswith(starts)}


def only(tensors: Tensors, *starts: str) -> Tensors:
    return {key: value for key, value in tensors.items() if key.startswith(starts)}


def zeros(*names: str) -> Tensors:
    return {name: torch.zeros(2, 2) for name in names}


def pickled(
    folder: Path, content: object, name: str = "odd.ckpt", *, zipped: bool = True, protocol: int = 2
) -> Path:
    torch.save(
        content, folder / name, _use_new_zipfile_serialization=zipped, pickle_protocol=protocol
    )
    return folder / name


def rewritten_header(path: Path, change: Callable[[dict[str, Any]], object], pad: int = 0) -> Path:
    whole = path.read_bytes()
    length = struct.unpack("<Q", whole[:8])[0]
    header = json.loads(whole[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode() + b" " * pad
    path.write_bytes(struct.pack("<Q", len(text)) + text + whole[8 + length :])
    return path

"""Files whose numbers are of other types, or lie in odd or pickled containers."""

from __future__ import annotations

import argparse
import collections
import fractions
import random
import re
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.engine.checkpoints.writing import (
    UNET,
    Made,
    Tensors,
    only,
    pickled,
    rewritten_header,
    written,
)


def converted(tensors: Tensors, dtype: torch.dtype) -> Tensors:
    return {k: v.to(dtype) if v.is_floating_point() else v for k, v in tensors.items()}


def stored_as(folder: Path, tensors: Tensors, dtype: torch.dtype) -> Made:
    found = converted(tensors, dtype)
    return written(folder, found), found


def mixed(folder: Path, tensors: Tensors) -> Made:
    dtypes = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
    found = {
        key: value.to(dtypes[number % 4]) if value.is_floating_point() else value
        for number, (key, value) in enumerate(tensors.items())
    }
    return written(folder, found), found


def scaled(folder: Path, tensors: Tensors) -> Made:
    """8-bit matrices with a scale each, as ComfyUI writes them."""
    stored, expected = scaled_tensors(tensors)
    return written(folder, stored), expected


def scaled_tensors(tensors: Tensors) -> tuple[Tensors, Tensors]:
    """Those that are stored, and those that they stand for."""
    stored, expected = dict(tensors), dict(tensors)
    for key, value in only(tensors, UNET).items():
        if value.ndim == 2 and key.endswith(".weight"):
            scale = value.float().abs().max() / 448
            stored[key] = (value.float() / scale).to(torch.float8_e4m3fn)
            stored[key.replace(".weight", ".scale_weight")] = scale.reshape(())
            expected[key] = stored[key].float() * scale
    stored["scaled_fp8"] = torch.zeros(2).to(torch.float8_e4m3fn)
    return stored, expected


def trailing_bytes(folder: Path, tensors: Tensors) -> Path:
    path = written(folder, tensors)
    path.write_bytes(path.read_bytes() + b"\0" * 37)
    return path


def odd_metadata(folder: Path, tensors: Tensors) -> Path:
    odd = {"__metadata__": {"epoch": 3, "tags": ["a"], "none": None}}
    return rewritten_header(written(folder, tensors), lambda header: header.update(odd))


def unaligned(folder: Path, tensors: Tensors) -> Path:
    return rewritten_header(written(folder, tensors), lambda _: None, pad=1)


def class_of(module: str, name: str, base: type = object) -> type:
    """A class that pickles under a foreign module's name; see ``foreign``."""
    made = type(name, (base,), {"__module__": module})
    parts = module.split(".")
    for end in range(1, len(parts) + 1):
        sys.modules.setdefault(".".join(parts[:end]), types.ModuleType(".".join(parts[:end])))
    setattr(sys.modules[module], name, made)
    return made


def foreign(folder: Path, tensors: Tensors, *, zipped: bool) -> Path:
    """Lightning's callbacks and dictionaries, OmegaConf's, Python's own, and numpy's scalars."""
    before = set(sys.modules)
    try:
        callback = class_of("pytorch_lightning.callbacks.model_checkpoint", "ModelCheckpoint")
        attributes = class_of("lightning_fabric.utilities.data", "AttributeDict", dict)
        config = class_of("omegaconf.dictconfig", "DictConfig")()
        config.__dict__["_content"] = {"a": callback}
        content = {
            "state_dict": tensors,
            "callbacks": {callback: {"best_model_score": torch.tensor(1.0)}},
            "hyper_parameters": attributes(rate=np.float64(0.5), config=config),
            "args": argparse.Namespace(steps=3, array=np.ones(2), path=Path("a")),
            "counts": collections.defaultdict(int, a=1),
            "bytes": b"\xff\x00",
            "state": [random.Random(1), re.compile("a"), fractions.Fraction(1, 2)],
            "parameters": torch.nn.ParameterDict({"*": torch.nn.Parameter(torch.ones(2))}),
        }
        return pickled(folder, content, zipped=zipped)
    finally:
        for name in set(sys.modules) - before:
            del sys.modules[name]


def shared_and_strided(folder: Path, tensors: Tensors) -> Path:
    """Two names for one tensor, views of one storage, channels last, parameters."""
    found: dict[Any, Any] = dict(tensors)
    first, second = (f"{UNET}input_blocks.1.0.{layer}.bias" for layer in ("in_layers.0", "out.0"))
    found[second] = found[first]
    whole = torch.cat([tensors[first], tensors[first]])
    found[first] = whole[len(tensors[first]) :]
    for key, value in tensors.items():
        if value.ndim == 4:
            found[key] = value.to(memory_format=torch.channels_last)
    norm = f"{UNET}out.0.weight"
    found[norm] = torch.nn.Parameter(found[norm])
    found |= {3: torch.ones(1), "none": None}
    return pickled(folder, {"state_dict": found})


def under(folder: Path, tensors: Tensors, *keys: str) -> Path:
    content: object = tensors
    for key in keys:
        content = {key: content, "step": 3}
    return pickled(folder, content)

"""Files with several oddities at once: a naming, a number type, company, and a container each.

``combined`` draws one of each, always the same for a number, and writes the file.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from tests.engine.checkpoints.odd_names import EXTRA, flat
from tests.engine.checkpoints.odd_storage import converted, foreign, trailing_bytes, under
from tests.engine.checkpoints.writing import (
    INNER,
    POSITIONS,
    TEXT,
    UNET,
    VAE,
    Tensors,
    pickled,
    rewritten_header,
    written,
    zeros,
)

COUNT = 150

# Prefixes in place of latent diffusion's, by who writes them.
PREFIXES: Mapping[str, Mapping[str, str]] = {
    "plain": {},
    "NovelAI": {INNER: TEXT},
    "Forge": {TEXT: "text_encoders.clip_l.transformer.", VAE: "vae."},
    "Forge, short": {TEXT: "text_encoders.clip_l.", VAE: "vae."},
    "Forge, NovelAI": {INNER: "text_encoders.clip_l.transformer.", VAE: "vae."},
    "ComfyUI": {TEXT: "cond_stage_model.clip_l.transformer.", UNET: "diffusion_model."},
    "ComfyUI, short": {TEXT: "cond_stage_model.clip_l."},
    "SDXL's trainers": {TEXT: "conditioner.embedders.0.transformer."},
    "a pipeline's prefixes": {UNET: "unet.", VAE: "vae.", TEXT: "text_encoder."},
    "wrapped": {"": "module."},
    "compiled": {"": "_orig_mod."},
    "wrapped, Forge": {
        TEXT: "module.text_encoders.clip_l.transformer.", VAE: "module.vae.", UNET: f"module.{UNET}"
    },
}  # fmt: skip

TYPES: Mapping[str, tuple[torch.dtype, ...]] = {
    "float16": (torch.float16,),
    "bfloat16": (torch.bfloat16,),
    "float32": (torch.float32,),
    "float64": (torch.float64,),
    "e4m3": (torch.float8_e4m3fn,),
    "e5m2": (torch.float8_e5m2,),
    "mixed": (torch.float16, torch.bfloat16, torch.float32, torch.float64),
}

Company = Callable[[Tensors], Tensors]
COMPANY: Mapping[str, Company] = {
    "nothing": lambda t: {},
    "training state": lambda t: zeros(*EXTRA),
    "a LoRA": lambda t: zeros("lora_te_x.lora_up.weight", "lora_unet_y.alpha", "lora_te_z.alpha"),
    "a ControlNet": lambda t: zeros("control_model.input_hint_block.0.weight", "control_model.out"),
    "an EMA copy": lambda t: {k: (v.float() + 1).to(v.dtype) for k, v in flat(t).items()},
    "spoilt positions": lambda t: {POSITIONS: (torch.arange(77.0)[None] - 0.0025).half()},
    "an unused projection": lambda t: {
        f"{TEXT}text_projection.weight": torch.ones(32, 32),
        f"{TEXT}logit_scale": torch.ones(()),
    },
}

SHAPES: Mapping[str, str | None] = {
    "plain": None,
    "linear projections": r"diffusion_model.*proj_(in|out)\.weight$",
    "flat VAE attention": r"first_stage_model.*\.attn_1\..*weight$",
}


def _odd_metadata(folder: Path, tensors: Tensors) -> Path:
    odd = {"__metadata__": {"epoch": 3, "tags": ["a"], "modelspec.title": None}}
    return rewritten_header(written(folder, tensors), lambda header: header.update(odd), pad=3)


def _views(folder: Path, tensors: Tensors) -> Path:
    """Of one storage, channels last, as parameters."""
    found: dict[Any, Any] = {}
    for number, (key, value) in enumerate(tensors.items()):
        if value.ndim == 4 and value.element_size() > 1:
            value = value.to(memory_format=torch.channels_last)
        elif value.ndim == 2 and value.element_size() > 1:
            value = torch.cat([value.T, value.T], 1)[:, : value.shape[0]].T
        elif number % 3 == 0 and value.is_floating_point() and value.element_size() > 1:
            value = torch.nn.Parameter(value)
        found[key] = value
    return pickled(folder, {"state_dict": found, 3: None})


CONTAINERS: Mapping[str, Callable[[Path, Tensors], Path]] = {
    "safetensors": written,
    "bytes after the end": trailing_bytes,
    "odd metadata": _odd_metadata,
    "named .ckpt": lambda f, t: written(f, t, "odd.ckpt"),
    "ckpt": lambda f, t: pickled(f, t),
    "ckpt named .safetensors": lambda f, t: pickled(f, {"state_dict": t}, "odd.safetensors"),
    "older ckpt": lambda f, t: pickled(f, t, zipped=False),
    "protocol 4": lambda f, t: pickled(f, t, protocol=4),
    "state_dict twice": lambda f, t: under(f, t, "state_dict", "state_dict"),
    "under model": lambda f, t: under(f, t, "model"),
    "trainers' classes": lambda f, t: foreign(f, t, zipped=True),
    "trainers' classes, older": lambda f, t: foreign(f, t, zipped=False),
    "views": _views,
}


def combined(number: int, folder: Path, tensors: Tensors) -> tuple[str, Path, Tensors]:
    """What it is in words, its file, and the plain tensors that it must hold."""
    draw = random.Random(number)
    kinds = (PREFIXES, TYPES, COMPANY, SHAPES, CONTAINERS)
    naming, kind, company, shape, container = (draw.choice([*each]) for each in kinds)
    if TYPES[kind][0].itemsize == 1 and "older" in container:
        container = "ckpt"  # which came before 8-bit numbers
    stored = _typed(tensors, TYPES[kind])
    made = _shaped(stored | COMPANY[company](stored), SHAPES[shape])
    path = CONTAINERS[container](folder, _renamed(made, PREFIXES[naming]))
    return ", ".join((naming, kind, company, shape, container)), path, stored


def _typed(tensors: Tensors, dtypes: tuple[torch.dtype, ...]) -> Tensors:
    made: Tensors = {}
    for number, (key, value) in enumerate(tensors.items()):
        made |= converted({key: value}, dtypes[number % len(dtypes)])
    return made


def _shaped(tensors: Tensors, pattern: str | None) -> Tensors:
    return {
        key: value[:, :, 0, 0] if pattern and value.ndim == 4 and re.search(pattern, key) else value
        for key, value in tensors.items()
    }


def _renamed(tensors: Tensors, pairs: Mapping[str, str]) -> Tensors:
    made: Tensors = {}
    for key, value in tensors.items():
        old = next((old for old in pairs if key.startswith(old)), None)
        made[key if old is None else pairs[old] + key.removeprefix(old)] = value
    return made

"""Folders in diffusers' layout, as people have them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from limner.engine.checkpoints.shapes import SD15
from tests.engine import checkpoint_files
from tests.engine.checkpoints.writing import (
    Tensors,
    plain,
)

STEMS = {
    "unet": "diffusion_pytorch_model.safetensors",
    "vae": "diffusion_pytorch_model.safetensors",
    "text_encoder": "model.safetensors",
}


def whole_folder(folder: Path, tensors: Tensors) -> Path:
    path = folder / "odd"
    for name, model in plain().items():
        (path / name).mkdir(parents=True)
        (path / name / "config.json").write_text(json.dumps(checkpoint_files.config(name)))
        state = {key: value.half().contiguous() for key, value in model.state_dict().items()}
        save_file(state, path / name / STEMS[name])
    shutil.copy(SD15 / "model_index.json", path)
    return path


def folder_of_bins(folder: Path, tensors: Tensors, *names: str) -> Path:
    path = whole_folder(folder, tensors)
    for name in names:
        file = path / name / STEMS[name]
        bin_name = "pytorch_model.bin" if name == "text_encoder" else f"{file.stem}.bin"
        torch.save(load_file(file), file.with_name(bin_name))
        file.unlink()
    return path


def sharded(folder: Path, tensors: Tensors, *, index: bool) -> Path:
    path = whole_folder(folder, tensors)
    file = path / "unet" / STEMS["unet"]
    state = sorted(load_file(file).items())
    file.unlink()
    halves = [dict(state[: len(state) // 2]), dict(state[len(state) // 2 :])]
    weight_map = {}
    for number, half in enumerate(halves, 1):
        name = f"diffusion_pytorch_model.fp16-0000{number}-of-00002.safetensors"
        save_file(half, file.with_name(name))
        weight_map |= dict.fromkeys(half, name)
    if index:
        beside = file.with_name("diffusion_pytorch_model.safetensors.index.fp16.json")
        beside.write_text(json.dumps({"weight_map": weight_map}))
    return path


def of_class(folder: Path, tensors: Tensors, name: str | None) -> Path:
    path = whole_folder(folder, tensors)
    (path / "model_index.json").unlink()
    if name:
        (path / "model_index.json").write_text(json.dumps({"_class_name": name}))
    return path

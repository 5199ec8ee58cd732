"""Small real files of models, and what tools leave beside them."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from limner.models.listing import Library
from tests.engine import checkpoint_files

LORA = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight"
CONTROL = "control_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"


def save(path: Path, shapes: dict[str, tuple[int, ...]], **metadata: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: torch.ones(shape, dtype=torch.float16) for name, shape in shapes.items()}
    save_file(tensors, path, metadata or None)
    return path


def lora(path: Path, width: int = 768, **metadata: str) -> Path:
    return save(path, {LORA: (2, width)}, **metadata)


def embedding(path: Path) -> Path:
    return save(path, {"emb_params": (2, 768)})


def controlnet(path: Path) -> Path:
    return save(path, {CONTROL: (4, 768), "control_model.input_hint_block.0.weight": (2, 2)})


def upscaler(path: Path) -> Path:
    return save(path, {"conv_first.weight": (2, 2)})


def picture(path: Path) -> Path:
    Image.new("RGB", (4, 4), "red").save(path)
    return path


def note(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def announcing(path: Path, header_bytes: int) -> Path:
    """A file whose header is said to be so long, as a hole."""
    with path.open("wb") as file:
        file.write(struct.pack("<Q", header_bytes) + b"{")
        file.truncate(header_bytes + 8)
    return path


def rows(*folders: Path, data: Path | None = None) -> dict[str, dict[str, Any]]:
    """The list by path, the embedded model left out."""
    listed = [entry.as_dict() for entry in Library(data, folders).entries()]
    return {row["path"]: row for row in listed if row["library"] != "built-in"}


def without_vae(source: Path, path: Path) -> Path:
    """A single file's checkpoint without its VAE."""
    tensors = load_file(source)
    save_file({k: v for k, v in tensors.items() if not k.startswith("first_stage_model.")}, path)
    return path


def save_vae(path: Path, vae: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(
        {name: each.contiguous() for name, each in checkpoint_files.vae_tensors(vae).items()}, path
    )
    return path

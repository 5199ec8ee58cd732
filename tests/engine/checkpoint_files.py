"""Make small SD 1.5 checkpoints in the original latent-diffusion key names, at test time.

The names are written from the structure of the two code bases, independently of diffusers'
converter, which the loader uses in the other direction.
"""

from __future__ import annotations

import functools
import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from safetensors.torch import save_file
from transformers.models.clip.configuration_clip import CLIPTextConfig
from transformers.models.clip.modeling_clip import CLIPTextModel
from transformers.models.clip.tokenization_clip import CLIPTokenizer

from limner.engine.checkpoints import weights
from limner.engine.checkpoints.layouts import TOKENIZER
from limner.engine.checkpoints.parts import Layout, Part
from limner.engine.checkpoints.shapes import SD15
from tests.engine.copying import bare_copy

Tensors = dict[str, torch.Tensor]

NARROW: Mapping[str, Mapping[str, Any]] = {
    "unet": {"block_out_channels": [32, 32, 64, 64], "cross_attention_dim": 32},
    "vae": {"block_out_channels": [32, 32, 32, 32]},
    "text_encoder": {
        "hidden_size": 32,
        "projection_dim": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
    },
}

# Of two levels, and wide groups: at one pixel of two channels a norm would be a sign.
SHALLOW: Mapping[str, Mapping[str, Any]] = {
    "unet": {
        "block_out_channels": [16, 32],
        "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
        "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"],
        "attention_head_dim": 2,
        "cross_attention_dim": 32,
        "norm_num_groups": 4,
    },
    "vae": {
        "block_out_channels": [16, 16, 16],
        "down_block_types": ["DownEncoderBlock2D"] * 3,
        "up_block_types": ["UpDecoderBlock2D"] * 3,
        "norm_num_groups": 4,
    },
    "text_encoder": NARROW["text_encoder"],
}

_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_UNET_ENDS = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
    "mid_block.resnets.0": "middle_block.0",
    "mid_block.attentions.0": "middle_block.1",
    "mid_block.resnets.1": "middle_block.2",
}
_VAE_WORDS = {
    "mid_block.resnets.0": "mid.block_1",
    "mid_block.resnets.1": "mid.block_2",
    "mid_block.attentions.0": "mid.attn_1",
    "conv_norm_out": "norm_out",
    "conv_shortcut": "nin_shortcut",
    "downsamplers.0": "downsample",
    "upsamplers.0": "upsample",
    "group_norm": "norm",
    "to_q": "q",
    "to_k": "k",
    "to_v": "v",
    "to_out.0": "proj_out",
}


def config(part: str, shape: Mapping[str, Mapping[str, Any]] = NARROW) -> dict[str, Any]:
    """SD 1.5's config of a part with some numbers replaced."""
    base: dict[str, Any] = json.loads((SD15 / part / "config.json").read_text())
    return base | dict(shape.get(part, {}))


def models(shape: Mapping[str, Mapping[str, Any]] = NARROW, seed: int = 0) -> dict[str, Any]:
    """Random models of that shape; equal seeds give equal weights."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        parts = {
            "unet": UNet2DConditionModel.from_config(config("unet", shape)),
            "vae": AutoencoderKL.from_config(config("vae", shape)),
            "text_encoder": CLIPTextModel(CLIPTextConfig(**config("text_encoder", shape))),
        }
        # A fresh text encoder's output has a mean near zero, which no trained one has.
        torch.nn.init.normal_(parts["text_encoder"].final_layer_norm.bias, mean=0.2)
    return {name: part.eval().requires_grad_(False) for name, part in parts.items()}


def tokenizer_once(patch: pytest.MonkeyPatch) -> None:
    """The tokenizer that Limner brings along is read once; each reading takes tens of ms."""
    read, kept = weights._tokenizer, functools.cache(CLIPTokenizer.from_pretrained)

    def tokenizer(layout: Layout) -> CLIPTokenizer:
        return kept(TOKENIZER) if layout.tokenizer == TOKENIZER else read(layout)

    patch.setattr(weights, "_tokenizer", tokenizer)


def skeletons_once(patch: pytest.MonkeyPatch) -> None:
    """A model without weights is built once for each config, and copied: most of the work."""
    build = weights._empty
    built: dict[str, Any] = {}

    def copied(name: str, part: Part) -> Any:
        key = name + json.dumps(dict(part.config), sort_keys=True, default=repr)
        if key not in built:
            built[key] = build(name, part)
        return bare_copy(built[key])

    patch.setattr(weights, "_empty", copied)


def unet_name(name: str) -> str:
    """The original name of one of the UNet's tensors."""
    for new, old in _UNET_ENDS.items():
        if name.startswith(f"{new}."):
            name = name.replace(new, old, 1)
    name = re.sub(
        r"down_blocks\.(\d)\.(resnets|attentions)\.(\d)",
        lambda m: f"input_blocks.{3 * int(m[1]) + int(m[3]) + 1}.{int(m[2] == 'attentions')}",
        name,
    )
    name = re.sub(
        r"down_blocks\.(\d)\.downsamplers\.0\.conv",
        lambda m: f"input_blocks.{3 * int(m[1]) + 3}.0.op",
        name,
    )
    name = re.sub(
        r"up_blocks\.(\d)\.(resnets|attentions)\.(\d)",
        lambda m: f"output_blocks.{3 * int(m[1]) + int(m[3])}.{int(m[2] == 'attentions')}",
        name,
    )
    # The first upsampler follows a resnet alone, the others a resnet and an attention.
    name = re.sub(
        r"up_blocks\.(\d)\.upsamplers\.0",
        lambda m: f"output_blocks.{3 * int(m[1]) + 2}.{1 if m[1] == '0' else 2}",
        name,
    )
    if ".transformer_blocks." not in name:
        for new, old in _RESNET.items():
            name = name.replace(f".{new}.", f".{old}.")
    return f"model.diffusion_model.{name}"


def vae_name(name: str) -> str:
    """The original name of one of the VAE's tensors, without the checkpoint's prefix."""
    name = re.sub(r"down_blocks\.(\d)\.resnets\.(\d)", r"down.\1.block.\2", name)
    name = re.sub(r"down_blocks\.(\d)\.", r"down.\1.", name)
    name = re.sub(
        r"up_blocks\.(\d)\.(?:resnets\.(\d)|(upsamplers\.0))",
        lambda m: f"up.{3 - int(m[1])}." + (f"block.{m[2]}" if m[2] else "upsample"),
        name,
    )
    for new, old in _VAE_WORDS.items():
        name = name.replace(f"{new}.", f"{old}.")
    return name


def original(parts: Mapping[str, Any], dtype: torch.dtype = torch.float16) -> Tensors:
    """All tensors of a checkpoint under their original names."""
    tensors: Tensors = {}
    for name, value in parts["unet"].state_dict().items():
        tensors[unet_name(name)] = value
    for name, value in vae_tensors(parts["vae"]).items():
        tensors[f"first_stage_model.{name}"] = value
    for name, value in parts["text_encoder"].state_dict().items():
        tensors[f"cond_stage_model.transformer.text_model.{name}"] = value
    tensors = {name: value.to(dtype).contiguous() for name, value in tensors.items()}
    positions = parts["text_encoder"].config.max_position_embeddings
    tensors["cond_stage_model.transformer.text_model.embeddings.position_ids"] = torch.arange(
        positions
    )[None]
    return tensors


def vae_tensors(vae: Any) -> Tensors:
    """The VAE's tensors under their original names; its attention was 1x1 convolutions."""
    tensors: Tensors = {}
    for name, value in vae.state_dict().items():
        old = vae_name(name)
        attention = re.search(r"attn_1\.(q|k|v|proj_out)\.weight", old)
        tensors[old] = value[:, :, None, None] if attention else value
    return tensors


def write_single_file(
    path: Path, parts: Mapping[str, Any], dtype: torch.dtype = torch.float16
) -> Path:
    """A ``.safetensors`` checkpoint in the original names."""
    save_file(original(parts, dtype), path)
    return path


def write_folder(path: Path, parts: Mapping[str, Any]) -> Path:
    """The same in diffusers' layout, float32, by diffusers' own writers."""
    for name, model in parts.items():
        model.save_pretrained(path / name)
    shutil.copytree(SD15 / "scheduler", path / "scheduler")
    shutil.copytree(TOKENIZER, path / "tokenizer")
    shutil.copy(SD15 / "model_index.json", path)
    return path


def write_config_folder(path: Path, shape: Mapping[str, Mapping[str, Any]] = NARROW) -> Path:
    """What diffusers' ``from_single_file(config=...)`` wants beside a single file."""
    for part in ("unet", "vae", "text_encoder"):
        (path / part).mkdir(parents=True)
        (path / part / "config.json").write_text(json.dumps(config(part, shape)))
    shutil.copytree(SD15 / "scheduler", path / "scheduler")
    shutil.copytree(TOKENIZER, path / "tokenizer")
    shutil.copy(SD15 / "model_index.json", path)
    return path

"""SD 1.5's configs with the widths that a single file's tensors really have.

A file in latent diffusion's names carries no configs, only tensors; their shapes tell the widths,
the depth of the text encoder and the levels of the VAE.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import limner.assets
from limner.engine.checkpoints import unets, ways
from limner.engine.checkpoints.inspection import SUPPORTED, TEXT, UNET, VAE, Header
from limner.engine.checkpoints.regular import opened
from limner.errors import CheckpointError

SD15 = Path(limner.assets.__file__).parent / "sd15"


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object; CheckpointError when it cannot be read or is none."""
    try:
        with opened(path) as file:
            value = json.loads(file.read().decode())
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is not valid JSON.") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} holds no JSON object.")
    return value


def sd15_config(part: str) -> dict[str, Any]:
    """The config of SD 1.5's ``unet``, ``vae``, ``text_encoder``."""
    return read_json(SD15 / part / "config.json")


def unet_config(header: Header) -> dict[str, Any]:
    """The UNet's config, its channels, blocks, layers and widths from the file."""
    shapes = {
        unets.modern(name.removeprefix(UNET)): info.shape
        for name, info in header.tensors.items()
        if name.startswith(UNET)
    }
    found = unets.structure(shapes)
    if found is None:
        raise CheckpointError(
            f"{header.path.name} has a UNet unlike Stable Diffusion 1.x's; {SUPPORTED}."
        )
    return sd15_config("unet") | found


def vae_config(header: Header) -> dict[str, Any]:
    """The VAE's config, its widths and levels from the file; the latents' scale is SD 1.5's."""
    config = sd15_config("vae")
    own = header.any(f"{VAE}encoder.down_blocks.")
    level = "encoder.down_blocks.{}.resnets.0" if own else "encoder.down.{}.block.0"
    widths: list[int] = []
    while shape := header.shape(f"{VAE}{level.format(len(widths))}.conv1.weight", 4):
        widths.append(shape[0])
    latent = header.shape(f"{VAE}post_quant_conv.weight", 4)
    if header.any(f"{VAE}decoder.") and not header.any(f"{VAE}encoder."):
        raise CheckpointError(
            f"{header.path.name} holds the decoder of a VAE alone; {ways.WHOLE_VAE}."
        )
    if not widths or latent is None:
        raise CheckpointError(f"{header.path.name} has a VAE unlike Stable Diffusion 1.x's.")
    if latent[0] != 4:
        raise CheckpointError(
            f"{header.path.name} has a VAE with {latent[0]} latent channels; 4 are needed."
        )
    config["block_out_channels"] = widths
    config["down_block_types"] = ["DownEncoderBlock2D"] * len(widths)
    config["up_block_types"] = ["UpDecoderBlock2D"] * len(widths)
    return config


def text_config(header: Header) -> dict[str, Any]:
    """The text encoder's config, its widths, depth and vocabulary from the file."""
    config = sd15_config("text_encoder")
    # Some merging tools write the text encoder without its ``text_model.`` level.
    prefix = f"{TEXT}text_model." if header.any(f"{TEXT}text_model.") else TEXT
    tokens = header.shape(f"{prefix}embeddings.token_embedding.weight", 2)
    inner = header.shape(f"{prefix}encoder.layers.0.mlp.fc1.weight", 2)
    positions = header.shape(f"{prefix}embeddings.position_embedding.weight", 2)
    if tokens is None or inner is None or positions is None:
        raise CheckpointError(f"{header.path.name} holds no whole CLIP text encoder.")
    layers = {
        name.split(".layers.")[1].split(".")[0]
        for name in header.tensors
        if name.startswith(f"{prefix}encoder.layers.")
    }
    config |= {
        "vocab_size": tokens[0],
        "hidden_size": tokens[1],
        "projection_dim": tokens[1],
        "intermediate_size": inner[0],
        "max_position_embeddings": positions[0],
        "num_hidden_layers": len(layers),
        # Tensors do not tell the heads. SD 1.5 has 12; a narrow relative that 12 does not
        # divide is taken to have 4, as small CLIP models commonly do.
        "num_attention_heads": 12 if tokens[1] % 12 == 0 else 4,
    }
    return config

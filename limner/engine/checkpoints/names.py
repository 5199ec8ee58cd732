"""The names of tensors as latent diffusion has them, from those of the programs that save files.

Every part of a checkpoint lies under one prefix here, ``UNET``, ``VAE`` or ``TEXT``, whatever
the file calls it, and whether its layers are named as latent diffusion or as diffusers does.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from limner.engine.checkpoints import ways
from limner.engine.checkpoints.headers import TensorInfo, lines

UNET = "model.diffusion_model."
VAE = "first_stage_model."
TEXT = "cond_stage_model.transformer."
EMA = "model_ema."

Tensors = Mapping[str, TensorInfo]

# Put before every name by wrappers of whole models, and of parts by the first two.
_WRAPPERS = ("module.", "_orig_mod.", "state_dict.")
_WHOLE = re.compile(r"(.+?\.)(?:(?:model\.)?diffusion_model|first_stage_model|cond_stage_model)\.")

# One of these is in the names of a file that has any wrapper.
_WRAPPED = (
    *(f"\n{wrapper}" for wrapper in _WRAPPERS),
    *("diffusion_model.", "first_stage_model.", "cond_stage_model."),
)

# Prefixes by who writes them; an earlier row wins where a file has a part twice.
_PREFIXES: tuple[tuple[str, str], ...] = (
    (UNET, UNET),
    (VAE, VAE),
    (TEXT, TEXT),
    ("text_encoders.clip_l.transformer.", TEXT),  # ComfyUI, Forge
    ("text_encoders.clip_l.", TEXT),
    ("cond_stage_model.clip_l.transformer.", TEXT),  # ComfyUI
    ("cond_stage_model.clip_l.", TEXT),
    ("cond_stage_model.1.transformer.", TEXT),  # as stable-diffusion.cpp reads them
    ("cond_stage_model.1.", TEXT),
    ("cond_stage_model.text_model.", f"{TEXT}text_model."),
    ("conditioner.embedders.0.transformer.", TEXT),  # trainers made for SDXL
    ("text_encoder.", TEXT),  # diffusers' pipelines in one file
    ("vae.", VAE),  # the same, and Forge
    ("unet.", UNET),
    ("diffusion_model.", UNET),  # ComfyUI's UNets
)

_STARTS = tuple(old for old, _ in _PREFIXES)

# A part alone in a file: a tensor that tells it, the beginnings of its names, and its prefix.
_BARE: tuple[tuple[str, tuple[str, ...], str], ...] = (
    (
        "input_blocks.0.0.weight",
        ("input_blocks.", "middle_block.", "output_blocks.", "time_embed.", "out.", "label_emb."),
        UNET,
    ),
    (
        "time_embedding.linear_1.weight",
        ("conv_in.", "conv_out.", "conv_norm_out.", "time_embedding.", "down_blocks.",
         "mid_block.", "up_blocks.", "add_embedding."),
        UNET,
    ),
    ("decoder.conv_in.weight", ("encoder.", "decoder.", "quant_conv.", "post_quant_conv."), VAE),
    ("text_model.embeddings.token_embedding.weight", ("text_model.",), TEXT),
    (
        "embeddings.token_embedding.weight",
        ("embeddings.", "encoder.", "final_layer_norm."),
        TEXT,
    ),
)  # fmt: skip
_CONTROLNET = ("input_hint_block.", "controlnet_cond_embedding.")


def canonical(tensors: Tensors) -> tuple[dict[str, TensorInfo], tuple[str, ...]]:
    """The tensors under latent diffusion's prefixes, and in words what was done beyond that."""
    found = _bare(_prefixed(_unwrapped(tensors)))
    notes: tuple[str, ...] = ()
    if ema := from_ema(found):
        if any(name.startswith(UNET) for name in found):
            notes = (f"an EMA copy of the UNet left aside; {ways.EMA}",)
        else:
            found |= ema
            notes = ("the UNet is the file's EMA copy, the only one in it",)
    scaled = _scaled(found)
    if scaled is not found:
        notes += ("8-bit weights multiplied with the scales beside them",)
    return scaled, notes


def _unwrapped(tensors: Tensors) -> Tensors:
    """Without the wrappers that most names have; some tool may have added others later."""
    text = lines(tensors)
    if not any(mark in text for mark in _WRAPPED) or _mostly(tensors, _STARTS):
        return tensors
    around = Counter(found[1] for found in map(_WHOLE.match, tensors) if found)
    for wrapper in (*_WRAPPERS * 2, *(name for name, _ in around.most_common(1))):
        if _mostly(tensors, (wrapper,)):
            tensors = {name.removeprefix(wrapper): info for name, info in tensors.items()}
    return tensors


def _mostly(tensors: Tensors, starts: tuple[str, ...]) -> bool:
    """Of those names that are no running averages', which are kept beside the model."""
    those = [name for name in tensors if not name.startswith(EMA)]
    return 2 * sum(name.startswith(starts) for name in those) > len(those)


def _prefixed(tensors: Tensors) -> dict[str, TensorInfo]:
    left = dict(tensors)
    found: dict[str, TensorInfo] = {}
    text = lines(tensors)
    for old, new in _PREFIXES:
        if f"\n{old}" not in text:
            continue
        for name in [name for name in left if name.startswith(old)]:
            layer = name.removeprefix(old)
            for wrapper in _WRAPPERS[:2]:
                layer = layer.removeprefix(wrapper)
            found.setdefault(new + layer, left.pop(name))
    return found | left


def _bare(tensors: dict[str, TensorInfo]) -> dict[str, TensorInfo]:
    for mark, starts, prefix in _BARE:
        if mark in tensors and not any(name.startswith((prefix, *_CONTROLNET)) for name in tensors):
            return {
                prefix + name if name.startswith(starts) else name: info
                for name, info in tensors.items()
            }
    return tensors


def _scaled(tensors: dict[str, TensorInfo]) -> dict[str, TensorInfo]:
    """Scales of 8-bit weights joined to what they scale; those of activations are not needed."""
    if ".scale_weight\n" not in lines(tensors):
        return tensors
    scales = {n: info for n, info in tensors.items() if n.endswith(".scale_weight")}
    ends = (".scale_weight", ".scale_input", "scaled_fp8")
    found = {name: info for name, info in tensors.items() if not name.endswith(ends)}
    for name, scale in scales.items():
        weight = name.removesuffix("scale_weight") + "weight"
        if weight in found:
            found[weight] = replace(found[weight], scale=scale)
    return found


def from_ema(tensors: Tensors) -> dict[str, TensorInfo]:
    """The UNet out of a file's running averages, whose names have lost their dots."""
    if f"\n{EMA}" not in lines(tensors):
        return {}
    layers = {f"diffusion_model.{name}".replace(".", ""): name for name in unet_layers()}
    return {
        UNET + layers[flat]: info
        for name, info in tensors.items()
        if name.startswith(EMA) and (flat := name.removeprefix(EMA)) in layers
    }


def unet_layers() -> list[str]:
    """Every name that a UNet of latent diffusion with four levels may have, and some more."""
    resnet = ("in_layers.0", "in_layers.2", "emb_layers.1", "out_layers.0", "out_layers.3",
              "skip_connection", "op", "conv")  # fmt: skip
    inner = [f"attn{n}.{layer}" for n in (1, 2) for layer in ("to_q", "to_k", "to_v", "to_out.0")]
    inner += ["ff.net.0.proj", "ff.net.2", "norm1", "norm2", "norm3"]
    attention = ["norm", "proj_in", "proj_out", *(f"transformer_blocks.0.{name}" for name in inner)]
    places = [f"middle_block.{n}" for n in range(3)] + [
        f"{side}_blocks.{n}.{m}"
        for side, n, m in itertools.product(("input", "output"), range(12), range(3))
    ]
    ends = ["time_embed.0", "time_embed.2", "input_blocks.0.0", "out.0", "out.2"]
    layers = ends + [f"{place}.{part}" for place in places for part in (*resnet, *attention)]
    return [f"{layer}.{kind}" for layer in layers for kind in ("weight", "bias")]

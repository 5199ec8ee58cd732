"""A file of a control: what net it holds, and that net for the model that is loaded."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import torch
from diffusers.models.adapter import T2IAdapter
from diffusers.models.controlnets.controlnet import ControlNetModel

from limner.engine.checkpoints import digests, storage
from limner.engine.checkpoints.adapters import BASES
from limner.engine.checkpoints.containers import read_header, require_unchanged
from limner.engine.checkpoints.headers import Header
from limner.engine.checkpoints.inspection import DESCRIPTIONS, kind_of
from limner.engine.checkpoints.tensors import is_finite, read
from limner.engine.checkpoints.translation import fit
from limner.engine.checkpoints.weights import Checkpoint
from limner.engine.controls import naming
from limner.engine.controls.nets import Adapter, ControlNet, Net
from limner.errors import CheckpointError

Infos = naming.Infos
_BASES = {"sd1": "Stable Diffusion 1", "sd2": "Stable Diffusion 2", "sdxl": "SDXL"}
_SHOWN = 3
# Kinds of ControlNets that hold no net of their own, by a tensor that tells each.
_PARTIAL: Mapping[str, str] = {
    "difference": "holds differences from a checkpoint; take the whole ControlNet",
    "lora_controlnet": "is a Control-LoRA, of another family of models",
}


def load(path: Path, checkpoint: Checkpoint) -> Net:
    """The net in ``path`` for a loaded model, on its device and in its number type.

    Raises:
        CheckpointError: the file is gone, damaged or no control, is for another family of models or
            other layers, or holds numbers that are not finite; the sentence names the file.
    """
    header = read_header(path)
    kind = kind_of(header)
    if kind not in _MAKERS:
        raise CheckpointError(
            f"{path.name} is no ControlNet or T2I-Adapter: it is {DESCRIPTIONS[kind]}."
        )
    model, infos, made = _MAKERS[kind](header, checkpoint)
    _fill(model, infos, header, checkpoint)
    sha256 = digests.compute(path)
    require_unchanged(header)
    return made(sha256, model)


Made = tuple[Any, Infos, Callable[[str, Any], Net]]


def _controlnet(header: Header, checkpoint: Checkpoint) -> Made:
    """A ControlNet without weights, where they lie, and what makes a net of it."""
    for mark, why in _PARTIAL.items():
        if mark in header.tensors:
            raise CheckpointError(f"{header.path.name} {why}.")
    infos = naming.controlnet(header.tensors.values())
    shapes = {name: info.shape for name, info in infos.items()}
    _require_width(header.path.name, shapes, checkpoint.unet.config.cross_attention_dim)
    widths = naming.hint_widths(shapes)
    _require_scale(header.path.name, 1 << max(0, len(widths) - 1), checkpoint.vae_scale)
    named = inspect.signature(ControlNetModel).parameters
    config = {name: value for name, value in checkpoint.unet.config.items() if name in named}
    config |= {
        "in_channels": shapes.get("conv_in.weight", (0, 4))[1],
        "conditioning_channels": shapes["controlnet_cond_embedding.conv_in.weight"][1],
        "conditioning_embedding_out_channels": widths,
    }
    with torch.device("meta"):
        model = ControlNetModel(**config)
    places, pooled = len(model.controlnet_down_blocks) + 1, _is_pooled(header.path)

    return model, infos, partial(ControlNet, places=places, pooled=pooled)


def _adapter(header: Header, checkpoint: Checkpoint) -> Made:
    """The same of a T2I-Adapter."""
    file, scale = header.path.name, checkpoint.vae_scale
    _require_halves(file, checkpoint.unet)
    infos = naming.adapter(header.tensors.values())
    shapes = {name: info.shape for name, info in infos.items()}
    channels = list(checkpoint.unet.config.block_out_channels)
    light = "adapter.body.0.out_conv.weight" in shapes
    first = "adapter.body.0.in_conv.weight" if light else "adapter.conv_in.weight"
    blocks = 1 + max(int(n.split(".")[4]) for n in shapes if n.startswith("adapter.body.0.resnets"))
    with torch.device("meta"):
        model = T2IAdapter(
            in_channels=shapes.get(first, (0, 3 * scale**2))[1] // scale**2,
            channels=channels[:-1] if light else channels,
            num_res_blocks=blocks,
            downscale_factor=scale,
            adapter_type="light_adapter" if light else "full_adapter",
        )
    return model, infos, partial(Adapter, places=len(channels))


_MAKERS: Mapping[str, Callable[[Header, Checkpoint], Made]] = {
    "controlnet": _controlnet,
    "t2i-adapter": _adapter,
}


def _fill(model: Any, infos: Infos, header: Header, checkpoint: Checkpoint) -> None:
    """Give ``model`` its weights; raises where they are not exactly those that it has."""
    weight, file, expected = (
        next(checkpoint.unet.parameters()),
        header.path.name,
        model.state_dict(),
    )
    _require_names(file, "lacks", expected.keys() - infos.keys(), len(expected))
    _require_names(file, "has in excess", infos.keys() - expected.keys(), len(infos))
    tensors = {}
    for name, like in expected.items():
        info = fit(file, "control", name, infos[name], tuple(like.shape))
        stored = read(info)
        tensors[name] = storage.empty(stored.shape, weight.dtype, str(weight.device)).copy_(stored)
        if not is_finite(tensors[name]):
            raise CheckpointError(f"{file}: {info.name!r} holds values that are not finite.")
    model.load_state_dict(tensors, assign=True)
    model.eval().requires_grad_(False)


def _require_names(file: str, what: str, names: set[str], count: int) -> None:
    if names:
        shown = ", ".join(repr(name) for name in sorted(names)[:_SHOWN])
        more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
        raise CheckpointError(
            f"{file} {what} {len(names):,} of {count:,} tensors of a control for this model: "
            f"{shown}{more}."
        )


def _require_width(file: str, shapes: Mapping[str, tuple[int, ...]], width: int) -> None:
    """That it reads contexts as wide as the model's."""
    reads = (shape for name, shape in shapes.items() if name.endswith("attn2.to_k.weight"))
    found = next((shape[-1] for shape in reads if shape), width)
    if found != width:
        family = f" ({_BASES[BASES[found]]})" if found in BASES else ""
        raise CheckpointError(
            f"{file} reads contexts {found} wide{family}; those of the model are {width}."
        )


def _require_scale(file: str, found: int, scale: int) -> None:
    if found != scale:
        raise CheckpointError(
            f"{file} reads maps of {found} pixels to one of the latent; the model has {scale}."
        )


def _require_halves(file: str, unet: Any) -> None:
    """That diffusers' UNet takes what an adapter adds at the size of each block."""
    blocks = unet.down_blocks
    if any(not getattr(b, "has_cross_attention", False) and b.downsamplers for b in blocks):
        raise CheckpointError(
            f"{file} is a T2I-Adapter, and the model has no attention in some larger block of its "
            "UNet: T2I-Adapters are for the layout of Stable Diffusion 1.5."
        )


def _is_pooled(path: Path) -> bool:
    """Told by diffusers' config beside the file, else by the name that AUTOMATIC1111 goes by."""
    with suppress(OSError, ValueError, AttributeError):
        told = json.loads(path.with_name("config.json").read_text()).get("global_pool_conditions")
        return bool(told)
    return "shuffle" in path.stem.lower()

"""Small random controls of a model's own layout, and their files as programs write them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from diffusers import ControlNetModel, T2IAdapter
from safetensors.torch import save_file
from torch import Tensor

from limner.engine.checkpoints import digests
from tests.engine.checkpoint_files import unet_name

Tensors = dict[str, Tensor]


def controlnet(unet: Any, *, scale: int = 8, seed: int = 0) -> Any:
    """A ControlNet of a UNet whose ends are not zero; one latent pixel spans ``scale``."""
    widths = [8 * n for n in range(1, scale.bit_length() + 1)]
    with _seeded(seed):
        made = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=widths)
    # Large enough to be seen in a picture, small enough that the UNet goes on drawing.
    ends = ("controlnet_down_blocks", "controlnet_mid_block", "controlnet_cond_embedding.conv_out")
    return _random(made, seed, dict.fromkeys(ends, 0.03))


def adapter(
    *, channels: list[int], kind: str = "full_adapter", grey: int = 3, seed: int = 0
) -> Any:
    """A T2I-Adapter for a UNet of these widths."""
    given = channels[:-1] if kind == "light_adapter" else channels
    layout = {"num_res_blocks": 2, "downscale_factor": 8, "adapter_type": kind}
    with _seeded(seed):
        made = T2IAdapter(in_channels=grey, channels=given, **layout)
    return _random(made, seed, {})


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """What diffusers leaves to chance is the same each time."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


def _random(model: Any, seed: int, ends: dict[str, float]) -> Any:
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in model.named_parameters():
            for end, size in ends.items():
                if name.startswith(end):
                    value.copy_(torch.randn(value.shape, generator=g) * size)
    return model.eval().requires_grad_(False)


def written(path: Path, tensors: Tensors) -> str:
    """Write a file; its SHA-256."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: value.contiguous() for name, value in tensors.items()}, path)
    return digests.compute(path)


def original(model: Any) -> Tensors:
    """A ControlNet's tensors by the names of its authors."""
    return {f"control_model.{_original(name, model)}": t for name, t in model.state_dict().items()}


def _original(name: str, model: Any) -> str:
    layer, _, end = name.rpartition(".")
    last = 2 + 2 * len(model.controlnet_cond_embedding.blocks)
    if layer.startswith("controlnet_cond_embedding."):
        inner = layer.removeprefix("controlnet_cond_embedding.")
        number = {"conv_in": 0, "conv_out": last}.get(inner)
        number = 2 + 2 * int(inner.split(".")[1]) if number is None else number
        return f"input_hint_block.{number}.{end}"
    if layer.startswith("controlnet_down_blocks."):
        return f"zero_convs.{layer.split('.')[1]}.0.{end}"
    if layer == "controlnet_mid_block":
        return f"middle_block_out.0.{end}"
    return unet_name(name).removeprefix("model.diffusion_model.")


def tencent(model: Any) -> Tensors:
    """A full T2I-Adapter's tensors by the names of its authors, who number blocks throughout."""
    found = {}
    for name, value in model.state_dict().items():
        parts = name.removeprefix("adapter.").split(".")
        if parts[0] == "body" and parts[2] == "resnets":
            parts[1:4] = [str(2 * int(parts[1]) + int(parts[3]))]
        elif parts[0] == "body":
            parts[1] = str(2 * int(parts[1]))
        found[".".join(parts)] = value
    return found

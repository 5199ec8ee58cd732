"""A LoRA round the layers of a frozen UNet, and its file in kohya's names."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from limner.engine.adapters.targets import UNET, layers


class LoRA(nn.Module):
    """A layer and a low-rank change of it (Hu et al. 2021); the change starts at zero."""

    def __init__(self, layer: nn.Linear | nn.Conv2d, rank: int) -> None:
        super().__init__()
        self.layer = layer
        out, *columns = layer.weight.shape
        self.down = nn.Parameter(torch.empty(rank, *columns))
        self.up = nn.Parameter(torch.zeros(out, rank))
        nn.init.kaiming_uniform_(self.down, a=5**0.5)
        self.strength = 1.0

    def forward(self, x: Tensor, *_) -> Tensor:
        """The layer's output with the change."""
        down, up = self.down.to(x.dtype), self.up.to(x.dtype) * self.strength
        if isinstance(self.layer, nn.Linear):
            return self.layer(x) + F.linear(F.linear(x, down), up)
        inner = F.conv2d(x, down, None, self.layer.stride, self.layer.padding)
        return self.layer(x) + F.conv2d(inner, up[:, :, None, None])


def attach(unet: nn.Module, rank: int, *, attention: bool = False) -> dict[str, LoRA]:
    """Freeze a UNet and put a LoRA round each of its convolutions, by path.

    Without `attention` and the other linear layers a step takes a third less time, and what a LoRA
    of a style changes is not in them.
    """
    unet.requires_grad_(False)
    put = {}
    for target in list(layers(UNET, unet)):
        if not target.is_norm and (attention or "conv" in target.path):
            parent, _, name = target.path.rpartition(".")
            put[target.path] = LoRA(unet.get_submodule(target.path), rank)
            setattr(unet.get_submodule(parent), name, put[target.path])
    return put


def weights(loras: dict[str, LoRA]) -> list[Tensor]:
    """What is trained."""
    return [weight for each in loras.values() for weight in (each.down, each.up)]


def save(loras: dict[str, LoRA], path: Path, metadata: dict[str, str]) -> None:
    """Write float16 tensors in kohya's names; alpha is the rank."""
    tensors = {}
    for name, lora in loras.items():
        start = f"lora_unet_{name.replace('.', '_')}"
        conv = isinstance(lora.layer, nn.Conv2d)
        up = lora.up[:, :, None, None] if conv else lora.up
        tensors[f"{start}.lora_down.weight"] = lora.down.detach().half().contiguous()
        tensors[f"{start}.lora_up.weight"] = up.detach().half().contiguous()
        tensors[f"{start}.alpha"] = torch.tensor(float(len(lora.down))).half()
    save_file(tensors, path, metadata=metadata)
    path.chmod(0o644)


def load(unet: nn.Module, path: Path) -> dict[str, LoRA]:
    """Put the LoRA of a file that was saved here round the layers of a UNet."""
    tensors = load_file(path)
    rank = len(tensors["lora_unet_conv_in.lora_down.weight"])
    put = attach(unet, rank, attention=any("attn" in name for name in tensors))
    with torch.no_grad():
        for name, lora in put.items():
            start = f"lora_unet_{name.replace('.', '_')}"
            lora.down.copy_(tensors[f"{start}.lora_down.weight"])
            lora.up.copy_(tensors[f"{start}.lora_up.weight"].reshape(lora.up.shape))
    return put

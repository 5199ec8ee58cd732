"""Small random upscalers, and their files as programs write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from limner.engine.checkpoints import digests
from limner.engine.checkpoints.spandrels import spandrel

Tensors = dict[str, torch.Tensor]


def esrgan(*, scale: int = 4, blocks: int = 1, width: int = 8, seed: int = 0) -> Tensors:
    """ESRGAN under its older names; what it makes has every grey."""
    spandrel()
    from spandrel.architectures.ESRGAN import ESRGAN

    return _random(ESRGAN(num_filters=width, num_blocks=blocks, scale=scale), seed)


def compact(*, scale: int = 2, layers: int = 4, channels: int = 3, seed: int = 0) -> Tensors:
    """Real-ESRGAN's compact network."""
    spandrel()
    from spandrel.architectures.Compact import Compact

    made = Compact(
        num_in_ch=channels, num_out_ch=channels, num_feat=8, num_conv=layers, upscale=scale
    )
    return _random(made, seed)


def swinir(*, seed: int = 0) -> Tensors:
    """SwinIR, whose windows of 8 are shifted by 4; twice as large."""
    spandrel()
    from spandrel.architectures.SwinIR import SwinIR

    made = SwinIR(
        img_size=32, embed_dim=12, depths=[2], num_heads=[2], window_size=8, mlp_ratio=2,
        upscale=2, img_range=1.0, upsampler="pixelshuffle", resi_connection="1conv",
    )  # fmt: skip
    return _random(made, seed)


def _random(model: Any, seed: int) -> Tensors:
    """Weights that keep about the size of what goes through, and so end within [0, 1]."""
    g = torch.Generator().manual_seed(seed)
    state = model.state_dict()
    for name, value in state.items():
        if value.is_floating_point() and value.ndim > 1:
            share = value[0].numel() ** -0.5
            state[name] = torch.randn(value.shape, generator=g) * share
        elif name.endswith("bias") and value.ndim == 1:
            state[name] = torch.full(value.shape, 0.05)
    return {name: value.contiguous() for name, value in state.items()}


def written(path: Path, tensors: Tensors) -> str:
    """The SHA-256 of a file of these: safetensors, or what torch.save writes as ``.pth``."""
    if path.suffix == ".safetensors":
        save_file(tensors, path)
    else:
        torch.save({"params_ema": tensors}, path)
    return digests.compute(path)


def in_one_piece(tensors: Tensors, pixels: Any) -> Any:
    """spandrel's own run, as float32 of 0 to 255."""
    found = spandrel().ModelLoader().load_from_state_dict(dict(tensors))
    image = torch.tensor(pixels).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        return found(image)[0].permute(1, 2, 0).mul(255).numpy()

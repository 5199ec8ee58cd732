"""Every network of spandrel's that makes pictures larger, small and random."""

from __future__ import annotations

import importlib
from typing import Any

import torch
from torch import nn

from limner.engine.checkpoints.spandrels import spandrel

_SWIN: dict[str, Any] = {
    "img_size": 32, "embed_dim": 12, "depths": [2], "num_heads": [2], "window_size": 8,
    "mlp_ratio": 2, "upscale": 2, "upsampler": "pixelshuffle", "resi_connection": "1conv",
}  # fmt: skip
_THREE: dict[str, Any] = {"num_in_ch": 3, "num_out_ch": 3}
_BLOCKS: dict[str, Any] = {
    "embed_dim": 48,
    "depth": [2],
    "num_heads": [2],
    "upscale": 2,
    "img_size": 64,
}

# By what it is here: the module and class, and how it is made.
ALL: dict[str, tuple[str, dict[str, Any]]] = {
    "Compact": ("Compact.Compact", {"num_feat": 8, "num_conv": 4, "upscale": 2}),
    "ESRGAN": ("ESRGAN.ESRGAN", {"num_filters": 8, "num_blocks": 1, "scale": 4}),
    "ESRGAN+": ("ESRGAN.ESRGAN", {"num_filters": 8, "num_blocks": 1, "plus": True}),
    "ESRGAN, folded": (
        "ESRGAN.ESRGAN",
        {"in_nc": 12, "num_filters": 8, "num_blocks": 1, "scale": 4, "shuffle_factor": 2},
    ),
    "Swift-SRGAN": (
        "SwiftSRGAN.SwiftSRGAN",
        {"num_channels": 8, "num_blocks": 2, "upscale_factor": 2},
    ),
    "SPAN": ("SPAN.SPAN", {**_THREE, "feature_channels": 8, "upscale": 2}),
    "PLKSR": ("PLKSR.PLKSR", {"dim": 8, "n_blocks": 2, "upscaling_factor": 2, "kernel_size": 9}),
    "RealPLKSR": (
        "PLKSR.RealPLKSR",
        {"dim": 8, "n_blocks": 2, "upscaling_factor": 2, "kernel_size": 9},
    ),
    "RealPLKSR, DySample": (
        "PLKSR.RealPLKSR",
        {"dim": 8, "n_blocks": 2, "upscaling_factor": 2, "kernel_size": 9, "dysample": True},
    ),
    "MoSR": ("MoSR.MoSR", {"upscale": 2, "n_block": 2, "dim": 16}),
    "MoESR": ("MoESR.MoESR", {"scale": 2, "dim": 16, "n_blocks": 1, "n_block": 2}),
    "RealCUGAN 2x": ("RealCUGAN.UpCunet2x", {}),
    "RealCUGAN 3x": ("RealCUGAN.UpCunet3x", {}),
    "RealCUGAN 4x": ("RealCUGAN.UpCunet4x", {}),
    "RCAN": ("RCAN.RCAN", {"scale": 2, "n_resgroups": 1, "n_resblocks": 2, "n_feats": 16}),
    "SAFMN": ("SAFMN.SAFMN", {"dim": 8, "n_blocks": 2, "upscaling_factor": 2}),
    "SAFMN BCIE": ("SAFMNBCIE.SAFMNBCIE", {"dim": 8, "n_blocks": 1, "num_layers": 1}),
    "MMRealSR": (
        "MMRealSR.MMRealSR",
        {
            **_THREE, "num_feat": 8, "num_block": 1, "num_grow_ch": 4, "num_feats": [8] * 4,
            "num_blocks": [1] * 4,
        },
    ),
    "SwinIR": ("SwinIR.SwinIR", _SWIN),
    "Swin2SR": ("Swin2SR.Swin2SR", _SWIN),
    "HAT": ("HAT.HAT", {**_SWIN, "squeeze_factor": 4}),
    "DRCT": ("DRCT.DRCT", {**_SWIN, "gc": 4}),
    "ATD": (
        "ATD.ATD",
        {**_SWIN, "category_size": 64, "num_tokens": 8, "reducted_dim": 4},
    ),
    "GRL": (
        "GRL.GRL",
        {
            "img_size": 32, "embed_dim": 16, "upscale": 2, "upsampler": "pixelshuffle",
            "depths": [2], "num_heads_window": [2], "num_heads_stripe": [2], "window_size": 8,
            "stripe_size": [8, 8], "stripe_groups": [None, None], "mlp_ratio": 2,
            "anchor_window_down_factor": 2,
        },
    ),
    "DAT": ("DAT.DAT", {**_BLOCKS, "split_size": [8, 8], "expansion_factor": 2}),
    "RGT": ("RGT.RGT", {**_BLOCKS, "split_size": [8, 8], "mlp_ratio": 2}),
    "CRAFT": ("CRAFT.CRAFT", {"embed_dim": 48, "depths": [2], "num_heads": [2], "upscale": 2}),
    "OmniSR": ("OmniSR.OmniSR", {"num_feat": 8, "up_scale": 2}),
    "DITN": ("DITN.DITN", {"dim": 12, "ITL_blocks": 1, "SAL_blocks": 1, "upscale": 2}),
    "DCTLSA": ("DCTLSA.DCTLSA", {"nf": 10, "upscale": 2}),
    "IPT": ("IPT.IPT", {"patch_size": 24, "n_feats": 4, "scale": [2], "num_heads": 2,
                        "num_layers": 1}),
    "SeemoRe": (
        "SeemoRe.SeemoRe",
        {"scale": 2, "num_experts": 2, "num_layers": 2, "embedding_dim": 8},
    ),
    "FDAT": (
        "FDAT.FDAT",
        {"scale": 2, "embed_dim": 16, "num_groups": 1, "depth_per_group": 2, "num_heads": 2},
    ),
}  # fmt: skip


def made(name: str, seed: int = 0) -> dict[str, torch.Tensor]:
    """The tensors of one, of weights as PyTorch makes them and a last layer that fills [0, 1]."""
    spandrel()
    place, arguments = ALL[name]
    module, _, kind = place.partition(".")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = getattr(importlib.import_module(f"spandrel.architectures.{module}"), kind)
        return _spread(model(**arguments).eval())


@torch.no_grad()
def _spread(model: nn.Module) -> dict[str, torch.Tensor]:
    """What it makes of noise gets a mean of a half and a deviation of a fifth, about."""
    run = spandrel().MAIN_REGISTRY.load(model.state_dict())
    image = torch.rand(1, 3, 48, 48)
    found = run.model.eval()
    layers: list[Any] = []
    for each in found.modules():
        if isinstance(each, nn.Conv2d | nn.ConvTranspose2d):
            each.register_forward_hook(lambda module, _given, _made: layers.append(module))
    for _ in range(3):
        made = run(image)
        last = layers[-1]
        last.weight.mul_(0.2 / max(float(made.std()), 1e-6))
        if last.bias is not None:
            last.bias.add_(0.5 - float(made.mean()))
    return {name: value.clone().contiguous() for name, value in found.state_dict().items()}

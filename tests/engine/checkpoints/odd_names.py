"""Files whose tensors have other names or shapes, or lie in several files."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from safetensors.torch import save_file

from tests.engine.checkpoints.writing import (
    INNER,
    POSITIONS,
    TEXT,
    UNET,
    VAE,
    Made,
    Tensors,
    only,
    plain,
    without,
    written,
)


def both_text_namings(folder: Path, tensors: Tensors) -> Path:
    junk = {key.replace(INNER, TEXT): value + 1 for key, value in only(tensors, INNER).items()}
    return written(folder, junk | tensors)


def in_pipeline_names(folder: Path, _: Tensors) -> Made:
    found: Tensors = {}
    for name, part in plain().items():
        middle = "text_model." if name == "text_encoder" else ""
        state = part.state_dict().items()
        found |= {f"{name}.{middle}{key}": value.half() for key, value in state}
    return written(folder, found)


def flat(tensors: Tensors) -> Tensors:
    """Names as running averages have them, without dots."""
    return {
        "model_ema." + key.removeprefix("model.").replace(".", ""): value
        for key, value in only(tensors, UNET).items()
    }


def ema_only(folder: Path, tensors: Tensors) -> Path:
    counts = {"model_ema.decay": torch.ones(()), "model_ema.num_updates": torch.ones(())}
    return written(folder, without(tensors, UNET) | flat(tensors) | counts)


def ema_beside_wrapped(folder: Path, tensors: Tensors) -> Path:
    """The rest of an EMA-only file wrapped, the averages not."""
    rest = {f"module.{key}": value for key, value in without(tensors, UNET).items()}
    return written(folder, rest | flat(tensors))


def ema_beside(folder: Path, tensors: Tensors) -> Path:
    return written(folder, tensors | {key: value + 1 for key, value in flat(tensors).items()})


def vae_beside(folder: Path, tensors: Tensors, name: str) -> Path:
    vae = {key.removeprefix(VAE): value for key, value in only(tensors, VAE).items()}
    if name.endswith(".pt"):
        torch.save({"state_dict": vae}, folder / name)
    else:
        save_file(vae, folder / name)
    return written(folder, without(tensors, VAE))


def linear_projections(folder: Path, tensors: Tensors) -> Path:
    return written(
        folder,
        {
            key: value[:, :, 0, 0] if re.search(r"proj_(in|out)\.weight$", key) else value
            for key, value in tensors.items()
        },
    )


def flat_vae_attention(folder: Path, tensors: Tensors) -> Path:
    return written(
        folder,
        {
            key: value[:, :, 0, 0] if ".attn_1." in key and value.ndim == 4 else value
            for key, value in tensors.items()
        },
    )


def stored_positions(folder: Path, tensors: Tensors, dtype: torch.dtype) -> Path:
    wrong = torch.arange(77)[None].to(dtype) - (0.0025 if dtype.is_floating_point else 0)
    return written(folder, tensors | {POSITIONS: wrong.to(dtype)})


EXTRA = (
    "embedding_manager.embedder.x", "denoiser.sigmas", "betas", "sqrt_alphas_cumprod",
    "safety_checker.visual_projection.weight", "bundle_emb.name.string_to_param.*",
    f"{TEXT}text_projection.weight", f"{TEXT}logit_scale",
    f"{UNET}input_blocks.1.1.motion_modules.0.x",
)  # fmt: skip

"""A folder of models with which a fake engine can draw."""

from __future__ import annotations

from pathlib import Path

from limner.domain.model import ModelInfo
from limner.engine.batching.fake import FAKE_MODEL
from limner.engine.checkpoints import cards, prediction
from limner.engine.checkpoints.layouts import EMBEDDED
from tests.engine import checkpoint_files
from tests.models import files

SQUIRE = "squire"


def write(folder: Path) -> Path:
    """``knight`` predicts v with zero terminal SNR; ``fox`` is a LoRA, ``soft`` a VAE."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = checkpoint_files.models()
    checkpoint_files.write_single_file(folder / "knight.safetensors", parts)
    (folder / "knight.yaml").write_text("parameterization: v", encoding="utf-8")
    files.lora(folder / "fox.safetensors")
    files.save_vae(folder / "soft.safetensors", checkpoint_files.models(seed=7)["vae"])
    return folder


def info(model: Path = EMBEDDED, vae: Path | None = None) -> ModelInfo:
    """As an engine would tell it that had loaded this."""
    card = cards.read(model, vae, prediction.AS_TOLD)
    more = {name: getattr(FAKE_MODEL, name) for name in ("dtype", "device", "parameters")}
    return ModelInfo(**vars(card), **more)

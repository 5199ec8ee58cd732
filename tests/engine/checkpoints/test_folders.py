"""Of a folder its configs, shards and card count; other folders are refused."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from limner.domain import licences
from limner.engine.checkpoints.layouts import read_layout
from limner.engine.checkpoints.names import UNET, VAE
from limner.errors import CheckpointError
from tests.engine import checkpoint_files
from tests.engine.checkpoints.loading import assert_equal, copy, edit_json, load


@pytest.mark.slow
def test_scale_and_betas_come_from_the_folders_configs(folder: Path, tmp_path: Path) -> None:
    other = copy(folder, tmp_path / "other")
    edit_json(other / "vae" / "config.json", scaling_factor=0.5)
    edit_json(other / "scheduler" / "scheduler_config.json", beta_end=0.02)
    ours = load(other)
    assert ours.latent_scaling == 0.5
    assert ours.scheduler_betas["beta_end"] == 0.02
    assert ours.info.sha256 != load(folder).info.sha256


FOLDERS: dict[str, tuple[str, dict[str, Any], str]] = {
    "SDXL": ("model_index.json", {"_class_name": "StableDiffusionXLPipeline"}, "an SDXL"),
    "Flux": ("model_index.json", {"_class_name": "FluxPipeline"}, "a Flux"),
    "video": ("unet/config.json", {"_class_name": "UNetMotionModel"}, "made for UNetMotionModel"),
    "pix2pix": ("unet/config.json", {"in_channels": 8}, "instruction-editing .* 8-channel"),
    "depth": ("unet/config.json", {"in_channels": 5}, "a checkpoint with a 5-channel UNet"),
    "LCM": ("unet/config.json", {"time_cond_proj_dim": 256}, "latent consistency model"),
    "LCM's pipeline": (
        "model_index.json",
        {"_class_name": "LatentConsistencyModelPipeline"},
        "latent consistency model",
    ),
    "SDXL UNet": ("unet/config.json", {"addition_embed_type": "text_time"}, "an SDXL"),
    "SD 2": ("text_encoder/config.json", {"hidden_act": "gelu"}, "Stable Diffusion 2"),
    "of samples": (
        "scheduler/scheduler_config.json",
        {"prediction_type": "sample"},
        "predicts 'sample'",
    ),
    "impossible": ("unet/config.json", {"block_out_channels": [33]}, "no usable unet"),
}


@pytest.mark.parametrize("what", FOLDERS)
def test_other_folders_are_refused(folder: Path, tmp_path: Path, what: str) -> None:
    file, changes, words = FOLDERS[what]
    other = copy(folder, tmp_path / "other")
    edit_json(other / file, **changes)
    with pytest.raises(CheckpointError, match=words):
        load(other)


def test_folders_that_lack_something_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"without model_index\.json"):
        load(tmp_path)
    other = copy(folder, tmp_path / "other")
    file = other / "unet" / "diffusion_pytorch_model.safetensors"
    file.unlink()
    with pytest.raises(CheckpointError, match=r"holds no diffusion_pytorch_model\.safetensors"):
        load(other)
    shutil.rmtree(other / "unet")
    with pytest.raises(CheckpointError, match="no folder 'unet'"):
        load(other)


def test_all_that_is_wrong_with_a_checkpoint_is_told(folder: Path, tmp_path: Path) -> None:
    other = copy(folder, tmp_path / "other")
    (other / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    text = other / "text_encoder" / "model.safetensors"
    text.unlink()
    text.touch()
    both = r"unet holds no diffusion_pytorch_model\.safetensors, .* model\.safetensors is empty"
    with pytest.raises(CheckpointError, match=both):
        load(other)
    names = checkpoint_files.original(checkpoint_files.models())
    for name in (f"{UNET}out.2.bias", f"{VAE}decoder.conv_in.bias"):
        names[name] = torch.full_like(names[name], torch.nan)
    save_file(names, tmp_path / "spoilt.safetensors")
    both = "unet holds values that are not finite.*vae holds values that are not finite"
    with pytest.raises(CheckpointError, match=both):
        load(tmp_path / "spoilt.safetensors")


def test_shards_and_variants_are_found(folder: Path, parts: dict[str, Any], tmp_path: Path) -> None:
    other = copy(folder, tmp_path / "other")
    shutil.rmtree(other / "unet")
    parts["unet"].save_pretrained(other / "unet", max_shard_size="4MB")
    assert len(list((other / "unet").glob("*.safetensors"))) > 1
    plain = other / "vae" / "diffusion_pytorch_model.safetensors"
    plain.rename(plain.with_name("diffusion_pytorch_model.fp16.safetensors"))
    ours = load(other)
    assert_equal(ours.unet, parts["unet"])
    assert_equal(ours.vae, parts["vae"])


@pytest.mark.parametrize(
    ("card", "licence", "asks"),
    [
        ("---\nlicense: apache-2.0\n---\n# X", "apache-2.0", False),
        ('---\ntags: [a]\nlicense: "creativeml-openrail-m"\n---\n', "creativeml-openrail-m", True),
        ("---\nlicense: other\n---\n", "creativeml-openrail-m", True),
        ("# no front matter\nlicense: mit\n", "creativeml-openrail-m", True),
        (None, "creativeml-openrail-m", True),
    ],
)
def test_the_folders_card_names_the_licence(
    folder: Path, tmp_path: Path, card: str | None, licence: str, asks: bool
) -> None:
    other = copy(folder, tmp_path / "other")
    if card is not None:
        (other / "README.md").write_text(card)
    found = licences.find(read_layout(other).licence)
    assert (found.id, found.needs_acceptance) == (licence, asks)

"""The VAE may be another: a file of any naming, a folder, one beside the checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from safetensors.torch import load_file, save_file

from limner.engine.checkpoints import importable, weights
from limner.errors import CheckpointError
from tests.engine import checkpoint_files
from tests.engine.checkpoints.loading import assert_equal, copy, edit_json, load
from tests.engine.checkpoints.writing import VAE, Tensors, without, written
from tests.rarely import rarely


@pytest.fixture(scope="module")
def other_vae() -> AutoencoderKL:
    return checkpoint_files.models(seed=7)["vae"]


def _vae_file(path: Path, vae: AutoencoderKL, prefix: str) -> Path:
    tensors = checkpoint_files.vae_tensors(vae).items()
    save_file({prefix + name: value.contiguous() for name, value in tensors}, path)
    return path


def _vae_folder(path: Path, vae: AutoencoderKL) -> Path:
    vae.save_pretrained(path)
    return path


def _beside_a_lora(path: Path, vae: AutoencoderKL) -> Path:
    stray = {"lora_te_x.lora_up.weight": torch.zeros(2, 2)}
    save_file({name: value.contiguous() for name, value in vae.state_dict().items()} | stray, path)
    return path


def _pickled_vae(path: Path, vae: AutoencoderKL) -> Path:
    extra = {"loss.logvar": torch.zeros(1), "model_ema.decay": torch.ones(())}
    torch.save({"state_dict": {**checkpoint_files.vae_tensors(vae), **extra}}, path)
    return path


VAES: dict[str, Callable[[Path, AutoencoderKL], Path]] = {
    "original names": lambda tmp, vae: _vae_file(tmp / "vae.safetensors", vae, ""),
    "checkpoint names": lambda tmp, vae: _vae_file(
        tmp / "vae.safetensors", vae, "first_stage_model."
    ),
    "Forge's names": lambda tmp, vae: _vae_file(tmp / "vae.safetensors", vae, "vae."),
    "pickled": lambda tmp, vae: _pickled_vae(tmp / "vae.pt", vae),
    "with keys of a LoRA": lambda tmp, vae: _beside_a_lora(tmp / "vae.safetensors", vae),
    "folder": lambda tmp, vae: _vae_folder(tmp / "vae", vae),
    "file in a folder": lambda tmp, vae: (
        _vae_folder(tmp / "vae", vae) / "diffusion_pytorch_model.safetensors"
    ),
}


@pytest.mark.parametrize("form", rarely(VAES, 4))
def test_the_vae_can_be_replaced(
    single_file: Path,
    loaded: weights.Checkpoint,
    other_vae: AutoencoderKL,
    tmp_path: Path,
    form: str,
) -> None:
    path = VAES[form](tmp_path, other_vae)
    ours = load(single_file, vae=path)
    assert_equal(ours.vae, other_vae)
    assert path.is_dir() or importable.kind(path) == "vae"
    assert ours.info.vae == path.name
    assert ours.info.vae_sha256
    assert f"VAE replaced by {path.name}" in ours.info.conversions
    assert ours.info.sha256 == loaded.info.sha256


@pytest.mark.slow
def test_a_vaes_file_does_not_believe_a_config_beside_it(
    single_file: Path, other_vae: AutoencoderKL, tmp_path: Path
) -> None:
    other_vae.save_pretrained(tmp_path / "vae")
    edit_json(tmp_path / "vae" / "config.json", scaling_factor=0.13025)
    assert load(single_file, vae=tmp_path / "vae").latent_scaling == 0.13025
    file = tmp_path / "vae" / "diffusion_pytorch_model.safetensors"
    assert load(single_file, vae=file).latent_scaling == 0.18215
    (tmp_path / "vae" / "config.json").write_text('{"model_type": "llama"}')
    assert_equal(load(single_file, vae=file).vae, other_vae)


def test_a_vae_of_old_diffusers_loads(folder: Path, tmp_path: Path) -> None:
    old = copy(folder, tmp_path / "old")
    file = old / "vae" / "diffusion_pytorch_model.safetensors"
    names = {"to_q.": "query.", "to_k.": "key.", "to_v.": "value.", "to_out.0.": "proj_attn."}
    tensors = load_file(file)
    for new, former in names.items():
        tensors = {name.replace(new, former): value for name, value in tensors.items()}
    file.unlink()
    save_file(tensors, file)
    assert any(".proj_attn." in name for name in tensors)
    assert_equal(load(old).vae, AutoencoderKL.from_pretrained(folder / "vae"))


def test_a_file_that_is_no_vae_is_refused(single_file: Path, tmp_path: Path) -> None:
    lora = tmp_path / "style.safetensors"
    save_file({"lora_unet_x.lora_up.weight": torch.ones(2, 2)}, lora)
    with pytest.raises(CheckpointError, match=r"style\.safetensors holds no VAE.*LoRA"):
        load(single_file, vae=lora)


def test_a_checkpoint_without_vae_needs_one(
    tensors: Tensors, other_vae: AutoencoderKL, tmp_path: Path
) -> None:
    path = written(tmp_path, without(tensors, VAE), "pruned.safetensors")
    with pytest.raises(CheckpointError, match=r"pruned\.safetensors holds no VAE.*--vae"):
        load(path)
    vae = VAES["original names"](tmp_path, other_vae)
    assert_equal(load(path, vae=vae).vae, other_vae)


def test_a_vae_beside_one_of_its_own_is_told_and_not_used(tensors: Tensors, tmp_path: Path) -> None:
    """AUTOMATIC1111 draws with the one beside; here it is named or left."""
    path = written(tmp_path, tensors, "baked.safetensors")
    _vae_file(tmp_path / "baked.vae.safetensors", checkpoint_files.models(seed=7)["vae"], "")
    ours = load(path)
    own = tensors[f"{VAE}decoder.conv_in.weight"].float()
    assert torch.equal(ours.vae.state_dict()["decoder.conv_in.weight"], own)
    told = "baked.vae.safetensors beside not used, for the file has a VAE of its own; --vae names"
    assert told in "; ".join(ours.info.conversions)
    assert (ours.info.vae, ours.info.vae_sha256) == ("built in", None)

"""What is loaded is what diffusers' own loaders read, in the number type that is asked for."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from diffusers.loaders.single_file_utils import create_diffusers_clip_model_from_ldm
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from safetensors.torch import load_file
from transformers.models.clip.modeling_clip import CLIPTextModel

from limner.engine.checkpoints import weights
from limner.engine.checkpoints.importing import import_checkpoint
from limner.engine.checkpoints.layouts import EMBEDDED, PROVENANCE, read_layout
from limner.errors import SettingsError
from tests.engine import checkpoint_files
from tests.engine.checkpoints.loading import assert_equal, edit_json, load


def test_a_single_file_loads_as_in_diffusers(
    single_file: Path, loaded: weights.Checkpoint, tmp_path: Path
) -> None:
    config = str(checkpoint_files.write_config_folder(tmp_path / "config"))
    ours = loaded
    options = {"config": config, "local_files_only": True, "torch_dtype": torch.float32}
    path = str(single_file)
    assert_equal(
        ours.unet, UNet2DConditionModel.from_single_file(path, subfolder="unet", **options)
    )
    assert_equal(ours.vae, AutoencoderKL.from_single_file(path, subfolder="vae", **options))
    text = create_diffusers_clip_model_from_ldm(
        CLIPTextModel,
        load_file(path),
        subfolder="text_encoder",
        config=config,
        torch_dtype=torch.float32,
        local_files_only=True,
    )
    assert_equal(ours.text_encoder, text)
    assert ours.info.parameters == {
        name: weights.count_parameters(getattr(ours, name)) for name in ours.info.parameters
    }
    assert ours.info.conversions == ("float16 weights computed as float32",)
    assert ours.info.licence_needs_acceptance


def test_a_folder_loads_as_in_diffusers(folder: Path) -> None:
    ours = load(folder)
    for name, kind in (("unet", UNet2DConditionModel), ("vae", AutoencoderKL)):
        assert_equal(getattr(ours, name), kind.from_pretrained(folder / name))
    theirs = CLIPTextModel.from_pretrained(folder / "text_encoder")
    assert_equal(ours.text_encoder, theirs)
    ids = ours.tokenizer("a knight in armor", padding="max_length", return_tensors="pt").input_ids
    assert torch.equal(ours.text_encoder(ids).last_hidden_state, theirs(ids).last_hidden_state)
    assert ours.info.conversions == ()


def test_the_embedded_model_loads_without_a_path() -> None:
    ours = load(None)
    assert ours.info.name == "Squire"
    assert ours.info.path == str(EMBEDDED)
    assert ours.info.licence == "apache-2.0"
    assert not ours.info.licence_needs_acceptance
    assert (ours.vae_scale, ours.latent_channels, ours.latent_scaling) == (16, 4, 0.18215)
    assert ours.scheduler_betas["beta_schedule"] == "scaled_linear"
    assert ours.tokenizer.model_max_length == 77
    assert not any(parameter.requires_grad for parameter in ours.unet.parameters())


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_weights_come_in_the_number_type_asked_for(single_file: Path, dtype: str) -> None:
    ours = load(single_file, dtype=dtype)
    for part in (ours.unet, ours.text_encoder):
        assert {parameter.dtype for parameter in part.parameters()} == {getattr(torch, dtype)}
    assert {parameter.dtype for parameter in ours.vae.parameters()} == {torch.float32}
    assert ours.info.dtype == dtype


def test_no_loaded_tensor_stays_in_the_file(single_file: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copy(single_file, tmp_path / "copy.safetensors"))
    ours = load(copy, dtype="float16")  # the file's own type: nothing needs converting
    before = {name: value.clone() for name, value in ours.unet.state_dict().items()}
    with copy.open("r+b") as file:  # as when a new version is copied over it
        file.write(b"\0" * copy.stat().st_size)
    for name, value in ours.unet.state_dict().items():
        assert torch.equal(value, before[name])


def test_rpg_v4_is_attributed(single_file: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(single_file, tmp_path / "RPG-v4.safetensors"))
    info = load(path).info
    assert info.name == "RPG V4"
    assert info.attribution[0] == "RPG V4 by Anashel"
    assert "Robin Rombach, Patrick Esser and contributors" in info.attribution[1]


def test_papers_of_another_file_are_not_believed(single_file: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(single_file, tmp_path / "mine.safetensors"))
    papers = {"file": "other.safetensors", "licence": "mit", "changes": ["x"]}
    (tmp_path / PROVENANCE).write_text(json.dumps(papers))
    assert read_layout(path).licence is None
    (tmp_path / PROVENANCE).write_text(json.dumps(papers | {"file": "mine.safetensors"}))
    assert (read_layout(path).licence, read_layout(path).notes) == ("mit", ("x",))


def test_unknown_devices_and_types_are_refused(single_file: Path) -> None:
    with pytest.raises(SettingsError, match=r"device is 'gpu'; allowed are auto, cpu and cuda"):
        load(single_file, device="gpu")
    with pytest.raises(SettingsError, match="dtype is 'int8'"):
        load(single_file, dtype="int8")


@pytest.mark.slow
@pytest.mark.parametrize("form", ["file", "folder", "imported"])
def test_an_inpainting_checkpoint_loads(form: str, tmp_path: Path) -> None:
    narrow = checkpoint_files.NARROW
    shape = {**narrow, "unet": {**narrow["unet"], "in_channels": 9}}
    parts = checkpoint_files.models(shape)
    if form == "folder":
        path = checkpoint_files.write_folder(tmp_path / "mask", parts)
        edit_json(path / "model_index.json", _class_name="StableDiffusionInpaintPipeline")
    else:
        path = checkpoint_files.write_single_file(
            tmp_path / "mask.safetensors", parts, torch.float32
        )
    if form == "imported":
        path = import_checkpoint(path, tmp_path / "models").path
    ours = load(path)
    assert_equal(ours.unet, parts["unet"])
    assert (ours.inpaints, ours.latent_channels, ours.info.kind) == (True, 4, "sd1-inpainting")

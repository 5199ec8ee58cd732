"""Every way of storing a checkpoint gives the tensors that diffusers' own loaders read."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.loaders.single_file_utils import create_diffusers_clip_model_from_ldm
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from safetensors.torch import load_file, save_file
from transformers.models.clip.modeling_clip import CLIPTextModel

from limner.domain import licences
from limner.engine.checkpoints import layouts, weights
from limner.engine.checkpoints.importing import import_checkpoint
from limner.engine.checkpoints.layouts import EMBEDDED, PROVENANCE, read_layout
from limner.engine.checkpoints.parts import Part
from limner.errors import CheckpointError, SettingsError
from tests.engine import checkpoint_files

Tensors = dict[str, torch.Tensor]
TEXT = "cond_stage_model.transformer."


@pytest.fixture(scope="module")
def parts() -> dict[str, Any]:
    return checkpoint_files.models()


@pytest.fixture(scope="module")
def single_file(parts: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("single")
    return checkpoint_files.write_single_file(folder / "narrow.safetensors", parts)


@pytest.fixture(scope="module")
def folder(parts: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoint_files.write_folder(tmp_path_factory.mktemp("folder") / "narrow", parts)


@pytest.fixture(scope="module")
def loaded(single_file: Path) -> weights.Checkpoint:
    return weights.load(single_file, device="cpu", dtype="float32")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def load(path: Path | None, **options: Any) -> weights.Checkpoint:
    return weights.load(path, **{"device": "cpu", "dtype": "float32", **options})


def assert_equal(ours: torch.nn.Module, theirs: torch.nn.Module) -> None:
    found, expected = ours.state_dict(), theirs.state_dict()
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(found[name], value), name
    buffers = dict(theirs.named_buffers())
    for name, buffer in ours.named_buffers():
        assert torch.equal(buffer, buffers[name]), name


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


def test_scale_and_betas_come_from_the_folders_configs(folder: Path, tmp_path: Path) -> None:
    other = copy(folder, tmp_path / "other")
    edit_json(other / "vae" / "config.json", scaling_factor=0.5)
    edit_json(other / "scheduler" / "scheduler_config.json", beta_end=0.02)
    ours = load(other)
    assert ours.latent_scaling == 0.5
    assert ours.scheduler_betas["beta_end"] == 0.02
    assert ours.info.sha256 != load(folder).info.sha256


def copy(folder: Path, target: Path) -> Path:
    """The folder again; its files are shared, so replace them rather than write into them."""
    return Path(shutil.copytree(folder, target, copy_function=os.link))


def edit_json(path: Path, **changes: Any) -> None:
    values = json.loads(path.read_text())
    path.unlink()
    path.write_text(json.dumps(values | changes))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_weights_come_in_the_number_type_asked_for(single_file: Path, dtype: str) -> None:
    ours = load(single_file, dtype=dtype)
    for part in (ours.unet, ours.text_encoder):
        assert {parameter.dtype for parameter in part.parameters()} == {getattr(torch, dtype)}
    assert {parameter.dtype for parameter in ours.vae.parameters()} == {torch.float32}
    assert ours.info.dtype == dtype


def test_no_tensor_stays_in_the_mapped_file(single_file: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copy(single_file, tmp_path / "copy.safetensors"))
    ours = load(copy, dtype="float16")  # the file's own type: nothing needs converting
    before = {name: value.clone() for name, value in ours.unet.state_dict().items()}
    with copy.open("r+b") as file:  # as when a new version is copied over it
        file.write(b"\0" * copy.stat().st_size)
    for name, value in ours.unet.state_dict().items():
        assert torch.equal(value, before[name])


# --- other VAEs -------------------------------------------------------------------------------


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
    "folder": lambda tmp, vae: _vae_folder(tmp / "vae", vae),
    "file in a folder": lambda tmp, vae: (
        _vae_folder(tmp / "vae", vae) / "diffusion_pytorch_model.safetensors"
    ),
}


@pytest.mark.parametrize("form", VAES)
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
    assert ours.info.vae == path.name
    assert ours.info.vae_sha256
    assert f"VAE replaced by {path.name}" in ours.info.conversions
    assert ours.info.sha256 == loaded.info.sha256


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


# --- variants of single files -----------------------------------------------------------------


def variant(source: Path, path: Path, change: Callable[[Tensors], Tensors]) -> Path:
    save_file(change(load_file(source)), path)
    return path


def test_a_text_encoder_without_its_prefix_loads(
    single_file: Path, loaded: weights.Checkpoint, tmp_path: Path
) -> None:
    path = variant(
        single_file,
        tmp_path / "merged.safetensors",
        lambda tensors: {k.replace(f"{TEXT}text_model.", TEXT): v for k, v in tensors.items()},
    )
    assert_equal(load(path).text_encoder, loaded.text_encoder)


def test_copies_that_drawing_does_not_need_are_left_out(
    single_file: Path, loaded: weights.Checkpoint, tmp_path: Path
) -> None:
    extra = {"model_ema.decay": torch.ones(1), "alphas_cumprod": torch.ones(1000)}
    path = variant(single_file, tmp_path / "ema.safetensors", lambda tensors: tensors | extra)
    assert_equal(load(path).unet, loaded.unet)


def test_a_checkpoint_without_vae_needs_one(
    single_file: Path, other_vae: AutoencoderKL, tmp_path: Path
) -> None:
    path = variant(
        single_file,
        tmp_path / "pruned.safetensors",
        lambda tensors: {k: v for k, v in tensors.items() if not k.startswith("first_stage")},
    )
    with pytest.raises(CheckpointError, match=r"pruned\.safetensors holds no VAE.*--vae"):
        load(path)
    vae = VAES["original names"](tmp_path, other_vae)
    assert_equal(load(path, vae=vae).vae, other_vae)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, []),
        ({"hidden_size": 768, "num_hidden_layers": 12, "max_position_embeddings": 77}, []),
        ({"hidden_size": 768, "num_hidden_layers": 11}, ["the text encoder has 11 layers"]),
        ({"hidden_size": 768, "max_position_embeddings": 248}, ["has 248 positions"]),
    ],
)
def test_a_text_encoder_unlike_sd15s_is_told(changes: dict[str, Any], told: list[str]) -> None:
    standard = {"num_hidden_layers": 12, "max_position_embeddings": 77}
    sentences = list(layouts._about_text({"text_encoder": Part({**standard, **changes}, ())}))
    assert len(sentences) == len(told)
    assert all(words in sentence for words, sentence in zip(told, sentences, strict=True))


REFUSED: dict[str, tuple[Callable[[Tensors], Tensors], str]] = {
    "no text encoder": (
        lambda t: {k: v for k, v in t.items() if not k.startswith("cond_")},
        "no text encoder",
    ),
    "a missing tensor": (
        lambda t: {k: v for k, v in t.items() if "out.2.weight" not in k},
        r"lacks 1 of the \d+ tensors of the unet, 'conv_out\.weight'",
    ),
    "a wrong shape": (
        lambda t: t | {"model.diffusion_model.out.2.bias": torch.ones(5)},
        r"'conv_out\.bias' of the unet has shape \(5,\), expected \(4,\)",
    ),
    "a foreign text encoder": (
        lambda t: t | {f"{TEXT}text_model.final_layer_norm.bias": torch.ones(31)},
        "text_encoder",
    ),
    "a 16-channel VAE": (
        lambda t: t | {"first_stage_model.post_quant_conv.weight": torch.ones(16, 16, 1, 1)},
        "16 latent channels; 4 are needed",
    ),
    "a small vocabulary": (
        lambda t: t | {f"{TEXT}text_model.embeddings.token_embedding.weight": torch.ones(1000, 32)},
        "tokenizer knows 49408 tokens, the text encoder 1000",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_an_incomplete_file_is_refused(single_file: Path, tmp_path: Path, what: str) -> None:
    change, words = REFUSED[what]
    path = variant(single_file, tmp_path / "odd.safetensors", change)
    with pytest.raises(CheckpointError, match=words) as caught:
        load(path)
    assert "odd.safetensors" in str(caught.value)


def test_a_header_that_contradicts_itself_is_refused(single_file: Path, tmp_path: Path) -> None:
    whole = single_file.read_bytes()
    for sound, broken in ((b'"F16"', b'"F32"'), (b'"shape":[4]', b'"shape":[5]')):
        assert sound in whole
        path = tmp_path / "odd.safetensors"
        path.write_bytes(whole.replace(sound, broken, 1))
        with pytest.raises(CheckpointError, match=r"odd\.safetensors"):
            load(path)


# --- folders ----------------------------------------------------------------------------------

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
    assert (read_layout(path).licence, read_layout(path).changes) == ("mit", ("x",))


def test_unknown_devices_and_types_are_refused(single_file: Path) -> None:
    with pytest.raises(SettingsError, match=r"device is 'gpu'; allowed are auto, cpu and cuda"):
        load(single_file, device="gpu")
    with pytest.raises(SettingsError, match="dtype is 'int8'"):
        load(single_file, dtype="int8")


def test_a_path_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"absent\.safetensors does not exist"):
        load(tmp_path / "absent.safetensors")

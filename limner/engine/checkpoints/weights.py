"""Load a Stable Diffusion 1.x checkpoint, offline, part by part.

Each part is built without storage, then given its tensors one at a time from the memory-mapped
file, already in the number type and on the device that were chosen: the peak is what the result
needs and one tensor more. The key names of latent diffusion are translated by diffusers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers.loaders.single_file_utils import (
    convert_ldm_clip_checkpoint,
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
)
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from safetensors import SafetensorError, safe_open
from transformers.models.clip.configuration_clip import CLIPTextConfig
from transformers.models.clip.modeling_clip import CLIPTextModel
from transformers.models.clip.tokenization_clip import CLIPTokenizer

from limner.domain import licences
from limner.domain.model import ModelInfo
from limner.engine.checkpoints import prediction, probe
from limner.engine.checkpoints.inspection import TEXT, UNET, VAE, read_header
from limner.engine.checkpoints.layouts import EMBEDDED, Layout, Part, chosen, vae_sha256
from limner.engine.checkpoints.prediction import AS_TOLD, Wish
from limner.errors import CheckpointError

Tensors = dict[str, torch.Tensor]
VAE_DTYPE = "float32"
"""Whatever the UNet's: in float16 some VAEs overflow, bfloat16 shows; it runs once a picture."""


@dataclass(frozen=True)
class Checkpoint:
    """A loaded model, ready to draw: evaluation mode, no gradients.

    ``inpaints`` says that the UNet reads a mask and a masked picture beside the latent.
    ``vae_scale`` is how many picture pixels one latent pixel spans (8 or 16), ``latent_scaling``
    the factor between the VAE's latents and the UNet's, ``scheduler_betas`` the noise schedule
    and what the UNet predicts, as diffusers' schedulers take them.
    """

    unet: UNet2DConditionModel
    vae: AutoencoderKL
    text_encoder: CLIPTextModel
    tokenizer: CLIPTokenizer
    scheduler_betas: Mapping[str, Any]
    info: ModelInfo
    latent_channels: int
    vae_scale: int
    latent_scaling: float
    inpaints: bool = False


def load(
    path: Path | str | None = None,
    *,
    vae: Path | str | None = None,
    device: str = "auto",
    dtype: str = "auto",
    wish: Wish = AS_TOLD,
) -> Checkpoint:
    """Load a ``.safetensors`` file or a diffusers folder; the embedded model when none is given.

    Args:
        path: the checkpoint.
        vae: a VAE's file or folder to use in place of the checkpoint's own.
        device: ``auto``, ``cpu`` or ``cuda``.
        dtype: the UNet's and the text encoder's: ``auto`` (``probe.choose_dtype``), ``float32``,
            ``float16`` or ``bfloat16``. The VAE computes in float32.
        wish: what it predicts and how its schedule ends, where the files are not to be believed.

    Raises:
        CheckpointError: the file cannot be loaded; the sentence says what it seems to be.
        SettingsError: a device or number type that is unknown or not there.
    """
    device = probe.choose_device(device)
    vae_path = Path(vae) if vae else None
    layout, parts = chosen(Path(path) if path else None, vae_path, wish)
    dtype = probe.choose_dtype(dtype, device)
    models = {
        name: _build(name, part, device, VAE_DTYPE if name == "vae" else dtype)
        for name, part in parts.items()
    }
    tokenizer = _tokenizer(layout)
    _check_fit(layout, models, tokenizer)
    config = models["vae"].config
    return Checkpoint(
        **models,
        tokenizer=tokenizer,
        scheduler_betas=layout.schedule(),
        info=_info(layout, vae_path, models, device, dtype),
        latent_channels=config.latent_channels,
        vae_scale=_vae_scale(config),
        latent_scaling=config.scaling_factor,
        inpaints=inpaints(models["unet"]),
    )


def verify(layout: Layout, parts: Mapping[str, Part]) -> None:
    """Raise CheckpointError exactly where ``load`` would; no weights are read. The VAE may lack."""
    layout.schedule()
    models = {name: _prepare(name, part)[0] for name, part in parts.items()}
    _check_fit(layout, models, _tokenizer(layout))


def verify_part(name: str, part: Part) -> None:
    """The same for one part: ``unet``, ``vae`` or ``text_encoder``."""
    _prepare(name, part)


def _prepare(name: str, part: Part) -> tuple[Any, Tensors]:
    """A model without storage and its tensors, complete, still lying in the file."""
    with torch.device("meta"):
        model = _empty(name, part)
    tensors = _translate(name, part, _read(name, part))
    _compare(name, part, model.state_dict(), tensors)
    return model, tensors


def _build(name: str, part: Part, device: str, dtype: str) -> Any:
    """One part with its weights, on the device, in the number type."""
    model, tensors = _prepare(name, part)
    for key in list(tensors):
        # A copy even where nothing changes: a mapped file that is overwritten ends the process.
        tensors[key] = tensors[key].to(device, probe.DTYPES[dtype], copy=True)
    model.load_state_dict(tensors, assign=True)
    if name == "text_encoder":  # the one buffer that no file holds
        count = model.config.max_position_embeddings
        model.embeddings.position_ids = torch.arange(count, device=device).expand(1, -1)
    return model.eval().requires_grad_(False)


def _empty(name: str, part: Part) -> Any:
    try:
        if name == "text_encoder":
            return CLIPTextModel(CLIPTextConfig(**part.config))
        kind = UNet2DConditionModel if name == "unet" else AutoencoderKL
        return kind.from_config(dict(part.config))
    except (ValueError, TypeError, KeyError) as error:
        place = part.files[0].parent if part.names == "diffusers" else part.files[0]
        raise CheckpointError(f"{place} describes no usable {name}: {error}") from error


def _read(name: str, part: Part) -> Tensors:
    """The part's tensors, still lying in the file."""
    prefix = {"unet": UNET, "vae": VAE, "text_encoder": TEXT}[name]
    tensors: Tensors = {}
    for file in part.files:
        whole = part.names == "diffusers" or not read_header(file).any(prefix)
        tensors |= read_tensors(file, "" if whole else prefix)
    return tensors


def read_tensors(file: Path, prefix: str = "") -> Tensors:
    """The tensors whose names begin so, each a window on the mapped file.

    Raises:
        CheckpointError: the header contradicts itself.
    """
    try:
        with safe_open(file, framework="pt") as handle:
            names = [name for name in handle.keys() if name.startswith(prefix)]  # noqa: SIM118
            return {name: handle.get_tensor(name) for name in names}
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{file.name} is damaged: {error}.") from error


def _translate(name: str, part: Part, tensors: Tensors) -> Tensors:
    """Any of the known key names to those of today's classes; tensors nobody reads are left."""
    config = dict(part.config)
    if part.names == "ldm" and name == "unet":
        tensors = convert_ldm_unet_checkpoint(tensors, config)
    elif part.names == "ldm" and name == "vae":
        tensors = convert_ldm_vae_checkpoint(tensors, config)
    elif part.names == "ldm":
        tensors = convert_ldm_clip_checkpoint(tensors)
    if name == "vae":
        tensors = {_modern_attention(key): value for key, value in tensors.items()}
    if name == "text_encoder":
        tensors = {key.removeprefix("text_model."): value for key, value in tensors.items()}
        tensors.pop("embeddings.position_ids", None)
    return tensors


def _modern_attention(key: str) -> str:
    """diffusers before 0.15 named the VAE's attention ``query``, ``key``, ``value``."""
    names = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
    return re.sub(
        r"(attentions\.\d+\.)(query|key|value|proj_attn)\.",
        lambda match: f"{match[1]}{names[match[2]]}.",
        key,
    )


def _compare(name: str, part: Part, expected: Tensors, found: Tensors) -> None:
    """Raise unless every tensor is there in its shape; drop what does not belong."""
    file = part.files[0].name
    for key in found.keys() - expected.keys():
        del found[key]
    if missing := sorted(expected.keys() - found.keys()):
        raise CheckpointError(
            f"{file} lacks {len(missing)} of the {len(expected)} tensors of the {name}, "
            f"{missing[0]!r} among them."
        )
    for key, tensor in expected.items():
        if found[key].shape != tensor.shape:
            raise CheckpointError(
                f"{file}: {key!r} of the {name} has shape {tuple(found[key].shape)}, "
                f"expected {tuple(tensor.shape)}."
            )


def _tokenizer(layout: Layout) -> CLIPTokenizer:
    try:
        return CLIPTokenizer.from_pretrained(layout.tokenizer, local_files_only=True)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise CheckpointError(f"{layout.tokenizer} holds no usable tokenizer: {error}") from error


def _check_fit(layout: Layout, models: Mapping[str, Any], tokenizer: CLIPTokenizer) -> None:
    unet, text = models["unet"].config, models["text_encoder"].config
    name = layout.path.name
    if unet.cross_attention_dim != text.hidden_size:
        raise CheckpointError(
            f"{name}: the UNet reads contexts {unet.cross_attention_dim} wide, but the text "
            f"encoder writes {text.hidden_size}."
        )
    if len(tokenizer) > text.vocab_size:
        raise CheckpointError(
            f"{name}: the tokenizer knows {len(tokenizer)} tokens, the text encoder "
            f"{text.vocab_size}."
        )
    channels = models["vae"].config.latent_channels if "vae" in models else unet.out_channels
    if unet.in_channels not in (channels, 2 * channels + 1) or unet.out_channels != channels:
        raise CheckpointError(
            f"{name}: the VAE has {channels} latent channels, the UNet {unet.in_channels}."
        )


def _vae_scale(config: Any) -> int:
    """Picture pixels spanned by one latent pixel."""
    return int(2 ** (len(config.block_out_channels) - 1))


def inpaints(unet: Any) -> bool:
    """Whether a UNet reads more than the latent that it draws: 9 channels where it writes 4."""
    return bool(unet.config.in_channels > unet.config.out_channels)


def count_parameters(model: torch.nn.Module) -> int:
    """How many numbers a part has."""
    return sum(parameter.numel() for parameter in model.parameters())


def _info(
    layout: Layout, vae: Path | None, models: Mapping[str, Any], device: str, dtype: str
) -> ModelInfo:
    embedded = layout.path.resolve() == EMBEDDED
    licence = licences.find(layout.licence)
    name, attribution, source = licences.origin(layout.path, licence, embedded=embedded)
    conversions = list(layout.changes)
    if layout.precision != dtype:
        conversions.append(f"{layout.precision} weights computed as {dtype}")
    if vae:
        conversions.append(f"VAE replaced by {vae.name}")
    return ModelInfo(
        name=name,
        kind="sd1-inpainting" if inpaints(models["unet"]) else "sd1",
        path=str(layout.path),
        sha256=layout.sha256,
        vae=vae.name if vae else "built in",
        vae_sha256=vae_sha256(vae),
        dtype=dtype,
        device=device,
        parameters={name: count_parameters(model) for name, model in models.items()},
        licence=licence.id,
        licence_needs_acceptance=licence.needs_acceptance,
        attribution=attribution,
        source=source,
        conversions=tuple(conversions),
        sprite_pixels=_vae_scale(models["vae"].config) if embedded else None,
        processor=probe.processor(device),
        threads=torch.get_num_threads() if device == "cpu" else None,
        prediction=prediction.predicts(layout.schedule()),
        zero_snr=prediction.has_zero_snr(layout.schedule()),
    )

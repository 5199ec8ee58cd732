"""Load a Stable Diffusion 1.x checkpoint, offline, part by part.

Each part is built without storage, then given its tensors one at a time from the file, already in
the number type and on the device that were chosen: the peak is what the result needs and one
tensor more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from transformers.models.clip.configuration_clip import CLIPTextConfig
from transformers.models.clip.modeling_clip import CLIPTextModel
from transformers.models.clip.tokenization_clip import CLIPTokenizer

from limner.domain.model import Card, ModelInfo
from limner.engine.checkpoints import cards, probe, storage
from limner.engine.checkpoints.containers import require_unchanged
from limner.engine.checkpoints.headers import TensorInfo
from limner.engine.checkpoints.layouts import chosen
from limner.engine.checkpoints.parts import Layout, Part, another, of_all
from limner.engine.checkpoints.prediction import AS_TOLD, Wish
from limner.engine.checkpoints.tensors import is_finite, read
from limner.engine.checkpoints.translation import Infos, fitted
from limner.errors import CheckpointError

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

    @property
    def bytes(self) -> int:
        """What its weights take in memory."""
        tensors = [
            tensor
            for part in (self.unet, self.vae, self.text_encoder)
            for tensor in (*part.parameters(), *part.buffers())
        ]
        return sum(tensor.nbytes for tensor in tensors)


def load(
    path: Path | str | None = None,
    *,
    vae: Path | str | None = None,
    device: str = "auto",
    dtype: str = "auto",
    wish: Wish = AS_TOLD,
) -> Checkpoint:
    """Load a file or a diffusers folder; the embedded model when none is given.

    Args:
        path: the checkpoint.
        vae: a VAE's file or folder to use in place of the checkpoint's own.
        device: ``auto``, ``cpu`` or ``cuda``.
        dtype: the UNet's and the text encoder's: ``auto`` (``probe.choose_dtype``), ``float32``,
            ``float16`` or ``bfloat16``. The VAE computes in float32.
        wish: what is said over the files: what it predicts, how its schedule ends, another text
            encoder, which positions are CLIP's.

    Raises:
        CheckpointError: the file cannot be loaded; the sentence says what it seems to be.
        SettingsError: a device or number type that is unknown or not there.
    """
    device = probe.choose_device(device)
    vae_path = Path(vae) if vae else None
    layout, parts = chosen(Path(path) if path else None, vae_path, wish)
    dtype = probe.choose_dtype(dtype, device)

    def build(name: str) -> Any:
        return _build(name, parts[name], device, VAE_DTYPE if name == "vae" else dtype)

    models = of_all(parts, build)
    tokenizer = _tokenizer(layout)
    _check_fit(layout, models, tokenizer)
    config = models["vae"].config
    return Checkpoint(
        **models,
        tokenizer=tokenizer,
        scheduler_betas=layout.schedule(),
        info=_info(
            cards.of(layout, parts, vae_path, wish), layout.precision, models, device, dtype
        ),
        latent_channels=config.latent_channels,
        vae_scale=_vae_scale(config),
        latent_scaling=config.scaling_factor,
        inpaints=inpaints(models["unet"]),
    )


def verify(layout: Layout, parts: Mapping[str, Part], *, numbers: bool = False) -> None:
    """Raise CheckpointError exactly where ``load`` would. The VAE may lack.

    Only where ``numbers`` is set are the weights read, and seen to be finite.
    """
    layout.schedule()

    def prepare(name: str) -> Any:
        model, tensors = _prepare(name, parts[name])
        if numbers:
            _require_finite(name, tensors)
        return model

    models = of_all(parts, prepare)
    _check_fit(layout, models, _tokenizer(layout))


def verify_part(name: str, part: Part) -> None:
    """That ``unet``, ``vae`` or ``text_encoder`` has all tensors, in their shapes and finite."""
    _require_finite(name, _prepare(name, part)[1])


def _require_finite(name: str, tensors: Infos) -> None:
    for info in tensors.values():
        if not is_finite(read(info)):
            raise not_finite(name, info)


def not_finite(name: str, info: TensorInfo, dtype: str | None = None) -> CheckpointError:
    """For a part with numbers that are infinite, or none; ``dtype`` where it made them so."""
    became = f" as {dtype}" if dtype else ""
    return CheckpointError(
        f"{info.file.name}: {info.name!r} of the {name} holds values that are not finite{became}"
        f"{another(name)}."
    )


def _prepare(name: str, part: Part) -> tuple[Any, Infos]:
    """A model without storage, and where each of its tensors lies."""
    with torch.device("meta"):
        model = _empty(name, part)
    return model, fitted(name, part, model.state_dict())


def _build(name: str, part: Part, device: str, dtype: str) -> Any:
    """One part with its weights, on the device, in the number type."""
    model, infos = _prepare(name, part)
    tensors = {}
    for key, info in infos.items():
        stored = read(info)
        tensors[key] = storage.empty(stored.shape, probe.DTYPES[dtype], device).copy_(stored)
        if not is_finite(tensors[key]):
            raise not_finite(name, info, dtype if is_finite(read(info)) else None)
    for header in part.headers:
        require_unchanged(header)
    model.load_state_dict(tensors, assign=True)
    if name == "text_encoder":  # the one buffer that no file holds
        ids = part.positions or range(model.config.max_position_embeddings)
        model.embeddings.position_ids = torch.tensor([*ids], device=device)[None]
    return model.eval().requires_grad_(False)


def _empty(name: str, part: Part) -> Any:
    try:
        if name == "text_encoder":
            return CLIPTextModel(CLIPTextConfig(**part.config))
        kind = UNet2DConditionModel if name == "unet" else AutoencoderKL
        return kind.from_config(dict(part.config))
    except Exception as error:  # a stranger's config makes the libraries raise nearly anything
        place = part.files[0].parent if part.alone else part.files[0]
        reason = " ".join(str(error).split())
        raise CheckpointError(f"{place} describes no usable {name}: {reason}") from error


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
    card: Card, precision: str, models: Mapping[str, Any], device: str, dtype: str
) -> ModelInfo:
    read_as = (f"{precision} weights computed as {dtype}",) if precision != dtype else ()
    return ModelInfo(
        **{**vars(card), "conversions": (*card.conversions, *read_as)},
        dtype=dtype,
        device=device,
        parameters={name: count_parameters(model) for name, model in models.items()},
        processor=probe.processor(device),
        threads=torch.get_num_threads() if device == "cpu" else None,
    )

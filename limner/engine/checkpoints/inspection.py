"""What a file is, told by the names and shapes of its tensors, in the words of a refusal."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from limner.engine.checkpoints import upscalers, ways
from limner.engine.checkpoints.containers import read_header
from limner.engine.checkpoints.headers import Header, TensorInfo
from limner.engine.checkpoints.names import TEXT, UNET, VAE
from limner.errors import CheckpointError

__all__ = [
    "TEXT",
    "UNET",
    "VAE",
    "Header",
    "TensorInfo",
    "kind_of",
    "read_header",
    "require_sd1",
]

SUPPORTED = "Limner loads Stable Diffusion 1.x checkpoints with a 4- or 9-channel UNet"
LOADED = ("sd1", "sd1-inpainting")

# How many numbers Stable Diffusion 1.5's parts have.
SD15_PARAMETERS = {"unet": 859_520_964, "vae": 83_653_863, "text_encoder": 123_060_480}

INPAINTING_MORE = 5 * 320 * 9  # a 3x3 kernel for each of five channels more

# What a file seems to be, and where there is one the way out, in the words of a refusal.
DESCRIPTIONS: Mapping[str, str] = {
    "sd1": "a Stable Diffusion 1.x checkpoint",
    "sd1-inpainting": "an inpainting checkpoint with a 9-channel UNet",
    "lcm": "a latent consistency model with a UNet of its own, which is told the guidance "
    "(time_cond_proj_dim); a LoRA of LCM over a plain checkpoint is another matter",
    "instruct-pix2pix": "an instruction-editing checkpoint with an 8-channel UNet",
    "sd2": "a Stable Diffusion 2.x checkpoint",
    "sdxl": "an SDXL checkpoint",
    "sd3": "a Stable Diffusion 3 checkpoint",
    "flux": "a Flux checkpoint",
    "unet": f"a UNet alone, {ways.UNET_ALONE}",
    "unet-broken": "a checkpoint whose UNet lacks its first layer",
    "lora": "a LoRA adapter, which changes a checkpoint and is none itself",
    "textual-inversion": "a textual inversion embedding, not a checkpoint",
    "hypernetwork": "a hypernetwork, which changes a checkpoint and is none itself",
    "controlnet": "a ControlNet, not a checkpoint",
    "t2i-adapter": "a T2I-Adapter, not a checkpoint",
    "ip-adapter": "an IP-Adapter, not a checkpoint",
    "motion-module": "a motion module of AnimateDiff, not a checkpoint",
    "vae": f"a VAE alone, {ways.VAE_ALONE}",
    "vae-decoder": "the decoder of a VAE alone; a whole VAE is needed, with its encoder",
    "taesd": "a TAESD, a small approximate VAE; a whole VAE is needed",
    "text-encoder": f"a text encoder alone, {ways.TEXT_ALONE}",
    "upscaler": "an upscaler, not a checkpoint",
    "detector": "a detector, which finds boxes for details, not a checkpoint",
    "depth": "a network that finds depth, which makes maps for controls, not a checkpoint",
    "pose": "a network that finds poses, which makes maps for controls, not a checkpoint",
    "onnx": "an ONNX network of no kind known here",
    "unknown": "no kind of checkpoint known here",
}

_LORA = re.compile(
    r"^lora_(unet|te|transformer)|^lycoris_|lora_(up|down)\b|lora_[AB]\b|lora\.(up|down)\b|hada_w1"
    r"|lokr_w|oft_(blocks|diag)|\.dora_scale$|\.on_input$"
)
_INNER, _TOKENS = "text_model.", "embeddings.token_embedding.weight"
_TAESD = re.compile(r"(^|\.layers\.)\d+\.conv\.0\.weight$")
_HYPERNETWORK = re.compile(r"^(320|640|768|1024|1280)\.\d+\.")

# Beside weights that are not plain numbers: ComfyUI's, bitsandbytes' and GPTQ's.
_QUANTISED = (".comfy_quant", ".weight_scale", ".absmax", ".quant_map", ".SCB", ".qweight")


def _named(pattern: str | re.Pattern[str]) -> Callable[[Header], bool]:
    search = re.compile(pattern).search
    return lambda header: any(map(search, header.tensors))


_has_lora = _named(_LORA)


def _is_vectors(header: Header) -> bool:
    """A few rows as wide as a text encoder's, and nothing else."""
    shapes = [tensor.shape for tensor in header.tensors.values()]
    widths = (768, 1024, 1280)
    return 0 < len(shapes) <= 2 and all(
        0 < len(shape) <= 2 and shape[-1] in widths for shape in shapes
    )


def _is_lora(header: Header) -> bool:
    """Not a whole VAE or text encoder in whose file some tool left keys of one."""
    marks = (f"{VAE}decoder.conv_in.weight", *(f"{TEXT}{inner}{_TOKENS}" for inner in ("", _INNER)))
    return _has_lora(header) and not any(mark in header.tensors for mark in marks)


def _is_decoder(header: Header) -> bool:
    return header.any(f"{VAE}decoder.") and not header.any(f"{VAE}encoder.")


# What a file without a UNet is: the first row that holds.
_WITHOUT_UNET: tuple[tuple[str, Callable[[Header], bool]], ...] = (
    ("lora", _is_lora),
    ("sd3", _named(r"(^|\.)joint_blocks\.")),
    ("flux", _named(r"(^|\.)double_blocks\.")),
    ("controlnet", _named(r"^control_model\.|^controlnet_cond_embedding\.|^input_hint_block\.")),
    ("ip-adapter", _named(r"^ip_adapter\.|^image_proj\.")),
    ("t2i-adapter", _named(r"^(adapter\.)?body\.\d+\.((resnets|body)\.\d+\.)?block1\.")),
    ("motion-module", _named(r"motion_modules?\.")),
    ("hypernetwork", _named(_HYPERNETWORK)),
    ("sd2", _named(r"^cond_stage_model\.model\.")),
    ("textual-inversion", _named(r"^emb_params$|^string_to_param\.|^clip_[lg]$")),
    ("textual-inversion", _is_vectors),
    ("taesd", _named(_TAESD)),
    ("unet-broken", _named(rf"^{re.escape(UNET)}(input|down|middle|output|up|mid)_block")),
    ("vae-decoder", _is_decoder),
    ("vae", _named(rf"^{re.escape(VAE)}decoder\.conv_in")),
    ("text-encoder", _named(rf"^{re.escape(TEXT)}|^text_model\.")),
    ("upscaler", upscalers.is_one),
)


def kind_of(header: Header) -> str:
    """A key of ``DESCRIPTIONS``: what the names and shapes say the file is."""
    if _channels(header) is not None:
        return _unet_kind(header)
    return next((kind for kind, holds in _WITHOUT_UNET if holds(header)), "unknown")


def _channels(header: Header) -> int | None:
    """How many channels the UNet reads; None without a UNet."""
    names = (f"{UNET}input_blocks.0.0.weight", f"{UNET}conv_in.weight")
    return next((shape[1] for name in names if (shape := header.shape(name, 4))), None)


def _context(header: Header) -> int | None:
    """How wide the contexts are that the UNet reads."""
    for name, tensor in header.tensors.items():
        if name.startswith(UNET) and name.endswith("attn2.to_k.weight") and tensor.ndim == 2:
            return tensor.shape[1]
    return None


def _unet_kind(header: Header) -> str:
    channels, context = _channels(header), _context(header)
    second = ("conditioner.embedders.1.", "text_encoder_2.", "text_encoders.clip_g.")
    if header.any(*second, f"{UNET}label_emb.", f"{UNET}add_embedding.") or context == 2048:
        return "sdxl"
    if header.any("cond_stage_model.model.") or (context == 1024 and not header.any(TEXT)):
        return "sd2"
    if header.any(f"{UNET}time_embed.cond_proj.", f"{UNET}time_embedding.cond_proj."):
        return "lcm"
    if channels == 8:
        return "instruct-pix2pix"
    if channels not in (4, 9) or context is None:
        return "unknown"
    if not header.any(TEXT, VAE):
        return "unet"
    return "sd1-inpainting" if channels == 9 else "sd1"


def require_sd1(header: Header) -> None:
    """Raise CheckpointError, naming the file and what it seems to be, unless it is SD 1.x.

    Its UNet alone is.
    """
    if quantised := next((name for name in header.tensors if name.endswith(_QUANTISED)), None):
        raise CheckpointError(
            f"{header.path.name} holds quantised weights, as {quantised!r} tells; take the file in "
            "float16, bfloat16 or float32."
        )
    kind = kind_of(header)
    if kind not in (*LOADED, "unet"):
        raise CheckpointError(f"{header.path.name} seems to be {DESCRIPTIONS[kind]}; {SUPPORTED}.")

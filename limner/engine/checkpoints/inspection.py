"""What a checkpoint file is, read from its first bytes and its tensor names; nothing is loaded.

The safetensors format: 8 bytes of little-endian header length, a JSON header that gives each
tensor's dtype, shape and byte range, then the bytes (https://github.com/huggingface/safetensors).
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from limner.errors import CheckpointError

MAX_HEADER = 100_000_000  # the format's own limit, bytes
UNET = "model.diffusion_model."
VAE = "first_stage_model."
TEXT = "cond_stage_model.transformer."
SUPPORTED = "Limner loads Stable Diffusion 1.x checkpoints with a 4- or 9-channel UNet"
LOADED = ("sd1", "sd1-inpainting")

# How many numbers Stable Diffusion 1.5's parts have.
SD15_PARAMETERS = {"unet": 859_520_964, "vae": 83_653_863, "text_encoder": 123_060_480}

INPAINTING_MORE = 5 * 320 * 9  # a 3x3 kernel for each of five channels more

# What a file seems to be, in the words of a refusal.
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
    "lora": "a LoRA adapter, which changes a checkpoint and is none itself",
    "textual-inversion": "a textual inversion embedding, not a checkpoint",
    "controlnet": "a ControlNet, not a checkpoint",
    "vae": "a VAE alone, which belongs after --vae",
    "part": "one part of a diffusers folder; give the folder that holds model_index.json",
    "text-encoder": "a text encoder alone",
    "unknown": "no kind of checkpoint known here",
}

# Foreign files by their first bytes.
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"<", "an HTML or XML page, perhaps an error page saved in place of the download"),
    (b"version https://git-lfs", "a Git LFS pointer; fetch the file itself with git lfs pull"),
    (b"GGUF", "a GGUF file"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"{", "a JSON text"),
)
_PICKLES = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


@dataclass(frozen=True)
class TensorInfo:
    """One tensor as the header describes it; ``dtype`` is safetensors' name (F16, F32, ...)."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def count(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True)
class Header:
    """The tensors and the metadata of one safetensors file."""

    path: Path
    tensors: Mapping[str, TensorInfo]
    metadata: Mapping[str, str]

    def shape(self, name: str) -> tuple[int, ...] | None:
        """The tensor's shape, or None where it is missing."""
        tensor = self.tensors.get(name)
        return tensor.shape if tensor else None

    def any(self, *prefixes: str) -> bool:
        """Whether some tensor's name begins with one of these."""
        return any(name.startswith(prefixes) for name in self.tensors)

    def parameters(self, prefix: str) -> int:
        """How many numbers lie under a prefix, CLIP's position ids not counted."""
        return sum(
            tensor.count
            for name, tensor in self.tensors.items()
            if name.startswith(prefix) and not name.endswith("position_ids")
        )

    @property
    def precision(self) -> str:
        """The type that most numbers have: ``float16``, ``bfloat16``, ``float32``, ..."""
        counts: dict[str, int] = {}
        for tensor in self.tensors.values():
            counts[tensor.dtype] = counts.get(tensor.dtype, 0) + tensor.count
        names = {"F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64"}
        most = max(counts, key=counts.__getitem__, default="")
        return names.get(most, most.lower())


def looks_pickled(path: Path) -> bool:
    """Whether the file is a pickle or PyTorch's zip of one, whatever its name says."""
    with path.open("rb") as file:
        return file.read(4).startswith(_PICKLES)


def read_header(path: Path) -> Header:
    """The header of a whole safetensors file.

    Raises:
        CheckpointError: the file is missing, empty, cut short, foreign, a pickle or damaged.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(64)
            _refuse_foreign(path, start)
            length = struct.unpack("<Q", start[:8])[0]
            if 8 + length > size and length <= MAX_HEADER:
                raise CheckpointError(_truncated(path, size, 8 + length))
            if length > MAX_HEADER or start[8:9] != b"{":
                raise CheckpointError(f"{path.name} is not a safetensors file.")
            file.seek(8)
            header = json.loads(file.read(length))
    except OSError as error:
        reason = error.strerror or "it cannot be read"
        raise CheckpointError(f"{path} cannot be opened: {reason}.") from error
    except ValueError as error:
        raise CheckpointError(f"{path.name} has a damaged safetensors header.") from error
    found = _parse(path, header, size, 8 + length)
    _open(path)
    return found


def _open(path: Path) -> None:
    """Raise CheckpointError for what loading would refuse: gaps, overlaps, bytes too many."""
    try:
        with safe_open(path, framework="np"):
            pass
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path.name} is damaged: {error}.") from error


def _refuse_foreign(path: Path, start: bytes) -> None:
    if not start:
        raise CheckpointError(f"{path.name} is empty.")
    if path.suffix.lower() in (".ckpt", ".pt", ".pth", ".bin") or start.startswith(_PICKLES):
        raise CheckpointError(
            f"{path.name} is a pickled checkpoint, which can run code when it is opened; "
            f"convert it once with: limner models import {path}"
        )
    for magic, what in _MAGIC:
        if start.lstrip().startswith(magic):
            raise CheckpointError(f"{path.name} seems to be {what}, not a safetensors file.")
    if len(start) < 9:
        raise CheckpointError(f"{path.name} is too short to be a safetensors file.")


def _truncated(path: Path, size: int, expected: int) -> str:
    return (
        f"{path.name} is truncated: it has {size:,} bytes of at least {expected:,}; "
        "download or copy it again."
    )


def _parse(path: Path, header: Any, size: int, data_start: int) -> Header:
    try:
        metadata = {str(k): str(v) for k, v in header.pop("__metadata__", {}).items()}
        tensors = {
            name: TensorInfo(entry["dtype"], tuple(int(n) for n in entry["shape"]))
            for name, entry in header.items()
        }
        end = max((int(entry["data_offsets"][1]) for entry in header.values()), default=0)
    except (AttributeError, KeyError, TypeError, ValueError, IndexError) as error:
        raise CheckpointError(f"{path.name} has a damaged safetensors header.") from error
    if not tensors:
        raise CheckpointError(f"{path.name} is a safetensors file without any tensor.")
    if size < data_start + end:
        raise CheckpointError(_truncated(path, size, data_start + end))
    return Header(path, tensors, metadata)


def kind_of(header: Header) -> str:
    """A key of ``DESCRIPTIONS``: what the names and shapes say the file is."""
    if _is_adapter(header):
        return "lora"
    if header.any("control_model.", "controlnet_cond_embedding.", "input_hint_block."):
        return "controlnet"
    if header.any(f"{UNET}joint_blocks.", "joint_blocks."):
        return "sd3"
    if header.any(f"{UNET}double_blocks.", "double_blocks."):
        return "flux"
    if header.any("conditioner.embedders.", f"{UNET}label_emb.", "label_emb."):
        return "sdxl"
    if header.any("cond_stage_model.model."):
        return "sd2"
    if header.any(UNET):
        return _unet_kind(header)
    return _lone_part(header)


def _is_adapter(header: Header) -> bool:
    marks = (
        "lora_up",
        "lora_down",
        "lora_A.",
        "lora_B.",
        "hada_w1",
        "lokr_w",
        "lora.up",
        "oft_blocks",
        "oft_diag",
    )
    return header.any("lora_unet_", "lora_te") or any(
        mark in name for name in header.tensors for mark in marks
    )


def _unet_kind(header: Header) -> str:
    first = header.shape(f"{UNET}input_blocks.0.0.weight") or (0, 4)
    context = header.shape(f"{UNET}input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight")
    if header.any(f"{UNET}time_embed.cond_proj."):
        return "lcm"
    if first[1] == 9:
        return "sd1-inpainting"
    if first[1] == 8:
        return "instruct-pix2pix"
    if first[1] != 4 or context is None:
        return "unknown"
    return "sd2" if context[1] == 1024 and not header.any(TEXT) else "sd1"


def _lone_part(header: Header) -> str:
    if "emb_params" in header.tensors or _is_vectors(header):
        return "textual-inversion"
    if header.any(f"{VAE}decoder.", "decoder.conv_in."):
        return "vae"
    if header.any("down_blocks.", "transformer_blocks."):
        return "part"
    if header.any(TEXT, "text_model.", "encoder.layers.", "embeddings.token_embedding"):
        return "text-encoder"
    return "unknown"


def _is_vectors(header: Header) -> bool:
    """A few rows as wide as a text encoder's, and nothing else."""
    shapes = [tensor.shape for tensor in header.tensors.values()]
    return len(shapes) <= 2 and all(
        len(shape) == 2 and shape[1] in (768, 1024, 1280) for shape in shapes
    )


def require_sd1(header: Header) -> None:
    """Raise CheckpointError, naming the file and what it seems to be, unless it is SD 1.x."""
    kind = kind_of(header)
    if kind not in LOADED:
        raise CheckpointError(f"{header.path.name} seems to be {DESCRIPTIONS[kind]}; {SUPPORTED}.")

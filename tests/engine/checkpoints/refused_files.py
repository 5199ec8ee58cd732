"""Files that are no checkpoints, or damaged ones, as people really have them.

``REFUSED`` is a table: what it is, a function that writes it from the plain checkpoint's tensors,
and what the sentence must say.
"""

from __future__ import annotations

import io
import pickle
import struct
from functools import partial
from pathlib import Path
from typing import Any

import torch

from tests.engine.checkpoints.odd_folders import sharded
from tests.engine.checkpoints.writing import (
    INNER,
    TEXT,
    UNET,
    VAE,
    Maker,
    Tensors,
    added,
    only,
    pickled,
    rewritten_header,
    without,
    written,
    zeros,
)


def hypernetwork(folder: Path, _: Tensors) -> Path:
    layers = {"linear.0.weight": torch.ones(4, 4), "linear.0.bias": torch.ones(4)}
    return pickled(folder, {768: [layers, layers], 320: [layers, layers], "step": 3, "name": "x"})


def embedding(folder: Path, _: Tensors) -> Path:
    vectors = torch.nn.ParameterDict({"*": torch.nn.Parameter(torch.ones(2, 768))})
    content = {"string_to_token": {"*": 265}, "string_to_param": vectors, "name": "style"}
    return pickled(folder, content)


def spoilt(folder: Path, tensors: Tensors, key: str) -> Path:
    changed = tensors[key].clone()
    changed.view(-1)[0] = torch.nan
    return written(folder, tensors | {key: changed})


def quantised(folder: Path, tensors: Tensors) -> Path:
    key = f"{UNET}middle_block.1.transformer_blocks.0.attn1.to_q.weight"
    return written(folder, tensors | {key: tensors[key].to(torch.int8)})


def asking_for(folder: Path, _: Tensors, call: bytes) -> Path:
    """A pickle that names a function and calls it."""
    path = folder / "odd.ckpt"
    path.write_bytes(b"\x80\x02c" + call + b"X\x04\x00\x00\x00true\x85R.")
    return path


def overlapping(folder: Path, tensors: Tensors) -> Path:
    def change(header: dict[str, Any]) -> None:
        first, second = [name for name in header if header[name].get("shape") == [32]][:2]
        header[second]["data_offsets"] = header[first]["data_offsets"]

    return rewritten_header(written(folder, tensors), change)


def announced(folder: Path, tensors: Tensors) -> Path:
    path = folder / "odd.safetensors"
    path.write_bytes(struct.pack("<Q", 98_000_000) + b"{" + b" " * 100)
    return path


def nested_json(folder: Path, tensors: Tensors) -> Path:
    path, text = folder / "odd.safetensors", b'{"a":' + b"[" * 100_000
    path.write_bytes(struct.pack("<Q", len(text)) + text)
    return path


def looped(folder: Path, tensors: Tensors) -> Path:
    (folder / "odd.safetensors").symlink_to(folder / "odd.safetensors")
    return folder / "odd.safetensors"


def plain_pickle(folder: Path, tensors: Tensors) -> Path:
    buffer = io.BytesIO()
    pickle.dump({"a": 1}, buffer)
    (folder / "odd.pt").write_bytes(buffer.getvalue())
    return folder / "odd.pt"


def missing_shard(folder: Path, tensors: Tensors) -> Path:
    path = sharded(folder, tensors, index=False)
    next((path / "unet").glob("*00002-of*")).unlink()
    return path


def of_names(*names: str, shape: tuple[int, ...] = (4, 4)) -> Maker:
    return lambda folder, _: written(folder, {name: torch.ones(shape) for name in names})


REFUSED: dict[str, tuple[Maker, str]] = {
    "UNet alone": (lambda f, t: written(f, only(t, UNET)), "a UNet alone"),
    "UNet alone, bare": (
        lambda f, t: written(f, {k.removeprefix(UNET): v for k, v in only(t, UNET).items()}),
        "a UNet alone",
    ),
    "UNet without its first layer": (
        lambda f, t: written(f, without(t, f"{UNET}input_blocks.0.0.weight")),
        "UNet lacks its first layer",
    ),
    "VAE alone": (lambda f, t: written(f, only(t, VAE)), "a VAE alone.*--vae"),
    "VAE's decoder": (lambda f, t: written(f, only(t, f"{VAE}decoder.")), "decoder of a VAE"),
    "text encoder alone": (lambda f, t: written(f, only(t, TEXT)), "a text encoder alone"),
    "no text encoder": (lambda f, t: written(f, without(t, TEXT)), "no text encoder"),
    "TAESD": (of_names("decoder.layers.3.conv.0.weight", "encoder.layers.0.weight"), "a TAESD"),
    "bare TAESD": (of_names("1.weight", "3.conv.0.weight", "3.conv.0.bias"), "a TAESD"),
    "hypernetwork": (hypernetwork, "a hypernetwork"),
    "embedding": (embedding, "a textual inversion"),
    "embedding of diffusers": (of_names("<style>", shape=(768,)), "a textual inversion"),
    "LoRA": (of_names("lora_unet_x.lora_down.weight", "lora_te_y.alpha"), "a LoRA"),
    "LoRA of diffusers": (of_names("unet.a.to_q.lora.down.weight"), "a LoRA"),
    "ControlNet": (of_names("control_model.input_hint_block.0.weight"), "a ControlNet"),
    "ControlNet of diffusers": (
        of_names("controlnet_cond_embedding.conv_in.weight", "time_embedding.linear_1.weight"),
        "a ControlNet",
    ),
    "motion module": (of_names("down_blocks.0.motion_modules.0.x.pos_encoder.pe"), "AnimateDiff"),
    "IP-Adapter": (of_names("image_proj.proj.weight", "ip_adapter.1.to_k_ip.weight"), "IP-Adapter"),
    "SD 3": (of_names(f"{UNET}joint_blocks.0.x.weight"), "Stable Diffusion 3"),
    "Flux": (of_names("double_blocks.0.img_attn.qkv.weight"), "Flux"),
    "SDXL": (
        lambda f, t: added(f, t, zeros(f"{UNET}label_emb.0.0.weight", "conditioner.embedders.1.x")),
        "an SDXL",
    ),
    "upscaler": (of_names("conv_first.weight", "body.0.rdb1.conv1.weight"), "an upscaler"),
    "int8": (quantised, r"attn1\.to_q\.weight' of the unet is stored as I8"),
    "quantised by ComfyUI": (
        lambda f, t: added(f, t, zeros(f"{UNET}out.2.comfy_quant")),
        r"quantised weights, as '.*comfy_quant'",
    ),
    "NaN in the UNet": (partial(spoilt, key=f"{UNET}out.2.bias"), "unet holds .*not finite"),
    "NaN in the text encoder": (
        partial(spoilt, key=f"{INNER}final_layer_norm.bias"),
        "text_encoder holds .*not finite",
    ),
    "os.system": (partial(asking_for, call=b"os\nsystem\n"), "refused.*os.system"),
    "posix.system": (partial(asking_for, call=b"posix\nsystem\n"), "refused.*posix.system"),
    "eval of Python 2": (partial(asking_for, call=b"__builtin__\neval\n"), "refused.*eval"),
    "subprocess": (partial(asking_for, call=b"subprocess\nPopen\n"), "refused.*subprocess"),
    "getattr": (partial(asking_for, call=b"builtins\ngetattr\n"), "refused.*getattr"),
    "overlapping tensors": (overlapping, "is damaged.*(overlaps|gap)"),
    "a header of 98 MB": (announced, "header of 98,000,000 bytes"),
    "deep JSON": (nested_json, "damaged safetensors header"),
    "a loop of links": (looped, "does not exist|cannot be opened"),
    "a pickle of something": (plain_pickle, "a pickle, but not PyTorch's"),
    "a shard too few": (missing_shard, "1 of the 2 shards"),
}

"""Checkpoints as people really have them, each made from one small plain checkpoint.

``LOADED`` is a table: what is odd, and a function that writes such a file or folder from the plain
tensors. It returns the path, and the tensors to expect where they are not the plain ones.
"""

from __future__ import annotations

import argparse
import collections
import functools
import json
import re
import shutil
import struct
import sys
import types
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from limner.engine.checkpoints.shapes import SD15
from tests.engine import checkpoint_files

Tensors = dict[str, torch.Tensor]
Made = Path | tuple[Path, Tensors]
UNET, VAE, TEXT = "model.diffusion_model.", "first_stage_model.", "cond_stage_model.transformer."
INNER = f"{TEXT}text_model."
POSITIONS = f"{INNER}embeddings.position_ids"


@functools.cache
def plain() -> dict[str, Any]:
    """The models that every odd file is made from."""
    return checkpoint_files.models()


def written(folder: Path, tensors: Tensors, name: str = "odd.safetensors") -> Path:
    save_file({key: value.contiguous() for key, value in tensors.items()}, folder / name)
    return folder / name


def renamed(folder: Path, tensors: Tensors, pairs: Mapping[str, str]) -> Path:
    """Beginnings of names replaced."""
    for old, new in pairs.items():
        tensors = {
            new + key.removeprefix(old) if key.startswith(old) else key: value
            for key, value in tensors.items()
        }
    return written(folder, tensors)


def added(folder: Path, tensors: Tensors, more: Mapping[str, torch.Tensor]) -> Path:
    return written(folder, tensors | dict(more))


def without(tensors: Tensors, *starts: str) -> Tensors:
    return {key: value for key, value in tensors.items() if not key.startswith(starts)}


def only(tensors: Tensors, *starts: str) -> Tensors:
    return {key: value for key, value in tensors.items() if key.startswith(starts)}


def zeros(*names: str) -> Tensors:
    return {name: torch.zeros(2, 2) for name in names}


# --- names ------------------------------------------------------------------------------------


def both_text_namings(folder: Path, tensors: Tensors) -> Path:
    junk = {key.replace(INNER, TEXT): value + 1 for key, value in only(tensors, INNER).items()}
    return written(folder, junk | tensors)


def in_pipeline_names(folder: Path, _: Tensors) -> Made:
    found: Tensors = {}
    for name, part in plain().items():
        middle = "text_model." if name == "text_encoder" else ""
        state = part.state_dict().items()
        found |= {f"{name}.{middle}{key}": value.half() for key, value in state}
    return written(folder, found)


def flat(tensors: Tensors) -> Tensors:
    """Names as running averages have them, without dots."""
    return {
        "model_ema." + key.removeprefix("model.").replace(".", ""): value
        for key, value in only(tensors, UNET).items()
    }


def ema_only(folder: Path, tensors: Tensors) -> Path:
    counts = {"model_ema.decay": torch.ones(()), "model_ema.num_updates": torch.ones(())}
    return written(folder, without(tensors, UNET) | flat(tensors) | counts)


def ema_beside(folder: Path, tensors: Tensors) -> Path:
    return written(folder, tensors | {key: value + 1 for key, value in flat(tensors).items()})


def vae_beside(folder: Path, tensors: Tensors, name: str) -> Path:
    vae = {key.removeprefix(VAE): value for key, value in only(tensors, VAE).items()}
    if name.endswith(".pt"):
        torch.save({"state_dict": vae}, folder / name)
    else:
        save_file(vae, folder / name)
    return written(folder, without(tensors, VAE))


def linear_projections(folder: Path, tensors: Tensors) -> Path:
    return written(
        folder,
        {
            key: value[:, :, 0, 0] if re.search(r"proj_(in|out)\.weight$", key) else value
            for key, value in tensors.items()
        },
    )


def flat_vae_attention(folder: Path, tensors: Tensors) -> Path:
    return written(
        folder,
        {
            key: value[:, :, 0, 0] if ".attn_1." in key and value.ndim == 4 else value
            for key, value in tensors.items()
        },
    )


def stored_positions(folder: Path, tensors: Tensors, dtype: torch.dtype) -> Path:
    wrong = torch.arange(77)[None].to(dtype) - (0.0025 if dtype.is_floating_point else 0)
    return written(folder, tensors | {POSITIONS: wrong.to(dtype)})


EXTRA = (
    "embedding_manager.embedder.x", "denoiser.sigmas", "betas", "sqrt_alphas_cumprod",
    "safety_checker.visual_projection.weight", "bundle_emb.name.string_to_param.*",
    f"{TEXT}text_projection.weight", f"{TEXT}logit_scale",
    f"{UNET}input_blocks.1.1.motion_modules.0.x",
)  # fmt: skip


# --- number types -----------------------------------------------------------------------------


def converted(tensors: Tensors, dtype: torch.dtype) -> Tensors:
    return {k: v.to(dtype) if v.is_floating_point() else v for k, v in tensors.items()}


def stored_as(folder: Path, tensors: Tensors, dtype: torch.dtype) -> Made:
    found = converted(tensors, dtype)
    return written(folder, found), found


def mixed(folder: Path, tensors: Tensors) -> Made:
    dtypes = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
    found = {
        key: value.to(dtypes[number % 4]) if value.is_floating_point() else value
        for number, (key, value) in enumerate(tensors.items())
    }
    return written(folder, found), found


def scaled(folder: Path, tensors: Tensors) -> Made:
    """8-bit matrices with a scale each, as ComfyUI writes them."""
    stored, expected = dict(tensors), dict(tensors)
    for key, value in only(tensors, UNET).items():
        if value.ndim == 2 and key.endswith(".weight"):
            scale = value.float().abs().max() / 448
            stored[key] = (value.float() / scale).to(torch.float8_e4m3fn)
            stored[key.replace(".weight", ".scale_weight")] = scale.reshape(())
            expected[key] = stored[key].float() * scale
    stored["scaled_fp8"] = torch.zeros(2).to(torch.float8_e4m3fn)
    return written(folder, stored), expected


# --- containers -------------------------------------------------------------------------------


def pickled(
    folder: Path, content: object, name: str = "odd.ckpt", *, zipped: bool = True, protocol: int = 2
) -> Path:
    torch.save(
        content, folder / name, _use_new_zipfile_serialization=zipped, pickle_protocol=protocol
    )
    return folder / name


def trailing_bytes(folder: Path, tensors: Tensors) -> Path:
    path = written(folder, tensors)
    path.write_bytes(path.read_bytes() + b"\0" * 37)
    return path


def rewritten_header(path: Path, change: Callable[[dict[str, Any]], object], pad: int = 0) -> Path:
    whole = path.read_bytes()
    length = struct.unpack("<Q", whole[:8])[0]
    header = json.loads(whole[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode() + b" " * pad
    path.write_bytes(struct.pack("<Q", len(text)) + text + whole[8 + length :])
    return path


def odd_metadata(folder: Path, tensors: Tensors) -> Path:
    odd = {"__metadata__": {"epoch": 3, "tags": ["a"], "none": None}}
    return rewritten_header(written(folder, tensors), lambda header: header.update(odd))


def unaligned(folder: Path, tensors: Tensors) -> Path:
    return rewritten_header(written(folder, tensors), lambda _: None, pad=1)


def class_of(module: str, name: str, base: type = object) -> type:
    """A class that pickles under a foreign module's name; see ``foreign``."""
    made = type(name, (base,), {"__module__": module})
    parts = module.split(".")
    for end in range(1, len(parts) + 1):
        sys.modules.setdefault(".".join(parts[:end]), types.ModuleType(".".join(parts[:end])))
    setattr(sys.modules[module], name, made)
    return made


def foreign(folder: Path, tensors: Tensors, *, zipped: bool) -> Path:
    """Lightning's callbacks and dictionaries, OmegaConf's, argparse's, and numpy's scalars."""
    before = set(sys.modules)
    try:
        callback = class_of("pytorch_lightning.callbacks.model_checkpoint", "ModelCheckpoint")
        attributes = class_of("lightning_fabric.utilities.data", "AttributeDict", dict)
        config = class_of("omegaconf.dictconfig", "DictConfig")()
        config.__dict__["_content"] = {"a": callback}
        content = {
            "state_dict": tensors,
            "callbacks": {callback: {"best_model_score": torch.tensor(1.0)}},
            "hyper_parameters": attributes(rate=np.float64(0.5), config=config),
            "args": argparse.Namespace(steps=3, array=np.ones(2), path=Path("a")),
            "counts": collections.defaultdict(int, a=1),
            "bytes": b"\xff\x00",
            "parameters": torch.nn.ParameterDict({"*": torch.nn.Parameter(torch.ones(2))}),
        }
        return pickled(folder, content, zipped=zipped)
    finally:
        for name in set(sys.modules) - before:
            del sys.modules[name]


def shared_and_strided(folder: Path, tensors: Tensors) -> Path:
    """Two names for one tensor, views of one storage, channels last, parameters."""
    found: dict[Any, Any] = dict(tensors)
    first, second = (f"{UNET}input_blocks.1.0.{layer}.bias" for layer in ("in_layers.0", "out.0"))
    found[second] = found[first]
    whole = torch.cat([tensors[first], tensors[first]])
    found[first] = whole[len(tensors[first]) :]
    for key, value in tensors.items():
        if value.ndim == 4:
            found[key] = value.to(memory_format=torch.channels_last)
    norm = f"{UNET}out.0.weight"
    found[norm] = torch.nn.Parameter(found[norm])
    found |= {3: torch.ones(1), "none": None}
    return pickled(folder, {"state_dict": found})


def under(folder: Path, tensors: Tensors, *keys: str) -> Path:
    content: object = tensors
    for key in keys:
        content = {key: content, "step": 3}
    return pickled(folder, content)


# --- folders ----------------------------------------------------------------------------------


def whole_folder(folder: Path, tensors: Tensors) -> Path:
    path = folder / "odd"
    for name, model in plain().items():
        (path / name).mkdir(parents=True)
        (path / name / "config.json").write_text(json.dumps(checkpoint_files.config(name)))
        state = {key: value.half().contiguous() for key, value in model.state_dict().items()}
        save_file(state, path / name / STEMS[name])
    shutil.copy(SD15 / "model_index.json", path)
    return path


STEMS = {
    "unet": "diffusion_pytorch_model.safetensors",
    "vae": "diffusion_pytorch_model.safetensors",
    "text_encoder": "model.safetensors",
}


def folder_of_bins(folder: Path, tensors: Tensors, *names: str) -> Path:
    path = whole_folder(folder, tensors)
    for name in names:
        file = path / name / STEMS[name]
        bin_name = "pytorch_model.bin" if name == "text_encoder" else f"{file.stem}.bin"
        torch.save(load_file(file), file.with_name(bin_name))
        file.unlink()
    return path


def sharded(folder: Path, tensors: Tensors, *, index: bool) -> Path:
    path = whole_folder(folder, tensors)
    file = path / "unet" / STEMS["unet"]
    state = sorted(load_file(file).items())
    file.unlink()
    halves = [dict(state[: len(state) // 2]), dict(state[len(state) // 2 :])]
    weight_map = {}
    for number, half in enumerate(halves, 1):
        name = f"diffusion_pytorch_model.fp16-0000{number}-of-00002.safetensors"
        save_file(half, file.with_name(name))
        weight_map |= dict.fromkeys(half, name)
    if index:
        beside = file.with_name("diffusion_pytorch_model.safetensors.index.fp16.json")
        beside.write_text(json.dumps({"weight_map": weight_map}))
    return path


def of_class(folder: Path, tensors: Tensors, name: str | None) -> Path:
    path = whole_folder(folder, tensors)
    (path / "model_index.json").unlink()
    if name:
        (path / "model_index.json").write_text(json.dumps({"_class_name": name}))
    return path


Maker = Callable[[Path, Tensors], Made]

LOADED: dict[str, Maker] = {
    "plain": written,
    "text encoder without text_model.": partial(renamed, pairs={INNER: TEXT}),
    "text encoder in both namings": both_text_namings,
    "positions as half": partial(stored_positions, dtype=torch.float16),
    "positions as int32": partial(stored_positions, dtype=torch.int32),
    "no positions": lambda folder, t: written(folder, without(t, POSITIONS)),
    "as Forge saves": partial(
        renamed, pairs={TEXT: "text_encoders.clip_l.transformer.", VAE: "vae."}
    ),
    "as ComfyUI saves": partial(renamed, pairs={TEXT: "cond_stage_model.clip_l.transformer."}),
    "as SDXL trainers save": partial(renamed, pairs={TEXT: "conditioner.embedders.0.transformer."}),
    "UNet without model.": partial(renamed, pairs={UNET: "diffusion_model."}),
    "a pipeline in one file": in_pipeline_names,
    "wrapped in module.": partial(renamed, pairs={"": "module."}),
    "EMA only": ema_only,
    "EMA beside": ema_beside,
    "VAE beside, pickled": partial(vae_beside, name="odd.vae.pt"),
    "VAE beside": partial(vae_beside, name="odd.vae.safetensors"),
    "extra keys": partial(added, more=zeros(*EXTRA)),
    "stray keys of a LoRA": partial(
        added, more=zeros("lora_te_x.lora_up.weight", "lora_unet_y.alpha")
    ),
    "ControlNet inside": partial(
        added, more=zeros("control_model.input_hint_block.0.weight", "control_model.out.0.bias")
    ),
    "linear projections": linear_projections,
    "flat VAE attention": flat_vae_attention,
    "bfloat16": partial(stored_as, dtype=torch.bfloat16),
    "float64": partial(stored_as, dtype=torch.float64),
    "float8 e4m3fn": partial(stored_as, dtype=torch.float8_e4m3fn),
    "float8 e5m2": partial(stored_as, dtype=torch.float8_e5m2),
    "mixed types": mixed,
    "scaled float8": scaled,
    "bytes after the end": trailing_bytes,
    "metadata that are no texts": odd_metadata,
    "numbers at odd places": unaligned,
    "safetensors named .ckpt": partial(written, name="odd.ckpt"),
    "pickle named .safetensors": partial(pickled, name="odd.safetensors"),
    "ckpt": partial(under, *()),
    "ckpt of the older format": partial(pickled, zipped=False),
    "ckpt of a new protocol": partial(pickled, protocol=4),
    "bfloat16 ckpt": lambda folder, t: (
        pickled(folder, converted(t, torch.bfloat16)),
        converted(t, torch.bfloat16),
    ),
    "float8 ckpt": lambda folder, t: (
        pickled(folder, converted(t, torch.float8_e4m3fn)),
        converted(t, torch.float8_e4m3fn),
    ),
    "under state_dict": lambda folder, t: under(folder, t, "state_dict"),
    "under state_dict twice": lambda folder, t: under(folder, t, "state_dict", "state_dict"),
    "under model": lambda folder, t: under(folder, t, "model"),
    "foreign classes": partial(foreign, zipped=True),
    "foreign classes, older format": partial(foreign, zipped=False),
    "shared and strided": shared_and_strided,
    "folder": whole_folder,
    "folder of .bin": lambda folder, t: folder_of_bins(folder, t, *STEMS),
    "folder with one .bin": lambda folder, t: folder_of_bins(folder, t, "text_encoder"),
    "folder with shards": partial(sharded, index=True),
    "folder with shards and no index": partial(sharded, index=False),
    "folder of any pipeline": partial(of_class, name="StableDiffusionControlNetPipeline"),
    "folder without an index": partial(of_class, name=None),
}

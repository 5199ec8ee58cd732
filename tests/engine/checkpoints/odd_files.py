"""Checkpoints as people really have them, each made from one small plain checkpoint.

``LOADED`` is a table: what is odd, and a function that writes such a file or folder from the plain
tensors. It returns the path, and the tensors to expect where they are not the plain ones.
"""

from __future__ import annotations

from functools import partial

import torch

from tests.engine.checkpoints.odd_folders import (
    STEMS,
    folder_of_bins,
    of_class,
    sharded,
    whole_folder,
)
from tests.engine.checkpoints.odd_names import (
    EXTRA,
    both_text_namings,
    ema_beside,
    ema_beside_wrapped,
    ema_only,
    flat_vae_attention,
    in_pipeline_names,
    linear_projections,
    stored_positions,
    vae_beside,
)
from tests.engine.checkpoints.odd_storage import (
    converted,
    foreign,
    mixed,
    odd_metadata,
    scaled,
    shared_and_strided,
    stored_as,
    trailing_bytes,
    unaligned,
    under,
)
from tests.engine.checkpoints.writing import (
    INNER,
    POSITIONS,
    TEXT,
    UNET,
    VAE,
    Maker,
    added,
    pickled,
    renamed,
    without,
    written,
    zeros,
)

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
    "wrapped by a stranger": partial(renamed, pairs={"": "net."}),
    "wrapped as model.model.": partial(renamed, pairs={"": "model."}),
    "a compiled UNet": partial(renamed, pairs={UNET: f"{UNET}_orig_mod."}),
    "a UNet and a text encoder of many devices": partial(
        renamed, pairs={UNET: f"{UNET}module.", TEXT: f"{TEXT}module."}
    ),
    "as stable-diffusion.cpp reads": partial(renamed, pairs={TEXT: "cond_stage_model.1."}),
    "text encoder without transformer.": partial(renamed, pairs={TEXT: "cond_stage_model."}),
    "EMA only": ema_only,
    "EMA only, the rest wrapped": ema_beside_wrapped,
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
    "under a stranger's name": lambda folder, t: under(folder, t, "params_ema"),
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

"""A folder in diffusers' layout: which files hold each part's weights, and what the folder is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from limner.engine.checkpoints.containers import read_header
from limner.engine.checkpoints.inspection import DESCRIPTIONS, SUPPORTED
from limner.engine.checkpoints.parts import PARTS, Part, of_all
from limner.engine.checkpoints.shapes import read_json
from limner.errors import CheckpointError

# The names of weights' files by part and suffix, as diffusers and transformers write them.
STEMS: Mapping[str, str] = {"unet": "diffusion_pytorch_model", "vae": "diffusion_pytorch_model"}
_CLASSES = {
    "unet": ("UNet2DConditionModel",),
    "vae": ("AutoencoderKL",),
    "text_encoder": ("CLIPTextModel", "CLIPTextModelWithProjection"),
}
_SHARD = re.compile(r"-(\d+)-of-(\d+)")


def read_parts(path: Path) -> dict[str, Part]:
    """The parts of a whole folder; VAE and text encoder may lack.

    Raises:
        CheckpointError: it is not SD 1.x, or lacks something; the sentence says what.
    """
    index = path / "model_index.json"
    if not index.is_file() and not (path / "unet").is_dir():
        raise CheckpointError(
            f"{path} is a folder without model_index.json and unet/; "
            "a folder in diffusers layout is needed."
        )
    if index.is_file():
        _refuse_other_pipelines(path, str(read_json(index).get("_class_name", "")))
    folders = [name for name in PARTS if (path / name).is_dir()]
    if "unet" not in folders:
        raise CheckpointError(f"{path} has no folder 'unet'.")
    parts = of_all(folders, lambda name: read_part(path / name, name))
    _refuse_other_shapes(path, parts)
    return parts


def kind(parts: Mapping[str, Part]) -> str:
    """One of ``inspection.LOADED``, by the UNet's channels."""
    return "sd1-inpainting" if parts["unet"].config.get("in_channels") == 9 else "sd1"


def read_part(folder: Path, name: str) -> Part:
    """One part's folder: ``config.json`` and weights."""
    config = read_json(folder / "config.json")
    named = config.get("architectures")
    for made_for in (config.get("_class_name"), *(named if isinstance(named, list) else ())):
        if made_for is not None and made_for not in _CLASSES[name]:
            raise CheckpointError(f"{folder} is made for {made_for}; {SUPPORTED}.")
    return Part(config, tuple(map(read_header, _weights(folder, name))), alone=True)


def alone(path: Path) -> Path:
    """The file of weights in the folder of one network (a VAE's own, say); else the path itself."""
    if not (path / "config.json").is_file() or (path / "unet").is_dir():
        return path
    for name in ("vae", "text_encoder"):
        with suppress(CheckpointError):
            files = _weights(path, name)
            return files[0] if len(files) == 1 else path
    return path


def _weights(folder: Path, name: str) -> list[Path]:
    """One file, or the shards of one; whole before variants (``.fp16``), pickles last."""
    for suffix in ("safetensors", "bin"):
        stem = STEMS.get(name, "model" if suffix == "safetensors" else "pytorch_model")
        if (found := folder / f"{stem}.{suffix}").is_file():
            return [found]
        for files in (_indexed(folder, stem, suffix), _globbed(folder, stem, suffix)):
            if found_files := list(files):
                return found_files
    stem = STEMS.get(name, "model")
    raise CheckpointError(f"{folder} holds no {stem}.safetensors, nor {stem}.bin.")


def _indexed(folder: Path, stem: str, suffix: str) -> Iterator[Path]:
    """The shards that an index names; a variant's index has the variant in its name."""
    for index in sorted(folder.glob(f"{stem}*.{suffix}.index*.json")):
        shards = read_json(index).get("weight_map")
        if not isinstance(shards, dict) or not shards:
            raise CheckpointError(f"{index} names no shards.")
        yield from sorted({folder / Path(str(shard)).name for shard in shards.values()})
        return


def _globbed(folder: Path, stem: str, suffix: str) -> Iterator[Path]:
    """The first variant; all of its shards where it has some and no index."""
    found = sorted(folder.glob(f"{stem}[.-]*.{suffix}"))
    if not found:
        return
    shard = _SHARD.search(found[0].name)
    if shard is None:
        yield found[0]
        return
    kind = _SHARD.sub("", found[0].name)
    shards = [file for file in found if _SHARD.sub("", file.name) == kind]
    if len(shards) != int(shard[2]):
        raise CheckpointError(
            f"{folder} holds {len(shards)} of the {int(shard[2])} shards; download the others too."
        )
    yield from shards


def _refuse_other_pipelines(path: Path, pipeline: str) -> None:
    what = {
        "StableDiffusionXL": DESCRIPTIONS["sdxl"],
        "StableDiffusion3": DESCRIPTIONS["sd3"],
        "Flux": DESCRIPTIONS["flux"],
        "LatentConsistencyModel": DESCRIPTIONS["lcm"],
    }
    for start, words in what.items():
        if pipeline.startswith(start):
            raise CheckpointError(f"{path} seems to be {words}; {SUPPORTED}.")


def _refuse_other_shapes(path: Path, parts: Mapping[str, Part]) -> None:
    unet = parts["unet"].config
    text = parts["text_encoder"].config if "text_encoder" in parts else {}
    channels = unet.get("in_channels", 4)
    kinds = {4: None, 9: None, 8: DESCRIPTIONS["instruct-pix2pix"]}
    if unet.get("addition_embed_type") or (path / "text_encoder_2").is_dir():
        what = DESCRIPTIONS["sdxl"]
    elif unet.get("time_cond_proj_dim") is not None:
        what = DESCRIPTIONS["lcm"]
    elif other := kinds.get(
        channels if isinstance(channels, int) else 0, f"a checkpoint with a {channels}-channel UNet"
    ):
        what = other
    elif text.get("hidden_act", "quick_gelu") != "quick_gelu":
        what = DESCRIPTIONS["sd2"]
    else:
        return
    raise CheckpointError(f"{path} seems to be {what}; {SUPPORTED}.")

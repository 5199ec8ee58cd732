"""Where the parts of a checkpoint lie: one file in latent-diffusion's names, or a folder.

A *part* is the UNet, the VAE or the text encoder: its config and the files with its tensors. A
single file carries no configs: SD 1.5's are taken, with the widths its tensors really have.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import limner.assets
from limner.engine.checkpoints import digests, prediction
from limner.engine.checkpoints.inspection import (
    DESCRIPTIONS,
    SUPPORTED,
    TEXT,
    VAE,
    kind_of,
    read_header,
    require_sd1,
)
from limner.engine.checkpoints.prediction import AS_TOLD, Wish
from limner.engine.checkpoints.shapes import (
    read_json,
    sd15_config,
    text_config,
    unet_config,
    vae_config,
)
from limner.errors import CheckpointError

ASSETS = Path(limner.assets.__file__).parent
EMBEDDED = ASSETS / "squire"
TOKENIZER = ASSETS / "clip"
PROVENANCE = "provenance.json"
PARTS = ("unet", "vae", "text_encoder")
_PIPELINES = ("StableDiffusionPipeline", "StableDiffusionImg2Img", "StableDiffusionInpaint")
_STEMS = {"unet": "diffusion_pytorch_model", "vae": "diffusion_pytorch_model"}


@dataclass(frozen=True)
class Part:
    """``names`` says in whose key names the tensors are: ``ldm`` or ``diffusers``."""

    config: Mapping[str, Any]
    files: tuple[Path, ...]
    names: str


@dataclass(frozen=True)
class Layout:
    """A checkpoint on disk.

    ``scheduler`` is its scheduler's config, ``licence`` the one its card or provenance names,
    ``changes`` lists what an import did to the author's file, and ``told`` by what a single file
    says how it predicts.
    """

    path: Path
    parts: Mapping[str, Part]
    scheduler: Mapping[str, Any]
    tokenizer: Path
    licence: str | None
    precision: str
    changes: tuple[str, ...] = ()
    told: tuple[str, ...] = ()

    def schedule(self) -> dict[str, Any]:
        """The constructor arguments that it decides for schedulers.

        Raises CheckpointError for a prediction or a schedule that cannot be drawn with.
        """
        return prediction.schedule(self.scheduler, self.path.name)

    @property
    def files(self) -> list[Path]:
        """Every file whose bytes decide what is drawn, for the sum of a folder."""
        files = {file for part in self.parts.values() for file in part.files}
        configs = [self.path / name / "config.json" for name in self.parts]
        configs.append(self.path / "scheduler" / "scheduler_config.json")
        return sorted(files | {file for file in configs if file.is_file()})

    @property
    def sha256(self) -> str:
        """Of the file; of a folder the sum of what decides what is drawn."""
        if self.path.is_dir():
            return digests.folder_sha256(self.path, self.files)
        return digests.sha256(self.path)


def read_layout(path: Path) -> Layout:
    """What lies at a path given as a model.

    Raises:
        CheckpointError: it is not an SD 1.x checkpoint; the sentence says what it seems to be.
    """
    if not path.exists():
        raise CheckpointError(f"{path} does not exist.")
    return _folder(path) if path.is_dir() else _single_file(path)


def check(model: Path | None, vae: Path | None, wish: Wish = AS_TOLD) -> None:
    """Raise CheckpointError at once, without PyTorch, for what its headers tell against a file."""
    chosen(model, vae, wish)


def chosen(
    model: Path | None, vae: Path | None, wish: Wish = AS_TOLD
) -> tuple[Layout, Mapping[str, Part]]:
    """What is to be loaded: a layout that predicts as wished, and its parts with the named VAE.

    Raises:
        CheckpointError: a file is missing, damaged, or something else.
    """
    layout = read_layout(model or EMBEDDED)
    layout = replace(layout, scheduler=wish.over(layout.scheduler))
    layout.schedule()
    parts = dict(layout.parts)
    if vae is not None:
        parts["vae"] = read_vae(vae)
    elif "vae" not in layout.parts:
        raise CheckpointError(f"{layout.path.name} holds no VAE; name one with --vae.")
    for file in {file for part in parts.values() for file in part.files}:
        read_header(file)
    return layout, parts


def read_vae(path: Path) -> Part:
    """The VAE in a file (of either naming), a VAE's folder or a whole diffusers folder."""
    if not path.exists():
        raise CheckpointError(f"{path} does not exist.")
    if path.is_dir():
        folder = path / "vae" if (path / "vae" / "config.json").is_file() else path
        if not (folder / "config.json").is_file():
            raise CheckpointError(f"{path} holds no VAE: neither config.json nor vae/config.json.")
        return _folder_part(folder, "vae")
    header = read_header(path)
    if header.any("decoder.up_blocks."):
        beside = path.parent / "config.json"
        config = read_json(beside) if beside.is_file() else sd15_config("vae")
        return Part(config, (path,), "diffusers")
    if not header.any(f"{VAE}decoder.", "decoder.conv_in."):
        what = DESCRIPTIONS[kind_of(header)]
        raise CheckpointError(f"{path.name} holds no VAE; it seems to be {what}.")
    return Part(vae_config(header), (path,), "ldm")


def vae_sha256(path: Path | None) -> str | None:
    """Of a VAE's file or folder that was named; None where none was."""
    if path is None:
        return None
    if path.is_file():
        return digests.sha256(path)
    return digests.folder_sha256(path, list(read_vae(path).files))


def _single_file(path: Path) -> Layout:
    header = read_header(path)
    require_sd1(header)
    parts = {"unet": Part(unet_config(header), (path,), "ldm")}
    if header.any(VAE):
        parts["vae"] = Part(vae_config(header), (path,), "ldm")
    if not header.any(TEXT):
        raise CheckpointError(f"{path.name} holds no text encoder; a whole checkpoint is needed.")
    parts["text_encoder"] = Part(text_config(header), (path,), "ldm")
    known = provenance(path)
    hints = prediction.of_file(header)
    return Layout(
        path,
        parts,
        scheduler=hints.scheduler,
        tokenizer=TOKENIZER,
        licence=known.get("licence"),
        precision=header.precision,
        changes=tuple(str(change) for change in known.get("changes", ())),
        told=hints.told,
    )


def provenance(path: Path) -> dict[str, Any]:
    """What ``limner models import`` wrote beside this file; empty where it did not make it."""
    beside = path.parent / PROVENANCE
    known = read_json(beside) if beside.is_file() else {}
    return known if known.get("file") == path.name else {}


def _folder(path: Path) -> Layout:
    index = path / "model_index.json"
    if not index.is_file():
        raise CheckpointError(
            f"{path} is a folder without model_index.json; a folder in diffusers layout is needed."
        )
    _refuse_other_pipelines(path, str(read_json(index).get("_class_name", "")))
    parts = {name: _folder_part(path / name, name) for name in PARTS if (path / name).is_dir()}
    if missing := [name for name in ("unet", "text_encoder") if name not in parts]:
        raise CheckpointError(f"{path} has no folder {missing[0]!r}.")
    _refuse_other_shapes(path, parts)
    scheduler_file = path / "scheduler" / "scheduler_config.json"
    scheduler = read_json(scheduler_file) if scheduler_file.is_file() else {}
    own = path / "tokenizer"
    tokenizer = own if (own / "tokenizer_config.json").is_file() else TOKENIZER
    precision = read_header(parts["unet"].files[0]).precision
    return Layout(path, parts, scheduler, tokenizer, _card_licence(path), precision)


def _folder_part(folder: Path, name: str) -> Part:
    return Part(read_json(folder / "config.json"), _folder_files(folder, name), "diffusers")


def _folder_files(folder: Path, name: str) -> tuple[Path, ...]:
    """The weights of one part: one file, the shards of an index, or a variant (``.fp16``)."""
    stem = _STEMS.get(name, "model")
    whole = folder / f"{stem}.safetensors"
    if whole.is_file():
        return (whole,)
    index = folder / f"{stem}.safetensors.index.json"
    if index.is_file():
        shards = sorted(set(read_json(index).get("weight_map", {}).values()))
        return tuple(folder / Path(shard).name for shard in shards)
    if variants := sorted(folder.glob(f"{stem}.*.safetensors")):
        return (variants[0],)
    if list(folder.glob("*.bin")):
        raise CheckpointError(
            f"{folder} holds pickled weights (.bin) only, which can run code when opened; "
            "save the folder with safe serialization."
        )
    raise CheckpointError(f"{folder} holds no {stem}.safetensors.")


def _refuse_other_pipelines(path: Path, pipeline: str) -> None:
    what = {
        "StableDiffusionXL": DESCRIPTIONS["sdxl"],
        "StableDiffusion3": DESCRIPTIONS["sd3"],
        "Flux": DESCRIPTIONS["flux"],
        "LatentConsistencyModel": DESCRIPTIONS["lcm"],
        "StableDiffusionInstructPix2Pix": DESCRIPTIONS["instruct-pix2pix"],
    }
    for start, words in what.items():
        if pipeline.startswith(start):
            raise CheckpointError(f"{path} seems to be {words}; {SUPPORTED}.")
    if not pipeline.startswith(_PIPELINES):
        raise CheckpointError(f"{path} is made for {pipeline or 'no pipeline'}; {SUPPORTED}.")


def _refuse_other_shapes(path: Path, parts: Mapping[str, Part]) -> None:
    unet, text = parts["unet"].config, parts["text_encoder"].config
    channels = unet.get("in_channels", 4)
    kinds = {4: None, 9: None, 8: DESCRIPTIONS["instruct-pix2pix"]}
    if unet.get("addition_embed_type") or (path / "text_encoder_2").is_dir():
        what = DESCRIPTIONS["sdxl"]
    elif unet.get("time_cond_proj_dim") is not None:
        what = DESCRIPTIONS["lcm"]
    elif other := kinds.get(channels, f"a checkpoint with a {channels}-channel UNet"):
        what = other
    elif text.get("hidden_act", "quick_gelu") != "quick_gelu":
        what = DESCRIPTIONS["sd2"]
    else:
        return
    raise CheckpointError(f"{path} seems to be {what}; {SUPPORTED}.")


def _card_licence(folder: Path) -> str | None:
    """``license:`` from the front matter of the folder's README.md, if it has one."""
    card = folder / "README.md"
    if not card.is_file():
        return None
    lines = card.read_text(encoding="utf-8", errors="replace").splitlines()[:60]
    if not lines or lines[0].strip() != "---":
        return None
    for line in lines[1:]:
        if line.strip() == "---":
            break
        if line.startswith("license:"):
            return line.split(":", 1)[1].strip().strip("\"'")
    return None

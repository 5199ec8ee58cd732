"""What lies at a path that was given as a model or a VAE: one file, or a folder.

A single file carries no configs: SD 1.5's are taken, with the widths its tensors really have.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import limner.assets
from limner.engine.checkpoints import digests, folders, prediction, raw, unets
from limner.engine.checkpoints.containers import read_header
from limner.engine.checkpoints.headers import Header, TensorInfo
from limner.engine.checkpoints.inspection import DESCRIPTIONS, kind_of, require_sd1
from limner.engine.checkpoints.names import TEXT, VAE
from limner.engine.checkpoints.parts import Layout, Part
from limner.engine.checkpoints.prediction import AS_TOLD, Wish
from limner.engine.checkpoints.shapes import (
    read_json,
    text_config,
    unet_config,
    vae_config,
)
from limner.errors import CheckpointError

ASSETS = Path(limner.assets.__file__).parent
EMBEDDED = ASSETS / "squire"
TOKENIZER = ASSETS / "clip"
PROVENANCE = "provenance.json"
SOURCE_SHA256 = "source_sha256"  # in an imported file's metadata: the sum of the author's file
VAE_BESIDE = (".vae.safetensors", ".vae.pt", ".vae.ckpt")


def read_layout(path: Path) -> Layout:
    """What lies at a path given as a model.

    Raises:
        CheckpointError: it is not an SD 1.x checkpoint; the sentence says what it seems to be.
    """
    if path.is_dir() and (file := _imported(path)):
        return _single_file(file)
    return _folder(path) if path.is_dir() else _single_file(path)


def _imported(folder: Path) -> Path | None:
    """The one file in a folder that ``limner models import`` made."""
    papers = folder / PROVENANCE
    named = Path(str(read_json(papers).get("file", "."))).name if papers.is_file() else ""
    return folder / named if named and (folder / named).is_file() else None


def check(model: Path | None, vae: Path | None, wish: Wish = AS_TOLD) -> None:
    """Raise CheckpointError at once, without PyTorch, for what its headers tell against a file."""
    chosen(model, vae, wish)


def chosen(
    model: Path | None, vae: Path | None, wish: Wish = AS_TOLD
) -> tuple[Layout, Mapping[str, Part]]:
    """What is to be loaded: a layout that predicts as wished, and its parts.

    The VAE is the one that was named, or lies beside a file without one.

    Raises:
        CheckpointError: a file is missing, damaged, or something else.
    """
    layout = read_layout(model or EMBEDDED)
    layout = replace(layout, scheduler=wish.over(layout.scheduler))
    layout.schedule()
    parts = dict(layout.parts)
    if replaced := vae or layout.vae_beside:
        parts["vae"] = read_vae(replaced)
    elif "vae" not in layout.parts:
        raise CheckpointError(f"{layout.path.name} holds no VAE; name one with --vae.")
    return layout, parts


def read_vae(path: Path) -> Part:
    """The VAE in a file (of either naming), a VAE's folder or a whole diffusers folder.

    A file's scale of latents is SD 1.5's, whatever ``config.json`` lies beside it.
    """
    if path.is_dir():
        folder = path / "vae" if (path / "vae" / "config.json").is_file() else path
        if not (folder / "config.json").is_file():
            raise CheckpointError(f"{path} holds no VAE: neither config.json nor vae/config.json.")
        return folders.read_part(folder, "vae")
    header = read_header(path)
    if not header.any(f"{VAE}decoder.conv_in."):
        what = DESCRIPTIONS[kind_of(header)]
        raise CheckpointError(f"{path.name} holds no VAE; it seems to be {what}.")
    return Part(vae_config(header), (header,))


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
    parts = {"unet": Part(unet_config(header), (header,))}
    if header.any(VAE):
        parts["vae"] = Part(vae_config(header), (header,))
    if not header.any(TEXT):
        raise CheckpointError(f"{path.name} holds no text encoder; a whole checkpoint is needed.")
    parts["text_encoder"] = Part(text_config(header), (header,))
    known = provenance(path)
    hints = prediction.of_file(header)
    beside = None if "vae" in parts else _vae_beside(path)
    told = [f"VAE taken from {beside.name}, which lies beside"] if beside else []
    return Layout(
        path,
        parts,
        scheduler=hints.scheduler,
        tokenizer=TOKENIZER,
        licence=known.get("licence"),
        precision=header.precision,
        changes=(
            *_changes(known),
            *_oddities(header),
            *unets.oddities(parts["unet"].config),
            *_about_text(parts),
            *told,
        ),
        told=hints.told,
        vae_beside=beside,
        source_sha256=header.metadata.get(SOURCE_SHA256),
    )


def _vae_beside(path: Path) -> Path | None:
    """``NAME.vae.pt`` and its kin, which AUTOMATIC1111 takes for ``NAME``."""
    names = [path.with_name(path.stem + suffix) for suffix in VAE_BESIDE]
    return next((file for file in names if file.is_file()), None)


def _changes(known: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(change) for change in known.get("changes", ()))


def _oddities(header: Header) -> Iterator[str]:
    """What a whole checkpoint's file holds that nobody would look for in it."""
    yield from header.notes
    if header.any("control_model."):
        yield "the ControlNet in the same file left aside"
    if header.any("lora_unet_", "lora_te"):
        yield "keys of a LoRA in the same file left aside, not applied"
    if any(map(_is_out_of_order, _positions(header))):
        yield "the text encoder's position ids are not 0, 1, 2, ...; these are used"


def _positions(header: Header) -> list[TensorInfo]:
    """Position ids, which some merges and roundings spoil."""
    return [
        info
        for name, info in header.tensors.items()
        if name.startswith(TEXT) and name.endswith(".position_ids") and info.count < 1000
    ]


def _is_out_of_order(info: TensorInfo) -> bool:
    found = raw.floats(info)
    return found is None or found.ravel().tolist() != list(range(info.count))


def _about_text(parts: Mapping[str, Part]) -> Iterator[str]:
    """How a text encoder as wide as SD 1.5's differs from it."""
    config = parts["text_encoder"].config
    layers, positions = config.get("num_hidden_layers"), config.get("max_position_embeddings")
    if config.get("hidden_size") != 768:
        return
    if layers != 12:
        yield f"the text encoder has {layers} layers, Stable Diffusion 1.5's has 12"
    if positions != 77:
        yield f"the text encoder has {positions} positions; prompts are read in 77 at a time"


def provenance(path: Path) -> dict[str, Any]:
    """What ``limner models import`` wrote beside a file, or into a folder; empty without."""
    papers, name = (path, ".") if path.is_dir() else (path.parent, path.name)
    known = read_json(papers / PROVENANCE) if (papers / PROVENANCE).is_file() else {}
    return known if known.get("file") == name else {}


def _folder(path: Path) -> Layout:
    parts = folders.read_parts(path)
    scheduler_file = path / "scheduler" / "scheduler_config.json"
    scheduler = read_json(scheduler_file) if scheduler_file.is_file() else {}
    own = path / "tokenizer"
    tokenizer = own if (own / "tokenizer_config.json").is_file() else TOKENIZER
    precision = parts["unet"].headers[0].precision
    known = provenance(path)
    return Layout(
        path,
        parts,
        scheduler,
        tokenizer,
        known.get("licence") or _card_licence(path),
        precision,
        changes=(*_changes(known), *_about_text(parts)),
        source_sha256=known.get(SOURCE_SHA256),
    )


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

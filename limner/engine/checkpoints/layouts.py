"""What lies at a path that was given as a model or a VAE: one file, or a folder.

A single file carries no configs: SD 1.5's are taken, with the widths its tensors really have.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import limner.assets
from limner.engine.checkpoints import digests, folders, prediction, text_encoders, unets, ways
from limner.engine.checkpoints.containers import read_header
from limner.engine.checkpoints.headers import FLOATS, Header
from limner.engine.checkpoints.inspection import DESCRIPTIONS, kind_of, require_sd1
from limner.engine.checkpoints.names import VAE
from limner.engine.checkpoints.parts import PARTS, Layout, Part, of_all, quantised, taken_beside
from limner.engine.checkpoints.prediction import AS_TOLD, Wish
from limner.engine.checkpoints.shapes import (
    read_json,
    unet_config,
    vae_config,
)
from limner.errors import CheckpointError

ASSETS = Path(limner.assets.__file__).parent
EMBEDDED = ASSETS / "squire"
SATCHEL = ASSETS / "satchel"  # the embedded model's own LoRAs and the like
TOKENIZER = ASSETS / "clip"
PROVENANCE = "provenance.json"
SOURCE_SHA256 = "source_sha256"  # in an imported file's metadata: the sum of the author's file
FLOAT32_BYTES = 4
VAE_BESIDE = (".vae.safetensors", ".vae.pt", ".vae.ckpt")


def read_layout(path: Path) -> Layout:
    """What lies at a path given as a model; of a file, VAE and text encoder may lack.

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
    model: Path | None,
    vae: Path | None,
    wish: Wish = AS_TOLD,
    required: Collection[str] = PARTS,
) -> tuple[Layout, Mapping[str, Part]]:
    """What is to be loaded: a layout that predicts as wished, and its parts.

    The VAE is the one that was named, or lies beside a file without one; the text encoder the one
    that was wished, or the checkpoint's own. Of ``required`` none may lack.

    Raises:
        CheckpointError: a file is missing, damaged, or something else, or a part is missing.
    """
    layout = read_layout(model or EMBEDDED)
    scheduler = wish.over(layout.scheduler)
    alone = layout.scheduler if layout.alone is None else layout.alone
    layout = replace(layout, scheduler=scheduler, said=prediction.said(alone, scheduler))
    layout.schedule()
    parts = gathered(layout, vae, wish)
    require(layout, parts, required)
    of_all(parts, lambda name: _require_floats(name, parts[name]))
    stored = wish.clip_positions == "stored"
    parts["text_encoder"] = text_encoders.told(parts["text_encoder"], stored=stored)
    beside = layout.vae_beside if vae in (None, layout.vae_beside) else None
    taken = [taken_beside(beside)] if beside else []
    others = {"VAE": None if beside else vae, "text encoder": wish.text_encoder}
    named = (f"{part} replaced by {path.name}" for part, path in others.items() if path)
    return replace(layout, changes=(*layout.changes, *taken, *named)), parts


def gathered(layout: Layout, vae: Path | None, wish: Wish) -> dict[str, Part]:
    """A checkpoint's parts, with those that are named or lie beside it in place; some may lack."""
    parts = dict(layout.parts)
    if replaced := vae or layout.vae_beside:
        parts["vae"] = read_vae(replaced)
    if wish.text_encoder:
        parts["text_encoder"] = text_encoders.read(wish.text_encoder)
    return parts


def _require_floats(name: str, part: Part) -> None:
    for key, info in part.tensors(name).items():
        if key.endswith((".weight", ".bias")) and info.dtype not in FLOATS:
            raise quantised(part.files[0].name, name, info)


def require(layout: Layout, parts: Mapping[str, Part], names: Collection[str] = PARTS) -> None:
    """Raise CheckpointError, which says how to name them, where some of ``names`` lack."""
    known = {"text_encoder": ("text encoder", ways.TEXT), "vae": ("VAE", ways.VAE)}
    missing = [known[name] for name in known if name in names and name not in parts]
    if missing:
        what = " and no ".join(part for part, _ in missing)
        way = missing[0][1] if len(missing) == 1 else ways.BOTH
        alone = " is a UNet alone: it" if set(layout.parts) == {"unet"} else ""
        raise CheckpointError(f"{layout.path.name}{alone} holds no {what}; {way}.")


def bytes_in_memory(model: Path | None, vae: Path | None, dtype: str, wish: Wish = AS_TOLD) -> int:
    """What a checkpoint's weights will take, with the VAE in float32 and the rest in ``dtype``.

    Raises:
        CheckpointError: as ``chosen``.
    """
    _, parts = chosen(model, vae, wish)
    numbers = {
        name: sum(info.count for info in part.tensors(name).values())
        for name, part in parts.items()
    }
    vae_bytes = numbers.pop("vae") * FLOAT32_BYTES
    return vae_bytes + sum(numbers.values()) * (FLOAT32_BYTES if dtype == "float32" else 2)


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
    return _part_sha256(path, read_vae)


def text_encoder_sha256(path: Path | None) -> str | None:
    """Of a text encoder's file or folder that was named; None where none was."""
    return None if path is None else _part_sha256(path, text_encoders.read)


def _part_sha256(path: Path, read: Callable[[Path], Part]) -> str:
    if path.is_file():
        return digests.sha256(path)
    return digests.folder_sha256(path, list(read(path).files))


def _single_file(path: Path) -> Layout:
    header = read_header(path)
    require_sd1(header)
    parts = {"unet": Part(unet_config(header), (header,))}
    if header.any(VAE):
        parts["vae"] = Part(vae_config(header), (header,))
    if text := text_encoders.of_header(header):
        parts["text_encoder"] = text_encoders.told(text, stored=False)
    known = provenance(path)
    hints = prediction.of_file(header)
    beside = _vae_beside(path)
    unused = beside if "vae" in parts else None
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
            *hints.notes,
            *unets.oddities(parts["unet"].config),
            *([_not_used(unused)] if unused else []),
        ),
        told=hints.told,
        alone=hints.alone,
        vae_beside=None if "vae" in parts else beside,
        source_sha256=header.metadata.get(SOURCE_SHA256),
    )


def _vae_beside(path: Path) -> Path | None:
    """``NAME.vae.pt`` and its kin, which AUTOMATIC1111 takes for ``NAME``."""
    names = [path.with_name(path.stem + suffix) for suffix in VAE_BESIDE]
    return next((file for file in names if file.is_file()), None)


def _not_used(beside: Path) -> str:
    """AUTOMATIC1111 would draw with the one beside even where the file has its own."""
    return f"{beside.name} beside not used, for the file has a VAE of its own; {ways.NOT_USED}"


def _changes(known: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(known.get("changes", ()))


def _oddities(header: Header) -> Iterator[str]:
    """What a whole checkpoint's file holds that nobody would look for in it."""
    yield from header.notes
    if header.any("control_model."):
        yield "the ControlNet in the same file left aside"
    if header.any("lora_unet_", "lora_te"):
        yield "keys of a LoRA in the same file left aside, not applied"


def provenance(path: Path) -> dict[str, Any]:
    """What ``limner models import`` wrote beside a file, or into a folder; empty without.

    Raises ``CheckpointError`` where it cannot be read, or somebody has written something else.
    """
    folder, name = (path, ".") if path.is_dir() else (path.parent, path.name)
    papers = folder / PROVENANCE
    known = read_json(papers) if papers.is_file() else {}
    if known.get("file") != name:
        return {}
    for field in ("licence", SOURCE_SHA256):
        if not isinstance(known.get(field), str | None):
            raise CheckpointError(f"{papers}: {field} is {_shown(known[field])}; it must be text.")
    changes = known.get("changes", [])
    if not isinstance(changes, list) or not all(isinstance(each, str) for each in changes):
        raise CheckpointError(f"{papers}: changes is {_shown(changes)}; it must be a list of text.")
    return known


def _shown(value: Any) -> str:
    return json.dumps(value)[:80]


def _folder(path: Path) -> Layout:
    parts = folders.read_parts(path)
    if text := parts.get("text_encoder"):
        parts["text_encoder"] = text_encoders.told(text, stored=False)
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
        changes=_changes(known),
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

"""Turn a checkpoint into ``.safetensors`` in a folder of its own, with its papers beside it.

A file becomes one file, a diffusers folder a folder. Pickles are read as everywhere here, without
running them; one that asks for more than tensors is refused, and leaves no file.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from limner.domain import licences
from limner.engine.checkpoints import (
    digests,
    folders,
    importable,
    joining,
    names,
    prediction,
    tensors,
    weights,
)
from limner.engine.checkpoints.containers import require_unchanged
from limner.engine.checkpoints.folders import STEMS
from limner.engine.checkpoints.headers import Header, TensorInfo
from limner.engine.checkpoints.inspection import LOADED, kind_of, read_header
from limner.engine.checkpoints.layouts import (
    ASSETS,
    PROVENANCE,
    SOURCE_SHA256,
    provenance,
    read_layout,
    read_vae,
    require,
)
from limner.engine.checkpoints.names import TEXT, UNET, VAE
from limner.engine.checkpoints.parts import PREFIXES, Part, pickled
from limner.engine.checkpoints.prediction import AS_TOLD, Wish
from limner.engine.checkpoints.shapes import SD15
from limner.errors import CheckpointError

_KEPT = dict.fromkeys((*LOADED, "unet"), (UNET, VAE, TEXT)) | {"vae": (VAE,), "lora": ("",)}
# What a folder holds beside weights, and drawing reads.
_COPIED = ("model_index.json", "README.md", "scheduler", "tokenizer")


@dataclass(frozen=True)
class Imported:
    """The new file or folder and its provenance, as written beside it."""

    path: Path
    provenance: Mapping[str, Any]


def import_checkpoint(
    source: Path,
    models: Path,
    *,
    name: str | None = None,
    precision: str = "keep",
    licence: str | None = None,
    ema: bool = False,
    vae: Path | None = None,
    wish: Wish = AS_TOLD,
) -> Imported:
    """Write ``models/NAME/`` with weights, LICENSE and provenance, all or nothing.

    Args:
        source: a file with a whole checkpoint, a VAE or a pickled LoRA, or a folder in diffusers
            layout.
        models: the folder of imported models; made if missing.
        name: the new name; the source's own when None.
        precision: ``keep``, or ``float16`` to store short numbers.
        licence: the licence's id; the source's, or else SD 1.5's own when None.
        ema: take the UNet from the file's running averages.
        vae: the file or folder of a VAE to write in place of the source's, or for one without;
            one that lies beside such a source is taken where None.
        wish: how the source predicts, where it does not say so itself, and the file or folder of
            another text encoder to write.

    Raises:
        CheckpointError: the source cannot be imported, or the name is taken.
    """
    named = [n for n, path in (("vae", vae), ("text_encoder", wish.text_encoder)) if path]
    target = importable.check(source, models, name, precision, named)
    kind = importable.kind(source, named)
    others, told = joining.others(source, kind, vae, wish)
    source_sha256 = read_layout(source).sha256 if source.is_dir() else digests.sha256(source)
    with _new_folder(target) as folder:
        if source.is_dir():
            made, changes = folder, _write_folder(source, folder, precision, wish, others)
        else:
            made = folder / f"{target.name}.safetensors"
            kept, changes = _kept(read_header(source), kind, ema=ema)
            kept = joining.joined(kept, others)
            changes += _write_file(source, made, kept, precision, source_sha256, wish)
        changes += told
        kind = _check(made, kind, others)
        chosen = licences.find(licence or _licence(source))
        papers = _provenance(source, made, kind, changes, source_sha256, chosen)
        _write_papers(folder, papers, chosen)
    return Imported(target / papers["file"], papers)


def _check(made: Path, kind: str, others: Mapping[str, Part]) -> str:
    """What was written, as whoever loads it will find it; its kind."""
    if kind == "vae":
        weights.verify_part("vae", read_vae(made))
        return kind
    if kind == "lora":
        return kind_of(read_header(made))
    layout = read_layout(made)
    require(layout, layout.parts, ("text_encoder",))
    weights.verify(layout, layout.parts)
    joining.require_same(made, others, layout.parts)
    for header in (header for part in others.values() for header in part.headers):
        require_unchanged(header)
    return folders.kind(layout.parts)


def _kept(header: Header, kind: str, *, ema: bool) -> tuple[dict[str, TensorInfo], list[str]]:
    """The parts that are drawn with, under latent diffusion's prefixes; what was done, in words."""
    kept = {name: info for name, info in header.tensors.items() if name.startswith(_KEPT[kind])}
    changes = ["pickle rewritten as safetensors"] if header.pickled else []
    changes += header.notes
    if unused := len(header.tensors) - len(kept):
        changes.append(f"{unused} tensors that drawing does not need left out")
    if ema:
        averages = names.from_ema(header.tensors)
        if not averages:
            raise CheckpointError(f"{header.path.name} holds no EMA copy of its UNet.")
        kept |= averages
        changes.append(f"{len(averages)} tensors of the UNet taken from the EMA copy")
    return kept, changes


def _write_file(
    source: Path,
    file: Path,
    kept: Mapping[str, TensorInfo],
    precision: str,
    source_sha256: str,
    wish: Wish,
) -> list[str]:
    header = read_header(source)
    said, markers = prediction.written(wish.over(prediction.of_file(header).scheduler))
    # The author's file, also where this one was imported from it already.
    metadata = {SOURCE_SHA256: source_sha256, **header.metadata, **said, "format": "pt"}
    changes = list(_write(file, kept, precision, metadata, markers=markers))
    require_unchanged(header)
    return changes


def _write_folder(
    source: Path, folder: Path, precision: str, wish: Wish, others: Mapping[str, Part]
) -> list[str]:
    layout, changes = read_layout(source), []
    parts = {**layout.parts, **others}
    if pickled(parts):
        changes.append("pickles rewritten as safetensors")
    for name, part in parts.items():
        (folder / name).mkdir()
        if name in others:
            config = json.dumps(dict(part.config), indent=2)
            (folder / name / "config.json").write_text(config, encoding="utf-8")
        else:
            shutil.copyfile(source / name / "config.json", folder / name / "config.json")
        kept = {PREFIXES[name] + key: info for key, info in part.tensors(name).items()}
        file = folder / name / f"{STEMS.get(name, 'model')}.safetensors"
        changes += _write(file, kept, precision, {"format": "pt"}, prefix=PREFIXES[name])
    for name in _COPIED:
        if (source / name).is_dir():
            shutil.copytree(source / name, folder / name, copy_function=shutil.copyfile)
        elif (source / name).is_file():
            shutil.copyfile(source / name, folder / name)
    (folder / "scheduler").mkdir(exist_ok=True)
    scheduler = json.dumps(wish.over(layout.scheduler), indent=2)
    (folder / "scheduler" / "scheduler_config.json").write_text(scheduler, encoding="utf-8")
    if not (folder / "model_index.json").exists():
        shutil.copyfile(SD15 / "model_index.json", folder / "model_index.json")
    return changes


def _write(
    file: Path,
    kept: Mapping[str, TensorInfo],
    precision: str,
    metadata: Mapping[str, str],
    prefix: str = "",
    markers: Sequence[str] = (),
) -> Iterator[str]:
    """Write tensors without ``prefix``, and empty ones that are marks; what was done, in words."""
    dtypes = {name: _written_as(info, precision) for name, info in kept.items()}
    short = sum(dtypes[name] == "F16" != info.dtype for name, info in kept.items())
    plain = {name.removeprefix(prefix): info for name, info in kept.items()}
    types = {name.removeprefix(prefix): dtype for name, dtype in dtypes.items()}
    spoilt = ""
    marks = dict.fromkeys(markers, torch.zeros(1))
    types |= dict.fromkeys(markers, "F32")
    for name, tensor in tensors.write(file, {**plain, **marks}, metadata, types):
        if tensor.is_floating_point() and not tensors.is_finite(tensor):
            if not (prefix + name).startswith(VAE):
                parts = (n for n, start in PREFIXES.items() if (prefix + name).startswith(start))
                became = "float16" if types[name] != plain[name].dtype else None
                raise weights.not_finite(next(parts, "LoRA"), plain[name], became)
            spoilt = name
    file.chmod(0o644)
    if short:
        yield f"{short} tensors shortened to float16"
    if spoilt:
        yield f"the VAE's {spoilt!r} holds values that are not finite; name another with --vae"


def _written_as(info: TensorInfo, precision: str) -> str:
    if info.scale is not None:
        return "F16" if precision == "float16" else "F32"
    return "F16" if precision == "float16" and info.dtype in ("F32", "F64") else info.dtype


def _licence(source: Path) -> str | None:
    return read_layout(source).licence if source.is_dir() else provenance(source).get("licence")


def _sha256(path: Path) -> str:
    return read_layout(path).sha256 if path.is_dir() else digests.compute(path)


def _provenance(
    source: Path,
    made: Path,
    kind: str,
    changes: list[str],
    source_sha256: str,
    licence: licences.Licence,
) -> dict[str, Any]:
    whole = made.is_dir()
    return {
        "file": "." if whole else made.name,
        "kind": kind,
        "sha256": _sha256(made),
        "licence": licence.id,
        "source": source.name,
        SOURCE_SHA256: source_sha256,
        "changes": [*provenance(source).get("changes", ()), *changes],
        "converted_by": f"limner {version('limner')}",
    }


def _write_papers(folder: Path, papers: Mapping[str, Any], licence: licences.Licence) -> None:
    (folder / PROVENANCE).write_text(json.dumps(papers, indent=2) + "\n", encoding="utf-8")
    if licence.text:
        shutil.copyfile(ASSETS / "licenses" / licence.text, folder / "LICENSE")
    if papers["changes"]:
        notice = "".join(f"* {change}\n" for change in papers["changes"])
        made = "This" if papers["file"] == "." else papers["file"]
        text = f"{made} was made from {papers['source']} by Limner. Changes:\n{notice}"
        (folder / "NOTICE").write_text(text, encoding="utf-8")


@contextmanager
def _new_folder(target: Path) -> Iterator[Path]:
    """A folder that appears under its name only when all is written and on the disk."""
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".import-", dir=target.parent))
    try:
        yield folder
        for file in folder.rglob("*"):
            if file.is_file():
                with file.open("rb") as written:
                    os.fsync(written.fileno())
        folder.chmod(0o755)
        try:
            folder.rename(target)
        except OSError as error:
            if target.exists():  # another import was quicker
                raise importable.taken(target) from error
            raise
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise

"""Turn a checkpoint into a ``.safetensors`` in a folder of its own, with its papers beside it.

A ``.ckpt`` is a pickle: a program that builds objects. It is read with PyTorch's restricted
unpickler, which builds tensors and plain containers only; one that asks for anything else is
refused before a single instruction runs, and leaves no file.
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from limner.domain import licences
from limner.engine.checkpoints import importable, prediction, weights
from limner.engine.checkpoints.digests import compute
from limner.engine.checkpoints.inspection import (
    DESCRIPTIONS,
    LOADED,
    SUPPORTED,
    TEXT,
    UNET,
    VAE,
    Header,
    TensorInfo,
    kind_of,
    looks_pickled,
    read_header,
)
from limner.engine.checkpoints.layouts import ASSETS, PROVENANCE, read_layout, read_vae
from limner.engine.checkpoints.prediction import AS_TOLD, Wish
from limner.errors import CheckpointError

Tensors = dict[str, torch.Tensor]
_LONG = (torch.float32, torch.float64)
_KEPT = dict.fromkeys(LOADED, (UNET, VAE, TEXT)) | {
    "vae": (VAE, "encoder.", "decoder.", "quant_conv.", "post_")
}


@dataclass(frozen=True)
class Imported:
    """The new file and its provenance, as written beside it."""

    path: Path
    provenance: Mapping[str, Any]


class _Inert:
    """Stands in for the bookkeeping classes that trainers leave in their pickles."""

    def __init__(self, *_: object, **__: object) -> None: ...


def import_checkpoint(
    source: Path,
    models: Path,
    *,
    name: str | None = None,
    precision: str = "keep",
    licence: str | None = None,
    wish: Wish = AS_TOLD,
) -> Imported:
    """Write ``models/NAME/NAME.safetensors`` with LICENSE and provenance, all or nothing.

    Args:
        source: a ``.ckpt`` or ``.safetensors`` file with a whole checkpoint or a VAE.
        models: the folder of imported models; made if missing.
        name: the new name; the file's own when None.
        precision: ``keep``, or ``float16`` to store short numbers.
        licence: the licence's id; SD 1.5's own when None.
        wish: how the source predicts, where it does not say so itself.

    Raises:
        CheckpointError: the file cannot be imported, or the name is taken.
    """
    target = importable.check(source, models, name, precision)
    name = target.name
    tensors = _open(source)
    kind = _kind(source, tensors)
    metadata, markers = _predicting(source, tensors, wish)
    changes = _reduce(source, tensors, kind, precision)
    with _new_folder(target) as folder:
        file = folder / f"{name}.safetensors"
        save_file(tensors | markers, file, metadata={"format": "pt", **metadata})
        file.chmod(0o644)
        _check(file, kind)
        papers = _provenance(source, file, kind, changes, licences.find(licence))
        _write_papers(folder, papers, licences.find(licence))
    return Imported(target / file.name, papers)


def _predicting(source: Path, tensors: Tensors, wish: Wish) -> tuple[dict[str, str], Tensors]:
    """What the new file is to say of how it predicts: metadata, and tensors that are marks."""
    metadata = {} if looks_pickled(source) else read_header(source).metadata
    alphas = tensors.get("alphas_cumprod")
    stored = None if alphas is None else alphas.double().numpy()
    hints = prediction.read(source, tensors, metadata, stored)
    said, markers = prediction.written(wish.over(hints.scheduler))
    return said, {name: torch.zeros(1) for name in markers}


def _open(source: Path) -> Tensors:
    """The file's tensors, lying in the file where its format allows."""
    if looks_pickled(source):
        return _unpickle(source)
    return weights.read_tensors(source)


def _unpickle(source: Path) -> Tensors:
    if source.suffix.lower() == ".safetensors":
        raise CheckpointError(
            f"{source.name} is a pickle under a false name; rename it to {source.stem}.ckpt and "
            "import that."
        )
    zipped = zipfile.is_zipfile(source)
    try:
        with torch.serialization.safe_globals(_bookkeeping(source) if zipped else []):
            content = torch.load(source, map_location="cpu", weights_only=True, mmap=zipped)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{source.name} is refused: its pickle is damaged or asks for more than tensors, "
            "so that opening it could run code."
        ) from error
    except Exception as error:  # broken bytes make the unpickler raise nearly anything
        raise CheckpointError(f"{source.name} is damaged or cut short.") from error
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict):
        raise CheckpointError(f"{source.name} holds no dictionary of tensors.")
    return {str(k): v for k, v in content.items() if isinstance(v, torch.Tensor)}


def _bookkeeping(source: Path) -> list[Any]:
    """Names of PyTorch Lightning's classes in the pickle, each made inert."""
    asked = torch.serialization.get_unsafe_globals_in_checkpoint(source)
    return [
        (_Inert, asked_for) for asked_for in asked if asked_for.startswith("pytorch_lightning.")
    ]


def _kind(source: Path, tensors: Tensors) -> str:
    infos = {
        name: TensorInfo(str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape))
        for name, tensor in tensors.items()
    }
    kind = kind_of(Header(source, infos, {}))
    if kind not in _KEPT:
        raise CheckpointError(
            f"{source.name} seems to be {DESCRIPTIONS[kind]}; {SUPPORTED}, and VAEs for them."
        )
    return kind


def _reduce(source: Path, tensors: Tensors, kind: str, precision: str) -> list[str]:
    """Drop what is not drawn with, shorten numbers where asked; what was done, in words."""
    changes = []
    if looks_pickled(source):
        changes.append("pickle rewritten as safetensors")
    unused = [key for key in tensors if not key.startswith(_KEPT[kind])]
    for key in unused:
        del tensors[key]
    if unused:
        changes.append(f"{len(unused)} tensors that drawing does not need left out")
    long = [key for key, value in tensors.items() if value.dtype in _LONG]
    if precision == "float16" and long:
        changes.append(f"{len(long)} tensors shortened to float16")
        tensors |= {key: tensors[key].half() for key in long}
    for key, value in tensors.items():
        tensors[key] = value.contiguous()
        if value.is_floating_point() and not value.isfinite().all():
            raise CheckpointError(
                f"{source.name}: {key!r} holds values that are not finite as {value.dtype}."
            )
    return changes


def _check(file: Path, kind: str) -> None:
    if kind == "vae":
        weights.verify_part("vae", read_vae(file))
    else:
        layout = read_layout(file)
        weights.verify(layout, layout.parts)


def _provenance(
    source: Path, file: Path, kind: str, changes: list[str], licence: licences.Licence
) -> dict[str, Any]:
    return {
        "file": file.name,
        "kind": kind,
        "sha256": compute(file),
        "licence": licence.id,
        "source": source.name,
        "source_sha256": compute(source),
        "changes": changes,
        "converted_by": f"limner {version('limner')}",
    }


def _write_papers(folder: Path, papers: Mapping[str, Any], licence: licences.Licence) -> None:
    (folder / PROVENANCE).write_text(json.dumps(papers, indent=2) + "\n", encoding="utf-8")
    if licence.text:
        shutil.copyfile(ASSETS / "licenses" / licence.text, folder / "LICENSE")
    if papers["changes"]:
        notice = "".join(f"* {change}\n" for change in papers["changes"])
        text = f"{papers['file']} was made from {papers['source']} by Limner. Changes:\n{notice}"
        (folder / "NOTICE").write_text(text, encoding="utf-8")


@contextmanager
def _new_folder(target: Path) -> Iterator[Path]:
    """A folder that appears under its name only when all is written and on the disk."""
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".import-", dir=target.parent))
    try:
        yield folder
        for file in folder.iterdir():
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

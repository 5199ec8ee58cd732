"""What one model is: told by its header, what lies beside it, and whether it can be drawn with."""

from __future__ import annotations

import gc
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from limner.domain import licences
from limner.domain.few_steps import Family
from limner.engine.checkpoints import (
    adapters,
    folders,
    layouts,
    parts,
    prediction,
    upscalers,
    ways,
)
from limner.engine.checkpoints.headers import Header
from limner.engine.checkpoints.inspection import DESCRIPTIONS, LOADED, kind_of, read_header
from limner.engine.checkpoints.layouts import SOURCE_SHA256
from limner.engine.onnx import headers, kinds
from limner.errors import CheckpointError
from limner.models import sidecars, taught, walking
from limner.models.walking import Found

log = logging.getLogger(__name__)

UNREADABLE, PICTURE = "unreadable", "picture"
EMBEDDING = "textual-inversion"
PICKLED = f"It is a pickle; {ways.IMPORT}."
NO_VAE = "It has no VAE of its own: name one with `vae` beside it."
_REASON_CHARS = 500
_BASES: Mapping[str, str] = {
    "sd1": "sd1", "sd1-inpainting": "sd1", "sd2": "sd2", "sdxl": "sdxl", "sd3": "sd3",
    "flux": "flux",
}  # fmt: skip


_BESIDE = (
    "lora",
    "controlnet",
    "t2i-adapter",
    "upscaler",
)  # what is drawn with beside a checkpoint
_OTHER_BASE: Mapping[str, str] = {
    base: f"It is for {name}, and Limner draws with Stable Diffusion 1.x."
    for base, name in {
        "sd2": "Stable Diffusion 2", "sd3": "Stable Diffusion 3", "sdxl": "SDXL", "flux": "Flux"
    }.items()
}  # fmt: skip


@dataclass(frozen=True)
class Facts:
    """What is known of one model.

    ``kind`` is a key of ``inspection.DESCRIPTIONS`` or ``unreadable``; ``base`` the family of
    checkpoints that it is or is for: ``sd1``, ``sd2``, ``sd3``, ``sdxl``, ``flux``, ``unknown``;
    ``network`` is by what a LoRA changes layers, or which network an upscaler is; ``parts`` are
    those that a LoRA changes; ``vectors`` are an embedding's, of ``width`` numbers each;
    ``scale`` is an upscaler's; ``source_sha256`` the sum, in 64 digits, of the file that it says
    it was imported from;
    ``reason`` a sentence on why it cannot be drawn with, None where it can; ``few_steps`` the way
    in which a checkpoint was taught to draw in few steps, where it or what lies beside it says so;
    ``needs_vae`` whether a request that names it must name a VAE too, for it has none;
    ``vae_beside`` the file's name of the VAE that lies beside a checkpoint without one, and
    ``said`` what lies beside that says how it predicts, as ``domain.model.Card`` has it;
    ``picture`` the file's name of the picture beside it.
    """

    kind: str = UNREADABLE
    base: str = "unknown"
    prediction: str | None = None
    trigger_words: tuple[str, ...] = ()
    network: str | None = None
    parts: tuple[str, ...] = ()
    vectors: int | None = None
    width: int | None = None
    scale: int | None = None
    notes: tuple[str, ...] = ()
    licence: str | None = None
    pickled: bool = False
    source_sha256: str | None = None
    reason: str | None = None
    few_steps: Family | None = None
    needs_vae: bool = False
    vae_beside: str | None = None
    said: str = ""
    picture: str | None = None

    @property
    def gives_way(self) -> bool:
        """To what has its name and is no pickle. A checkpoint's folder is used as it is."""
        return self.pickled and (self.reason is not None or self.kind not in LOADED)


def read(found: Found) -> Facts:
    """The facts of what was found; whatever is wrong with it is their ``reason``."""
    try:
        with _uncollected():
            facts = _of_folder(found.path) if found.path.is_dir() else _of_file(found.path)
    except CheckpointError as error:
        facts = Facts(PICTURE if _is_picture(found.path) else UNREADABLE, reason=str(error))
    except Exception as error:  # a stranger's file may not end the list of all others
        log.warning("model cannot be read", extra={"path": str(found.path)}, exc_info=True)
        facts = Facts(reason=f"{found.path.name} cannot be read: {type(error).__name__}.")
    told = sidecars.read(found.path, found.beside)
    return replace(
        facts,
        base=told.base if told.base and facts.base == "unknown" else facts.base,
        trigger_words=told.trigger_words or facts.trigger_words,
        notes=facts.notes + told.notes,
        reason=_inside(facts.reason, found),
        few_steps=told.few_steps or facts.few_steps,
        picture=told.picture,
    )


def _is_picture(path: Path) -> bool:
    """Whether its name says so; then it is no model that is broken, but none at all."""
    return path.suffix.lower() in walking.PICTURES


@contextmanager
def _uncollected() -> Iterator[None]:
    """A header is thousands of objects and no circle: looking for one takes half of the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _inside(reason: str | None, found: Found) -> str | None:
    """A sentence without the path to the library's folder, which is nobody's business."""
    if reason is None:
        return None
    root = str(found.place.folder).rstrip("/") or found.place.label
    return reason.replace(f"{root}/", "").replace(root, found.place.label)[:_REASON_CHARS]


def _of_onnx(path: Path) -> Facts:
    """A network that is run as it is; whether it can be is found out by who names it."""
    graph = headers.read(path)
    kind, classes = kinds.kind_of(graph), kinds.classes(graph)
    if kind == "onnx":
        return Facts(kind, reason=f"Limner does not draw with it: it is {DESCRIPTIONS[kind]}.")
    return Facts(kind, notes=(f"it finds: {classes}",) if classes else ())


def _of_file(path: Path) -> Facts:
    if path.suffix.lower() == kinds.SUFFIX:
        return _of_onnx(path)
    header = read_header(path)
    kind = kind_of(header)
    told = _told(header, kind)
    facts = Facts(
        kind,
        told.pop("base", None) or _BASES.get(kind) or _base(header),
        trigger_words=tuple(_short(told.pop("trigger_words", ()))),
        **told,
        pickled=header.pickled,
        source_sha256=_sum(header.metadata.get(SOURCE_SHA256)),
        few_steps=taught.of_header(header) if kind in (*LOADED, "lora") else None,
    )
    if kind in LOADED:
        facts = _of_whole(path, facts)
    elif kind == "vae":
        facts = _of_vae(path, facts)
    elif kind in _BESIDE:
        facts = replace(facts, reason=facts.reason or _OTHER_BASE.get(facts.base))
    elif kind == EMBEDDING:
        return replace(facts, reason=_OTHER_BASE.get(facts.base) or _no_embedding(header))
    else:
        facts = _of_incomplete(path, facts) if kind == "unet" else facts
        facts = replace(facts, reason=f"Limner does not draw with it: it is {DESCRIPTIONS[kind]}.")
    refused = header.pickled and kind not in _BESIDE[1:]
    return replace(facts, reason=facts.reason or PICKLED) if refused else facts


def _no_embedding(header: Header) -> str | None:
    """Why its vectors cannot be put into a prompt. One in a pickle is as good as any."""
    try:
        adapters.embedding_of(header)
    except CheckpointError as error:
        return str(error)
    return None


def _told(header: Header, kind: str) -> dict[str, Any]:
    if kind in adapters.KINDS:
        return adapters.facts(header, kind)
    return upscalers.facts(header) if kind == "upscaler" else {}


def _short(words: Sequence[str]) -> Iterator[str]:
    """As many and as long as of a sidecar: a header's text may be megabytes."""
    yield from (word[: sidecars.WORD_CHARS] for word in words[: sidecars.WORDS_MAX])


def _of_folder(path: Path) -> Facts:
    """A folder's pickles are used as they are: nothing has to be imported to draw with it."""
    found, few = folders.read_parts(path), taught.of_folder(path)
    pickled = parts.pickled(found)
    return _of_whole(path, Facts(folders.kind(found), "sd1", pickled=pickled, few_steps=few))


def _of_whole(path: Path, facts: Facts) -> Facts:
    """A checkpoint that Limner may load, by what its headers tell."""
    try:
        layout, chosen = layouts.chosen(path, None, required=("unet", "text_encoder"))
    except CheckpointError as error:
        return replace(_of_incomplete(path, facts), reason=str(error))
    return replace(
        facts,
        prediction=prediction.predicts(layout.scheduler),
        licence=licences.find(layout.licence).id,
        notes=parts.told(layout, chosen) + (() if "vae" in chosen else (NO_VAE,)),
        needs_vae="vae" not in chosen,
        vae_beside=None if layout.vae_beside is None else layout.vae_beside.name,
        said=" ".join(layout.said),
        source_sha256=_sum(layout.source_sha256),
    )


def _of_incomplete(path: Path, facts: Facts) -> Facts:
    """A checkpoint that cannot be loaded as it is: what can be told all the same."""
    with suppress(CheckpointError):
        layout = layouts.read_layout(path)
        notes = (*facts.notes, *layout.notes)
        return replace(facts, prediction=prediction.predicts(layout.scheduler), notes=notes)
    return facts


def _of_vae(path: Path, facts: Facts) -> Facts:
    try:
        layouts.read_vae(path)
        licence = layouts.provenance(path).get("licence")
    except CheckpointError as error:
        return replace(facts, reason=str(error))
    return replace(facts, licence=licence and licences.find(licence).id)


def _sum(said: Any) -> str | None:
    return said if isinstance(said, str) and re.fullmatch("[0-9a-f]{64}", said) else None


def _base(header: Header) -> str:
    """By the width of the contexts that it reads, as a ControlNet does."""
    for name, tensor in header.tensors.items():
        if name.endswith("attn2.to_k.weight") and tensor.ndim == 2:
            return adapters.BASES.get(tensor.shape[1], "unknown")
    return "unknown"

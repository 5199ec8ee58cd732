"""What is known about a checkpoint; shown at ``/api/model`` and named on every receipt."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import PurePath
from typing import Any


def sendable(name: str) -> str:
    """A file's name as a request can hold it: half characters, which it may have, in ASCII.

    It has no spaces at its ends, for they are cut off what a request names.
    """
    return name.strip().encode("utf-8", "backslashreplace").decode()


def stored_sha256(sha256: str, said: str) -> str:
    """The sum by which a model is known that is read as ``Card.said`` says; else its file's."""
    return hashlib.sha256(f"{sha256} {said}".encode()).hexdigest() if said else sha256


SUFFIXES = (".safetensors", ".sft", ".ckpt", ".pt", ".pth", ".bin", ".gguf", ".onnx")
"""Of files that may be models."""


# What libraries call a model's only file, whatever the model.
_ONLY = re.compile(
    "(diffusion_pytorch_model|pytorch_model|model|pytorch_lora_weights|learned_embeds)"
    r"(?P<variant>[.-].*)?"
)


def called(path: PurePath, suffixes: Collection[str] = SUFFIXES) -> str:
    """The name of a model at a path: its file's or folder's, in a hub's cache its repository's.

    A file of a repository has a name of its own, unless that is what every library writes.
    """
    if repository := _repository(path):
        return repository
    if path.suffix.lower() not in suffixes:
        return path.name
    repository, only = _repository(path.parent), _ONLY.fullmatch(path.stem)
    return repository + (only["variant"] or "") if repository and only else path.stem


def _repository(path: PurePath) -> str:
    """Of whose snapshot in a hub's cache a path is; empty for any other."""
    name = path.parent.parent.name
    inside = path.parent.name == "snapshots" and name.startswith("models--")
    return name.rpartition("--")[2] if inside else ""


@dataclass(frozen=True, kw_only=True)
class Card:
    """The facts of one checkpoint that its headers tell, whether it is loaded or not.

    ``sha256`` is of the file; of a folder it is the SHA-256 of what ``sha256sum`` prints for its
    weights and configs, sorted by path; ``source_sha256`` is of the author's file where this one
    was imported from it. ``vae`` says where the VAE came from (``"built in"`` or
    a file's name) and ``vae_sha256`` is set only for a replaced one. ``conversions`` lists, in
    words, whatever was changed between the author's file and memory: a licence may ask that
    changes be told. ``sprite_pixels`` is set for a model that paints sprites: picture pixels,
    across, of one sprite pixel. ``prediction`` is ``"epsilon"`` or ``"v-prediction"``; ``zero_snr``
    says that the schedule of noise ends in nothing but noise, which not every scheduler can draw
    with. ``text_encoder_sha256`` is set only for one that was named; ``clip_positions`` is
    ``"stored"`` where the checkpoint's own position ids, other than 0, 1, 2, ..., are used.
    ``said`` is what an operator, or a ``.yaml`` beside it, said over the model's files and they do
    not say themselves, in words.
    """

    name: str
    kind: str
    path: str
    sha256: str
    vae: str
    vae_sha256: str | None
    licence: str
    licence_needs_acceptance: bool
    attribution: tuple[str, ...]
    source: str
    conversions: tuple[str, ...]
    sprite_pixels: int | None = None
    prediction: str = "epsilon"
    zero_snr: bool = False
    source_sha256: str | None = None
    text_encoder_sha256: str | None = None
    clip_positions: str = "counted"
    said: str = ""

    @property
    def stored_sha256(self) -> str:
        """What a stored request is bound to: the file, and what was said over it, where it was."""
        return stored_sha256(self.sha256, self.said)

    @property
    def short_hash(self) -> str:
        """As AUTOMATIC1111 and model sites write it, of the author's file: ten digits."""
        return (self.source_sha256 or self.sha256)[:10]

    @property
    def query(self) -> str:
        """What names it in an address, with the VAE that replaces its own."""
        return f"model={self.short_hash}" + (f"&vae={self.vae_sha256}" if self.vae_sha256 else "")

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types, in the order of the fields; ``said`` shows in what it changed."""
        return {name: value for name, value in asdict(self).items() if name != "said"}


@dataclass(frozen=True, kw_only=True)
class ModelInfo(Card):
    """The facts of one checkpoint as it was loaded.

    ``parameters`` counts the numbers of ``unet``, ``vae`` and ``text_encoder``. ``processor`` names
    what computes, ``threads`` how many of its threads do; None on a GPU.
    """

    dtype: str
    device: str
    parameters: Mapping[str, int]
    processor: str = "unknown"
    threads: int | None = None

    @property
    def drawn_with(self) -> str:
        """The SHA-256s of the model and of a VAE in place of its own, in a row."""
        return self.sha256 + (self.vae_sha256 or "")

    @property
    def machine(self) -> dict[str, Any]:
        """What a picture's last bits may depend on beside the checkpoint, for its receipt."""
        return {"device": self.device, "processor": self.processor, "threads": self.threads}

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types, in the order of the fields."""
        return {**super().as_dict(), "parameters": dict(self.parameters)}

"""A file as a text names it: what it is, and what is told of its hashes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Hashes = Mapping[str, tuple[str, ...]]
"""Digits by ``model``, ``vae``, ``lora:NAME``, ``embed:NAME``."""
Kind = Literal["checkpoint", "VAE", "LoRA", "embedding", "hypernetwork", "upscaler"]
_DIGITS = re.compile("[0-9a-f]{8,64}")
_SUFFIX = re.compile(r"\.(safetensors|sft|ckpt|pt|pth|bin|vae|gguf)$", re.IGNORECASE)
_HASHED_NAME = re.compile(r"(.*?) ?[(\[]([0-9a-fA-F]{8,64})[)\]]")


@dataclass(frozen=True)
class Named:
    """A file as a text names it: ``digits`` are what is told of hashes, in lower case.

    ``unet`` and ``text_encoder`` are a LoRA's strengths, ``guessed`` where no text says them;
    ``more`` is what else its tag says.
    """

    kind: Kind
    name: str = ""
    digits: tuple[str, ...] = ()
    unet: float = 1.0
    text_encoder: float = 1.0
    more: str = ""
    guessed: bool = False

    def __str__(self) -> str:
        told = f" ({self.digits[0]})" if self.digits else ""
        return f"{self.kind} {self.name}{told}" if self.name else f"{self.kind}{told}"


def plain(name: str) -> str:
    """A file's name without its folders and suffixes."""
    name = name.strip().replace("\\", "/").rpartition("/")[2]
    while shorter := _SUFFIX.sub("", name):
        if shorter == name:
            break
        name = shorter
    return name


def apart(name: str) -> tuple[str, str]:
    """A name, and the hash that stands in brackets behind it."""
    match = _HASHED_NAME.fullmatch(name.strip())
    return (match[1], match[2]) if match else (name.strip(), "")


def digits_of(*told: str) -> tuple[str, ...]:
    folded = (each.strip().casefold().removeprefix("0x") for each in told)
    return tuple(dict.fromkeys(each for each in folded if _DIGITS.fullmatch(each)))

"""Which files a text names, with their hashes: checkpoint, VAE, LoRAs and embeddings."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from limner.domain.infotext.reading import Infotext

Hashes = Mapping[str, tuple[str, ...]]
Kind = Literal["checkpoint", "VAE", "LoRA", "embedding", "hypernetwork"]
_TAG = re.compile(r"<(lora|lyco|hypernet):([^<>:]+)((?::[^<>]*)?)>")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_DIGITS = re.compile("[0-9a-f]{8,64}")
_SUFFIX = re.compile(r"\.(safetensors|sft|ckpt|pt|pth|bin|vae|gguf)$", re.IGNORECASE)
_HASHED_NAME = re.compile(r"(.*?) ?[(\[]([0-9a-fA-F]{8,64})[)\]]")
_PREFIXED = re.compile(r"(?i:embedding):([\w.-]*\w)")
_NO_VAE = ("none", "automatic", "baked", "baked in", "built in", "builtin", "default")
_CIVITAI: Mapping[str, Kind] = {
    "checkpoint": "checkpoint",
    "model": "checkpoint",
    "lora": "LoRA",
    "locon": "LoRA",
    "lycoris": "LoRA",
    "dora": "LoRA",
    "vae": "VAE",
    "embed": "embedding",
    "textualinversion": "embedding",
}


@dataclass(frozen=True)
class Named:
    """A file as a text names it: ``digits`` are what is told of hashes, in lower case.

    ``unet`` and ``text_encoder`` are a LoRA's strengths; ``more`` is what else its tag says.
    """

    kind: Kind
    name: str = ""
    digits: tuple[str, ...] = ()
    unet: float = 1.0
    text_encoder: float = 1.0
    more: str = ""

    def __str__(self) -> str:
        told = f" ({self.digits[0]})" if self.digits else ""
        return f"{self.kind} {self.name}{told}" if self.name else f"{self.kind}{told}"


def of(text: Infotext) -> tuple[str, tuple[Named, ...]]:
    """The prompt without its tags, and all files, the checkpoint first; it may have no name."""
    hashes = _hashes(text.pairs)
    listed = list(_listed(text.pairs))
    prompt, tagged = _tags(text.prompt, hashes)
    tagged += _of_additional_networks(text.pairs)
    if not tagged:
        tagged = [each for each in listed if each.kind == "LoRA"]
    vae = _vae(text.pairs, hashes)
    return prompt, (
        _checkpoint(text.pairs, hashes, listed),
        *([] if vae is None else [vae]),
        *tagged,
        *_embeddings(hashes, listed),
        *_prefixed(f"{text.prompt}\n{text.negative_prompt}", hashes),
    )


def plain(name: str) -> str:
    """A file's name without its folders and suffixes."""
    name = name.strip().replace("\\", "/").rpartition("/")[2]
    while shorter := _SUFFIX.sub("", name):
        if shorter == name:
            break
        name = shorter
    return name


def _checkpoint(pairs: Mapping[str, str], hashes: Hashes, listed: list[Named]) -> Named:
    name, own = _apart(pairs.get("Model", ""))
    digits = _digits(pairs.get("Model hash", ""), own, *hashes.get("model", ()))
    if not name and not digits:
        return next((each for each in listed if each.kind == "checkpoint"), Named("checkpoint"))
    return Named("checkpoint", plain(name), digits)


def _vae(pairs: Mapping[str, str], hashes: Hashes) -> Named | None:
    name, own = _apart(pairs.get("VAE", ""))
    digits = _digits(pairs.get("VAE hash", ""), own, *hashes.get("vae", ()))
    if plain(name).casefold() in _NO_VAE or not (name or digits):
        return None
    return Named("VAE", plain(name), digits)


def _tags(prompt: str, hashes: Hashes) -> tuple[str, list[Named]]:
    """``<lora:name:text_encoder:unet>`` and its kin, taken out of the prompt."""
    found: list[Named] = []

    def taken(match: re.Match[str]) -> str:
        kind: Kind = "hypernetwork" if match[1] == "hypernet" else "LoRA"
        name = match[2].strip()
        told = (hashes.get(f"{each}:{name}", ()) for each in dict.fromkeys((match[1], "lora")))
        digits = _digits(*itertools.chain.from_iterable(told))
        found.append(Named(kind, name, digits, **_strengths(match[3][1:])))
        return ""

    last = prompt.rfind(">") + 1
    return _TAG.sub(taken, prompt[:last]) + prompt[last:], found


def _strengths(arguments: str) -> dict[str, Any]:
    """Of a tag: up to two numbers, ``te=`` and ``unet=``; what is neither is ``more``."""
    numbers: list[float] = []
    named: dict[str, float] = {}
    more = []
    for part in filter(None, map(str.strip, arguments.split(":"))):
        key, _, value = part.rpartition("=")
        if not _NUMBER.fullmatch(value) or key not in ("", "te", "unet") or len(numbers) > 1:
            more.append(part)
        elif key:
            named[key] = float(value)
        else:
            numbers.append(float(value))
    text_encoder = named.get("te", numbers[0] if numbers else 1.0)
    unet = named.get("unet", numbers[1] if len(numbers) > 1 else text_encoder)
    return {"unet": unet, "text_encoder": text_encoder, "more": ":".join(more)}


def _of_additional_networks(pairs: Mapping[str, str]) -> list[Named]:
    """LoRAs of the extension that AUTOMATIC1111 had before it knew them."""
    found = []
    for number in range(1, 6):
        name, own = _apart(pairs.get(f"AddNet Model {number}", ""))
        if plain(name).casefold() in ("", "none"):
            continue
        unet, text_encoder = (
            float(said) if _NUMBER.fullmatch(said) else 1.0
            for said in (pairs.get(f"AddNet Weight {part} {number}", "") for part in "AB")
        )
        found.append(Named("LoRA", plain(name), _digits(own), unet, text_encoder))
    return found


def _embeddings(hashes: Hashes, listed: list[Named]) -> Iterator[Named]:
    for name, digits in hashes.items():
        if name.startswith("embed:"):
            yield Named("embedding", name.removeprefix("embed:"), _digits(*digits))
    yield from (each for each in listed if each.kind == "embedding")


def _prefixed(prompts: str, hashes: Hashes) -> Iterator[Named]:
    """Embeddings as ComfyUI names them, which alone are errors where they are not there."""
    for name in dict.fromkeys(_PREFIXED.findall(prompts)):
        if f"embed:{name}" not in hashes:
            yield Named("embedding", name)


def _hashes(pairs: Mapping[str, str]) -> Hashes:
    """All that is told by ``model``, ``vae``, ``lora:NAME``, ``embed:NAME``."""
    found: dict[str, tuple[str, ...]] = {}
    for pair, kind in (("TI hashes", "embed"), ("Lora hashes", "lora")):
        for part in pairs.get(pair, "").split(","):
            name, _, digits = part.rpartition(":")
            if name.strip():
                found[f"{kind}:{name.strip()}"] = (digits,)
    told = _json(pairs.get("Hashes", ""))
    for name, digits in told.items() if isinstance(told, dict) else ():
        found[name.strip()] = (*found.get(name.strip(), ()), str(digits))
    return found


def _listed(pairs: Mapping[str, str]) -> Iterator[Named]:
    """What Civitai's own generator lists, by the names of its pages."""
    rows = _json(pairs.get("Civitai resources", ""))
    for row in rows if isinstance(rows, list) else ():
        if not isinstance(row, dict):
            continue
        kind = _CIVITAI.get(str(row.get("type", "")).casefold())
        name = " ".join(
            str(row.get(key)) for key in ("modelName", "modelVersionName") if row.get(key)
        )
        if not name and row.get("modelVersionId"):
            name = f"version {row['modelVersionId']} of Civitai"
        weight = row.get("weight", 1.0)
        strength = float(weight) if isinstance(weight, int | float) else 1.0
        if kind and name:
            yield Named(kind, name, unet=strength, text_encoder=strength)


def _json(text: str) -> Any:
    try:
        return json.loads(text) if text else None
    except (ValueError, RecursionError):
        return None


def _apart(name: str) -> tuple[str, str]:
    """A name, and the hash that stands in brackets behind it."""
    match = _HASHED_NAME.fullmatch(name.strip())
    return (match[1], match[2]) if match else (name.strip(), "")


def _digits(*told: str) -> tuple[str, ...]:
    folded = (each.strip().casefold().removeprefix("0x") for each in told)
    return tuple(dict.fromkeys(each for each in folded if _DIGITS.fullmatch(each)))

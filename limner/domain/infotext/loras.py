"""LoRAs that a text names: by tags in its prompt, by pairs, or by their hashes alone."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Any

from limner.domain.infotext.named import Hashes, Kind, Named, apart, digits_of, plain

_TAG = re.compile(r"<(lora|lyco|hypernet):([^<>:]+)((?::[^<>]*)?)>")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_LISTED_MAX = 64
HASHES = "lora:"


def of(
    prompt: str, pairs: Mapping[str, str], hashes: Hashes, listed: list[Named]
) -> tuple[str, list[Named]]:
    """The prompt without its tags, and what is drawn with; ``listed`` is Civitai's own list."""
    prompt, found = tagged(prompt, hashes)
    found += [*_of_additional_networks(pairs), *_numbered(pairs)]
    if not any(each.kind == "LoRA" for each in found):
        found += [each for each in listed if each.kind == "LoRA"]
    return prompt, found + list(_of_hashes(pairs, hashes, found))


def tagged(prompt: str, hashes: Hashes) -> tuple[str, list[Named]]:
    """``<lora:name:text_encoder:unet>`` and its kin, taken out of the prompt."""
    found: list[Named] = []

    def taken(match: re.Match[str]) -> str:
        kind: Kind = "hypernetwork" if match[1] == "hypernet" else "LoRA"
        name = match[2].strip()
        told = (hashes.get(f"{each}:{name}", ()) for each in dict.fromkeys((match[1], "lora")))
        digits = digits_of(*itertools.chain.from_iterable(told))
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
        name, own = apart(pairs.get(f"AddNet Model {number}", ""))
        if plain(name).casefold() in ("", "none"):
            continue
        unet, text_encoder = (
            float(said) if _NUMBER.fullmatch(said) else 1.0
            for said in (pairs.get(f"AddNet Weight {part} {number}", "") for part in "AB")
        )
        found.append(Named("LoRA", plain(name), digits_of(own), unet, text_encoder))
    return found


def _numbered(pairs: Mapping[str, str]) -> Iterator[Named]:
    """Those of a program for ComfyUI that writes its settings so."""
    for number in range(_LISTED_MAX):
        name = pairs.get(f"Lora_{number} Model name")
        if name is None:
            return
        unet, text_encoder = (
            float(said) if _NUMBER.fullmatch(said) else 1.0
            for said in (pairs.get(f"Lora_{number} Strength {part}", "") for part in _PARTS)
        )
        digits = digits_of(pairs.get(f"Lora_{number} Model hash", ""))
        yield Named("LoRA", plain(name), digits, unet, text_encoder)


_PARTS = ("model", "clip")


def _of_hashes(pairs: Mapping[str, str], hashes: Hashes, found: list[Named]) -> Iterator[Named]:
    """Those that acted, for they have a hash, and that nothing else names.

    Fooocus and some of ComfyUI's programs write no tags, and sites lose them. Where one that is
    named has no hash, the hash may be its own under another name.
    """
    loras = [each for each in found if each.kind == "LoRA"]
    if not all(each.digits for each in loras):
        return
    weights = dict(_weights(pairs.get("Lora weights", "")))
    known = {plain(each.name).casefold() for each in (*loras, *_elsewhere(pairs))}
    taken = {digits for each in loras for digits in each.digits}
    for key, told in hashes.items():
        name, digits = key[len(HASHES) :], digits_of(*told)
        named = not key.casefold().startswith(HASHES) or plain(name).casefold() in known
        if named or not digits or taken & set(digits):
            continue
        weight = weights.get(plain(name).casefold())
        strength = 1.0 if weight is None else weight
        yield Named("LoRA", plain(name), digits, strength, strength, guessed=weight is None)


def _elsewhere(pairs: Mapping[str, str]) -> Iterator[Named]:
    """Those of other prompts, such as ADetailer's, which are not the picture's."""
    for value in pairs.values():
        yield from tagged(value, {})[1]


def _weights(text: str) -> Iterator[tuple[str, float]]:
    """Fooocus' list of strengths, by names in lower case."""
    for part in text.split(","):
        name, _, weight = part.rpartition(":")
        if _NUMBER.fullmatch(weight.strip()):
            yield plain(name).casefold(), float(weight)

"""Which files a text names, with their hashes: checkpoint, VAE, LoRAs and embeddings."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from limner.domain.infotext import loras
from limner.domain.infotext.named import Hashes, Kind, Named, apart, digits_of, plain
from limner.domain.infotext.reading import Infotext

_PREFIXED = re.compile(r"(?i:embedding):([\w.-]*\w)")
_MODULE = re.compile(r"Module \d+")
_VAES_NAME = re.compile(r"vae|kl-?f[48]", re.IGNORECASE)
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


def of(text: Infotext) -> tuple[str, tuple[Named, ...]]:
    """The prompt without its tags, and all files, the checkpoint first; it may have no name."""
    hashes = _hashes(text.pairs)
    listed = list(_listed(text.pairs))
    prompt, tagged = loras.of(text.prompt, text.pairs, hashes, listed)
    vae = _vae(text.pairs, hashes)
    return prompt, (
        _checkpoint(text.pairs, hashes, listed),
        *([] if vae is None else [vae]),
        *tagged,
        *_embeddings(hashes, listed),
        *_prefixed(f"{text.prompt}\n{text.negative_prompt}", hashes),
    )


def _checkpoint(pairs: Mapping[str, str], hashes: Hashes, listed: list[Named]) -> Named:
    name, own = apart(pairs.get("Model", ""))
    digits = digits_of(pairs.get("Model hash", ""), own, *hashes.get("model", ()))
    if not name and not digits:
        return next((each for each in listed if each.kind == "checkpoint"), Named("checkpoint"))
    return Named("checkpoint", plain(name), digits)


def _vae(pairs: Mapping[str, str], hashes: Hashes) -> Named | None:
    name, own = apart(pairs.get("VAE", ""))
    digits = digits_of(pairs.get("VAE hash", ""), own, *hashes.get("vae", ()))
    if not (name or digits):
        name = next((pairs[each] for each in modules(pairs)), "")
    if plain(name).casefold() in _NO_VAE or not (name or digits):
        return None
    return Named("VAE", plain(name), digits)


def modules(pairs: Mapping[str, str]) -> list[str]:
    """The pairs by which Forge names a VAE, beside text encoders of other families."""
    named = {name: value for name, value in pairs.items() if _MODULE.fullmatch(name)}
    return [name for name, v in named.items() if len(named) == 1 or _VAES_NAME.search(v)]


def _embeddings(hashes: Hashes, listed: list[Named]) -> Iterator[Named]:
    for name, digits in hashes.items():
        if name.startswith("embed:"):
            yield Named("embedding", name.removeprefix("embed:"), digits_of(*digits))
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

"""What a LoRA or an embedding says of itself: which checkpoints it is for, and which words call it.

Shapes go before metadata, which are what some trainer wrote. The keys are those of sd-scripts
(``ss_``) and of Stability's model metadata (``modelspec.``).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from limner.engine.checkpoints.headers import Header

KINDS = ("lora", "textual-inversion")
BASES: Mapping[int, str] = {768: "sd1", 1024: "sd2", 2048: "sdxl"}  # by the width of contexts
_READS_CONTEXT = ("attn2_to_k", "attn2.to_k", "attn2.processor.to_k_lora")
_DOWN = (".lora_down.weight", ".lora_A.weight", ".lora.down.weight", ".down.weight")
_WORDS_SHOWN = 8


def facts(header: Header, kind: str) -> dict[str, Any]:
    """Of one of ``KINDS``: ``base`` and ``trigger_words``, oftenest first.

    The base is ``sd1``, ``sd2``, ``sdxl`` or ``unknown``.
    """
    base = _of_lora(header) if kind == "lora" else _of_embedding(header)
    return {"base": base, "trigger_words": _words(header.metadata)}


def _of_lora(header: Header) -> str:
    """By the width of the contexts that it changes the reading of."""
    for name, tensor in header.tensors.items():
        if any(part in name for part in _READS_CONTEXT) and name.endswith(_DOWN):
            return BASES.get(tensor.shape[-1] if tensor.ndim == 2 else tensor.shape[1], "unknown")
    said = header.metadata.get("ss_base_model_version", "")
    said += header.metadata.get("modelspec.architecture", "")
    marks = {"sdxl": "sdxl", "xl-v1": "sdxl", "sd_v1": "sd1", "diffusion-v1": "sd1", "sd_v2": "sd2"}
    return next((base for mark, base in marks.items() if mark in said), "unknown")


def _of_embedding(header: Header) -> str:
    """By the width of its vectors; one with two sets is SDXL's."""
    if header.any("clip_g"):
        return "sdxl"
    widths = {tensor.shape[-1] for tensor in header.tensors.values() if tensor.ndim in (1, 2)}
    return BASES.get(max(widths), "unknown") if widths else "unknown"


def _words(metadata: Mapping[str, str]) -> list[str]:
    """The phrase that its author names; else the tags that its training saw most."""
    if phrase := metadata.get("modelspec.trigger_phrase", "").strip():
        return [word.strip() for word in phrase.split(",") if word.strip()]
    counts: Counter[str] = Counter()
    try:
        folders = json.loads(metadata.get("ss_tag_frequency", "{}"))
        for tags in folders.values():
            counts.update({str(tag).strip(): int(count) for tag, count in tags.items()})
    except (ValueError, TypeError, AttributeError, RecursionError):
        return []
    return [word for word, _ in counts.most_common(_WORDS_SHOWN) if word]

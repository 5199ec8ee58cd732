"""What an adapter says of itself: what it is for and made of, and which words call it.

Shapes go before metadata, which are what some trainer wrote. The keys are those of sd-scripts
(``ss_``) and of Stability's model metadata (``modelspec.``).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from limner.domain.embeddings import VECTORS_MAX
from limner.engine.checkpoints.headers import FLOATS, Header, TensorInfo
from limner.errors import CheckpointError

KINDS = ("lora", "textual-inversion")
BASES: Mapping[int, str] = {768: "sd1", 1024: "sd2", 2048: "sdxl"}  # by the width of contexts
_READS_CONTEXT = ("attn2_to_k", "attn2.to_k", "attn2.processor.to_k_lora")
# Endings of tensors whose last sizes are what a layer reads.
_DOWN = (
    ".lora_down.weight", ".lora_A.weight", ".lora.down.weight", ".down.weight",
    ".lora_A.default.weight", ".hada_w1_b", ".diff",
)  # fmt: skip
_WORDS_SHOWN = 8
BUNDLED = "bundle_emb."
_VECTORS = (".string_to_param.*", ".clip_l", ".emb_params")

# By LyCORIS' names and PEFT's, the endings of names: what a file's layers are changed by.
_NETWORKS: Mapping[str, tuple[str, ...]] = {
    "LoRA": (
        "lora_down.weight", "lora_A.weight", "lora_A.default.weight", "lora.down.weight",
        "_lora.down.weight", "lora_linear_layer.down.weight",
    ),
    "LoHa": ("hada_w1_a",),
    "LoKr": ("lokr_w1", "lokr_w1_a"),
    "OFT": ("oft_blocks", "oft_diag"),
    "IA3": ("on_input",),
    "GLoRA": (".a1.weight",),
    "full": (".diff", ".w_norm"),
    "DoRA": ("dora_scale", "lora_magnitude_vector", "lora_magnitude_vector.weight", ".magnitude"),
}  # fmt: skip
# What is in the names of a part's layers; a line break stands for a name's beginning.
_PARTS: Mapping[str, tuple[str, ...]] = {
    "unet": (
        "lora_unet_", "diffusion_model", "\nunet.", "\nunet_", "\ntransformer.",
        "\nlora_transformer_", "\ndown_blocks.", "\nup_blocks.", "\nmid_block.",
    ),
    "text_encoder": (
        "\nlora_te_", "\nlora_te1_", "\nlora_te2_", "\nlora_te3_", "\ntext_encoder",
        "cond_stage_model", "clip_l.", "clip_g.",
    ),
}  # fmt: skip
# The one text encoder of SD 1.x and 2.x; SDXL's two and Flux' have numbers.
_ONE_TEXT = re.compile(
    r"(lora_te_|text_encoder\.|cond_stage_model\.transformer\.).*(q_proj|k_proj|v_proj|fc1)\."
)
# What is in names that only one family of models has. SDXL's attentions are several layers deep.
_ONLY: Mapping[str, tuple[str, ...]] = {
    "flux": ("double_blocks", "single_blocks", "single_transformer_blocks"),
    "sd3": ("joint_blocks", "transformer.transformer_blocks", "transformer_transformer_blocks"),
    "sdxl": ("\nlora_te2_", "text_encoder_2"),
}  # fmt: skip
_DEEP = re.compile(r"transformer_blocks([._])[1-9]\1")
# What trainers write, by the beginning of its name among their words.
_SAID: Mapping[str, str] = {
    "sdxl": "sdxl", "xl-v1": "sdxl", "sd_v1": "sd1", "diffusion-v1": "sd1", "sd_v2": "sd2",
    "diffusion-v2": "sd2", "sd3": "sd3", "diffusion-3": "sd3", "flux": "flux",
}  # fmt: skip


def facts(header: Header, kind: str) -> dict[str, Any]:
    """Of one of ``KINDS``: ``base`` and ``trigger_words``, oftenest first; and what it is made of.

    The base is ``sd1``, ``sd2``, ``sd3``, ``sdxl``, ``flux`` or ``unknown``. A LoRA has
    ``network``, kinds joined by `` + ``, and ``parts``, of ``unet`` and ``text_encoder``; an
    embedding has ``vectors``, how many places of a prompt it takes, and their ``width``.
    """
    words = {"trigger_words": _words(header.metadata)}
    if kind == "lora":
        return {"base": _of_lora(header), **words, "network": network(header), "parts": _of(header)}
    size = {"vectors": _vectors(header), "width": _width(header)}
    return {"base": _of_embedding(header), **words, **size}


def network(header: Header) -> str:
    """By what a LoRA file changes layers: LoRA, LoCon, LoHa, LoKr, OFT, ...; ``unknown``."""
    text = header.lines
    found = [kind for kind, marks in _NETWORKS.items() if any(f"{m}\n" in text for m in marks)]
    if "LoRA" in found and (".lora_mid." in text or _has_kernel(header)):
        found[found.index("LoRA")] = "LoCon"
    blocks = (t.ndim for name, t in header.tensors.items() if name.endswith(".oft_blocks"))
    if "OFT" in found and any(ndim == 4 for ndim in blocks):
        found[found.index("OFT")] = "BOFT"
    if found[-1:] == ["DoRA"] and found[0] == "LoRA":
        found = found[1:]  # which a DoRA is, with a length for each row
    return " + ".join(found) or "unknown"


def _has_kernel(header: Header) -> bool:
    """Whether it changes a convolution that sees more than one pixel."""
    shapes = [info.shape for info in header.tensors.values()]
    return any(max(shape[2:]) > 1 for shape in shapes if len(shape) == 4)


def _of(header: Header) -> tuple[str, ...]:
    text = header.lines
    return tuple(part for part, marks in _PARTS.items() if any(mark in text for mark in marks))


def _of_lora(header: Header) -> str:
    """By the names of one family, else the width of what the layers read that it changes."""
    text = header.lines
    for base, marks in _ONLY.items():
        if any(mark in text for mark in marks):
            return base
    if _DEEP.search(text):
        return "sdxl"
    for name, width in _widths(header):
        if any(part in name for part in _READS_CONTEXT):
            return BASES.get(width, "unknown")
    for name, width in _widths(header):
        if _ONE_TEXT.search(name):
            return BASES.get(width, "unknown")
    said = header.metadata.get("ss_base_model_version", "")
    said += header.metadata.get("modelspec.architecture", "")
    return next((base for mark, base in _SAID.items() if mark in said), "unknown")


def _widths(header: Header) -> Iterator[tuple[str, int]]:
    """How much each layer reads, where one tensor tells it."""
    for name, tensor in header.tensors.items():
        if name.endswith(_DOWN) and tensor.ndim in (2, 4):
            yield name, tensor.shape[1]


def embedding_of(header: Header, name: str = "") -> TensorInfo:
    """The vectors of an embedding's file, or those called ``name`` that a LoRA brings.

    Raises:
        CheckpointError: they are not one row of vectors, too many, or those of SDXL.
    """
    file, brought = header.path.name, bundled(header)
    if brought:
        found = [brought[name]] if name in brought else []
    else:
        found = [t for n, t in header.tensors.items() if not n.startswith("string_to_token")]
    if _of_embedding(header) == "sdxl":
        raise CheckpointError(f"{file} is an embedding for SDXL, with vectors of two encoders.")
    if len(found) != 1 or found[0].ndim not in (1, 2) or found[0].dtype not in FLOATS:
        raise CheckpointError(f"{file} holds no single row of an embedding's vectors.")
    if not 1 <= rows(found[0]) <= VECTORS_MAX:
        raise CheckpointError(
            f"{file} has {rows(found[0]):,} vectors; embeddings of 1 to {VECTORS_MAX} are used."
        )
    return found[0]


def bundled(header: Header) -> dict[str, TensorInfo]:
    """The embeddings that a LoRA brings in its file, by their names."""
    inside = {n.removeprefix(BUNDLED): t for n, t in header.tensors.items() if is_bundled(n)}
    return {
        name.removesuffix(end): tensor
        for name, tensor in inside.items()
        for end in _VECTORS
        if name.endswith(end)
    }


def is_bundled(tensor: str) -> bool:
    """Whether a LoRA's tensor belongs to an embedding that it brings."""
    return tensor.startswith(BUNDLED)


def _of_embedding(header: Header) -> str:
    """By the width of its vectors; one with two sets is SDXL's."""
    if any(name.endswith("clip_g") for name in header.tensors):
        return "sdxl"
    return BASES.get(_width(header), "unknown")


def _width(header: Header) -> int:
    """Numbers of a vector; of two encoders the larger."""
    flat = (tensor for tensor in header.tensors.values() if tensor.ndim in (1, 2))
    return max((tensor.shape[-1] for tensor in flat), default=0)


def _vectors(header: Header) -> int:
    return max((rows(tensor) for tensor in header.tensors.values()), default=0)


def rows(tensor: TensorInfo) -> int:
    """How many vectors it is."""
    return tensor.shape[0] if tensor.ndim == 2 else 1


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

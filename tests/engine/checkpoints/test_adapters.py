"""LoRAs and embeddings are told by what they change, and named by their own metadata."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from limner.engine.checkpoints import adapters
from limner.engine.checkpoints.headers import Header, TensorInfo
from limner.engine.checkpoints.inspection import kind_of

TO_K = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight"
PEFT = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.lora_A.weight"
TEXT = "lora_te_text_model_encoder_layers_0_mlp_fc1.lora_down.weight"
VERSION_2 = {"ss_base_model_version": "sd_v2"}
TAGS = json.dumps({"10_fox": {"fox": 9, "red fur": 4}, "5_more": {"fox": 1, "forest": 5}})
TAGGED = {"ss_tag_frequency": TAGS}


def header(name: str, shape: tuple[int, ...], metadata: dict[str, str]) -> Header:
    return Header(Path("a.safetensors"), {name: TensorInfo("F16", shape)}, metadata)


KNOWN: dict[str, tuple[tuple[str, tuple[int, ...], dict[str, str]], str, str, list[str]]] = {
    "SD 1": ((TO_K, (8, 768), {}), "lora", "sd1", []),
    "SD 1, convolution": ((TO_K, (8, 768, 1, 1), {}), "lora", "sd1", []),
    "SD 1 of PEFT": ((PEFT, (8, 768), {}), "lora", "sd1", []),
    "SD 2": ((TO_K, (8, 1024), {}), "lora", "sd2", []),
    "SDXL": ((TO_K, (8, 2048), {}), "lora", "sdxl", []),
    "shapes over metadata": ((TO_K, (8, 768), VERSION_2), "lora", "sd1", []),
    "text encoder alone": ((TEXT, (8, 768), {"ss_base_model_version": "sd_v1"}), "lora", "sd1", []),
    "by modelspec": (
        (TEXT, (8, 768), {"modelspec.architecture": "stable-diffusion-xl-v1-base/lora"}),
        "lora", "sdxl", [],
    ),
    "nothing known": ((TEXT, (8, 768), {}), "lora", "unknown", []),
    "tags": ((TO_K, (8, 768), TAGGED), "lora", "sd1", ["fox", "forest", "red fur"]),
    "a phrase": (
        (TO_K, (8, 768), TAGGED | {"modelspec.trigger_phrase": "by fox, night"}),
        "lora", "sd1", ["by fox", "night"],
    ),
    "broken tags": ((TO_K, (8, 768), {"ss_tag_frequency": '{"a": [1]}'}), "lora", "sd1", []),
    "no JSON": ((TO_K, (8, 768), {"ss_tag_frequency": "{"}), "lora", "sd1", []),
    "embedding": (("emb_params", (4, 768), {}), "textual-inversion", "sd1", []),
    "embedding of SD 2": (("emb_params", (4, 1024), {}), "textual-inversion", "sd2", []),
    "embedding of SDXL": (("clip_g", (4, 1280), {}), "textual-inversion", "sdxl", []),
    "pickled embedding": (("string_to_param.*", (4, 768), {}), "textual-inversion", "sd1", []),
}  # fmt: skip


@pytest.mark.parametrize("what", KNOWN)
def test_an_adapter_names_its_base_and_its_words(what: str) -> None:
    file, kind, base, words = KNOWN[what]
    found = header(*file)
    assert kind_of(found) == kind
    expected: dict[str, Any] = {"base": base, "trigger_words": words}
    assert adapters.facts(found, kind) == expected

"""LoRAs and embeddings are told by what they change, and named by their own metadata."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from limner.engine.checkpoints import adapters, names
from limner.engine.checkpoints.headers import Header, TensorInfo
from limner.engine.checkpoints.inspection import kind_of

TO_K = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight"
PEFT = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.lora_A.weight"
TEXT = "lora_te_text_model_encoder_layers_0_mlp_fc1.lora_down.weight"
OTHER = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q.lora_down.weight"
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
        (OTHER, (8, 768), {"modelspec.architecture": "stable-diffusion-xl-v1-base/lora"}),
        "lora", "sdxl", [],
    ),
    "SD 1 by its text encoder": ((TEXT, (8, 768), {}), "lora", "sd1", []),
    "SD 2 by its text encoder": ((TEXT, (8, 1024), {}), "lora", "sd2", []),
    "SDXL by its second text encoder": (
        (TEXT.replace("lora_te_", "lora_te2_"), (8, 1280), {}), "lora", "sdxl", [],
    ),
    "SDXL by its depth": (
        (TO_K.replace("blocks_0_attn2_to_k", "blocks_3_attn1_to_q"), (8, 640), {}),
        "lora", "sdxl", [],
    ),
    "Flux": (("lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight", (8, 3072), {}),
             "lora", "flux", []),
    "SD 3": (("transformer.transformer_blocks.0.attn.to_q.lora_A.weight", (8, 1536), {}),
             "lora", "sd3", []),
    "LoHa": ((TO_K.replace("lora_down.weight", "hada_w1_b"), (8, 768), {}), "lora", "sd1", []),
    "nothing known": ((OTHER, (8, 320), {}), "lora", "unknown", []),
    "SD 2 by modelspec": (
        (OTHER, (8, 320), {"modelspec.architecture": "stable-diffusion-v2-768-v/lora"}),
        "lora", "sd2", [],
    ),
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
    told = adapters.facts(found, kind)
    assert (told["base"], told["trigger_words"]) == (base, words)


X, T = "lora_unet_mid_block_attentions_0_proj_in", "lora_te_text_model_encoder_layers_0_mlp_fc1"
NETWORKS: dict[str, tuple[dict[str, tuple[int, ...]], str, tuple[str, ...]]] = {
    "LoRA": ({f"{X}.lora_down.weight": (4, 320), f"{X}.alpha": ()}, "LoRA", ("unet",)),
    "LoRA of 1x1": ({f"{X}.lora_down.weight": (4, 320, 1, 1)}, "LoRA", ("unet",)),
    "LoRA of PEFT": ({PEFT: (4, 768), "text_encoder.text_model.x.lora_A.weight": (4, 768)},
                     "LoRA", ("unet", "text_encoder")),
    "LoRA of older diffusers": (
        {"unet.up_blocks.1.attentions.0.attn1.processor.to_q_lora.down.weight": (4, 320)},
        "LoRA", ("unet",),
    ),
    "LoCon": ({f"{X}.lora_down.weight": (4, 320, 3, 3)}, "LoCon", ("unet",)),
    "Tucker": ({f"{X}.lora_down.weight": (4, 320, 1, 1), f"{X}.lora_mid.weight": (4, 4, 3, 3)},
               "LoCon", ("unet",)),
    "both parts": ({f"{X}.lora_down.weight": (4, 320), f"{T}.lora_down.weight": (4, 768)},
                   "LoRA", ("unet", "text_encoder")),
    "text alone": ({f"{T}.lora_down.weight": (4, 768)}, "LoRA", ("text_encoder",)),
    "LoHa": ({f"{X}.hada_w1_a": (320, 4), f"{X}.hada_w1_b": (4, 320)}, "LoHa", ("unet",)),
    "LoKr": ({f"{X}.lokr_w1": (4, 4), f"{X}.lokr_w2_a": (80, 4)}, "LoKr", ("unet",)),
    "LoKr in two": ({f"{X}.lokr_w1_a": (4, 4), f"{X}.lokr_w2": (80, 4)}, "LoKr", ("unet",)),
    "DoRA": ({f"{X}.lora_down.weight": (4, 320), f"{X}.dora_scale": (1, 320)}, "DoRA", ("unet",)),
    "DoRA of PEFT": ({PEFT: (4, 768), PEFT.replace("lora_A.weight", "lora_magnitude_vector"): (4,)},
                     "DoRA", ("unet",)),
    "DoRA of LoKr": ({f"{X}.lokr_w1": (4, 4), f"{X}.dora_scale": (320, 1)}, "LoKr + DoRA",
                     ("unet",)),
    "OFT": ({f"{X}.oft_blocks": (4, 80, 80)}, "OFT", ("unet",)),
    "BOFT": ({f"{X}.oft_blocks": (2, 4, 80, 80)}, "BOFT", ("unet",)),
    "IA3": ({f"{X}.weight": (320,), f"{X}.on_input": ()}, "IA3", ("unet",)),
    "GLoRA": ({f"{X}.{name}.weight": (4, 4) for name in ("a1", "a2", "b1", "b2")}, "GLoRA",
              ("unet",)),
    "full": ({f"{X}.diff": (320, 320), f"{X}.diff_b": (320,)}, "full", ("unet",)),
    "norms beside": ({f"{X}.lora_down.weight": (4, 320), f"{X}.w_norm": (320,)}, "LoRA + full",
                     ("unet",)),
    "SDXL's text": ({"lora_te1_text_model_x.lora_down.weight": (4, 768)}, "LoRA",
                    ("text_encoder",)),
    "something else": ({f"{X}.strange": (4, 4)}, "unknown", ("unet",)),
}  # fmt: skip


@pytest.mark.parametrize("what", NETWORKS)
@pytest.mark.parametrize("read", [dict, lambda t: names.canonical(t)[0]])
def test_a_lora_names_its_network_and_its_parts(what: str, read: Any) -> None:
    """By the names in the file, and by those that its reader gives them."""
    shapes, network, parts = NETWORKS[what]
    infos = read({name: TensorInfo("F16", shape) for name, shape in shapes.items()})
    found = Header(Path("a.safetensors"), infos, {})
    assert kind_of(found) == "lora"
    told = adapters.facts(found, "lora")
    assert (told["network"], told["parts"]) == (network, parts)


@pytest.mark.parametrize(
    ("name", "shape", "vectors"),
    [("emb_params", (4, 768), 4), ("<fox>", (768,), 1), ("clip_g", (2, 1280), 2)],
)
def test_an_embedding_tells_how_many_vectors_it_has(
    name: str, shape: tuple[int, ...], vectors: int
) -> None:
    assert adapters.facts(header(name, shape, {}), "textual-inversion")["vectors"] == vectors

"""Headers are read, kinds are told apart, and whatever is wrong is said in one sentence."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from limner.engine.checkpoints import names
from limner.engine.checkpoints.inspection import (
    DESCRIPTIONS,
    LOADED,
    SD15_PARAMETERS,
    Header,
    TensorInfo,
    kind_of,
    read_header,
    require_sd1,
)
from limner.errors import CheckpointError
from tests.engine import checkpoint_files

UNET = "model.diffusion_model."
CONTEXT = f"{UNET}input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
TEXT = "cond_stage_model.transformer.text_model.embeddings.token_embedding.weight"


def header(**shapes: tuple[int, ...]) -> Header:
    raw = {name: TensorInfo("F16", shape) for name, shape in shapes.items()}
    return Header(Path("file.safetensors"), names.canonical(raw)[0], {})


def unet(channels: int, context: int, **more: tuple[int, ...]) -> Header:
    first = {f"{UNET}input_blocks.0.0.weight": (320, channels, 3, 3), CONTEXT: (320, context)}
    return header(**first, **more)


KINDS = [
    ("sd1", unet(4, 768, **{TEXT: (49408, 768)})),
    ("sd1-inpainting", unet(9, 768, **{TEXT: (49408, 768)})),
    ("lcm", unet(4, 768, **{f"{UNET}time_embed.cond_proj.weight": (320, 256), TEXT: (49408, 768)})),
    ("lcm", unet(4, 768, **{f"{UNET}time_embed.cond_proj.weight": (320, 256)})),
    ("instruct-pix2pix", unet(8, 768, **{TEXT: (49408, 768)})),
    ("sd2", unet(4, 1024, **{"cond_stage_model.model.ln_final.weight": (1024,)})),
    ("sd2", unet(4, 1024)),
    ("sdxl", unet(4, 2048, **{"conditioner.embedders.0.transformer.x": (1,)})),
    ("sdxl", unet(4, 2048, **{f"{UNET}label_emb.0.0.weight": (1280, 2816)})),
    ("sd3", header(**{f"{UNET}joint_blocks.0.x_block.attn.qkv.weight": (1, 1)})),
    ("flux", header(**{"double_blocks.0.img_attn.qkv.weight": (1, 1)})),
    ("lora", header(**{"lora_unet_mid_block.lora_up.weight": (4, 4), "b": (1,), "c": (1,)})),
    ("lora", header(**{"unet.down_blocks.0.to_q.lora_A.weight": (4, 4)})),
    ("lora", header(**{"lora_unet_x.hada_w1_a": (4, 4)})),
    ("textual-inversion", header(emb_params=(4, 768))),
    ("textual-inversion", header(**{"*": (2, 768)})),
    ("unknown", header(weight=(2, 3))),
    ("controlnet", header(**{"control_model.input_hint_block.0.weight": (16, 3, 3, 3)})),
    ("vae", header(**{"decoder.conv_in.weight": (1,), "encoder.x": (1,), "loss.y": (1,)})),
    (
        "unet",
        header(
            **{
                "conv_in.weight": (320, 4, 3, 3),
                "time_embedding.linear_1.weight": (1280, 320),
                "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight": (320, 768),
            }
        ),
    ),
    ("text-encoder", header(**{"text_model.a": (1,), "text_model.b": (1,), "c": (1,)})),
    ("unknown", header(a=(1,), b=(2,), c=(3,))),
]


@pytest.mark.parametrize(("kind", "found"), KINDS)
def test_kinds_are_told_apart(kind: str, found: Header) -> None:
    assert kind_of(found) == kind


@pytest.mark.parametrize(
    ("kind", "found"), [pair for pair in KINDS if pair[0] not in (*LOADED, "unet")]
)
def test_what_is_not_sd1_is_refused_by_name(kind: str, found: Header) -> None:
    with pytest.raises(CheckpointError) as caught:
        require_sd1(found)
    sentence = str(caught.value)
    assert sentence.startswith("file.safetensors seems to be ")
    assert DESCRIPTIONS[kind] in sentence
    assert "\n" not in sentence


FOREIGN = [
    (b"", "is empty"),
    (b"<!DOCTYPE html><html><body>404 Not Found</body></html>", "HTML"),
    (b"\n  <html>", "HTML"),
    (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "itself with git lfs pull."),
    (b"GGUF\x03\x00\x00\x00\x00\x00\x00\x00", "GGUF"),
    (b"\x89PNG\r\n\x1a\n0000000000", "PNG"),
    (b'{"error": "Invalid username or password."}', "JSON"),
    (b"PK\x03\x04 a zip of pickles", "damaged or cut short"),
    (b"\x80\x02}q\x00", "damaged or cut short"),
    (b"\x80\x02}.", "a pickle, but not PyTorch's"),
    (b"\x01\x02\x03", "too short"),
    (b"just some text that is no tensor file at all", "neither a safetensors nor a PyTorch file"),
    (struct.pack("<Q", 8) + b"{{{{{{{{", "damaged"),
    (struct.pack("<Q", 2) + b"{}", "without any tensor"),
    (struct.pack("<Q", 9) + b'{"a": 12}', "damaged"),
    (struct.pack("<Q", 5000) + b'{"a": ', "truncated"),
]


@pytest.mark.parametrize(("content", "words"), FOREIGN)
def test_foreign_files_are_refused_in_one_sentence(
    tmp_path: Path, content: bytes, words: str
) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError) as caught:
        read_header(path)
    assert "model.safetensors" in str(caught.value)
    assert words in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"absent\.safetensors does not exist"):
        read_header(tmp_path / "absent.safetensors")


def test_every_truncation_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "whole.safetensors"
    save_file({"a": torch.arange(6.0), "b": torch.ones(2, 3)}, path)
    whole = path.read_bytes()
    cut = tmp_path / "cut.safetensors"
    for length in range(len(whole)):
        cut.write_bytes(whole[:length])
        with pytest.raises(CheckpointError):
            read_header(cut)
    cut.write_bytes(whole)
    assert read_header(cut).parameters("") == 12


@settings(
    deadline=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(junk=st.binary(max_size=80), claimed=st.integers(0, 100) | st.just(2**63))
def test_junk_never_raises_anything_else(tmp_path: Path, junk: bytes, claimed: int) -> None:
    path = tmp_path / "junk.safetensors"
    for content in (
        junk,
        struct.pack("<Q", claimed) + junk,
        struct.pack("<Q", claimed) + b"{" + junk,
    ):
        path.write_bytes(content)
        with pytest.raises(CheckpointError):
            read_header(path)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(
    deadline=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(entry=json_values, metadata=json_values)
def test_any_json_header_is_read_or_refused(
    tmp_path: Path, entry: object, metadata: object
) -> None:
    text = json.dumps({"__metadata__": metadata, "a": entry}).encode()
    path = tmp_path / "odd.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text)
    with pytest.raises(CheckpointError):
        read_header(path)


def test_sd15_has_the_published_number_of_parameters_and_tensors() -> None:
    with torch.device("meta"):
        names = checkpoint_files.original(checkpoint_files.models({}))
    infos = {name: TensorInfo("F16", tuple(value.shape)) for name, value in names.items()}
    found = Header(Path("sd15"), infos, {})
    assert {
        "unet": found.parameters(UNET),
        "vae": found.parameters("first_stage_model."),
        "text_encoder": found.parameters("cond_stage_model."),
    } == SD15_PARAMETERS
    counts = [
        sum(name.startswith(start) for name in names) for start in ("model.", "first_", "cond_")
    ]
    assert counts == [686, 248, 196 + 1]  # and the position ids
    assert kind_of(found) == "sd1"


@pytest.mark.parametrize("length", [640, 896, 1152, 1408])
def test_a_header_whose_length_begins_like_a_pickle_is_none(tmp_path: Path, length: int) -> None:
    """The first two bytes of these lengths are those of pickles of protocols 2 to 5."""
    path = tmp_path / "fox.safetensors"
    text = json.dumps({"lora_unet_x.lora_up.weight": {"dtype": "F32", "shape": [1],
                                                      "data_offsets": [0, 4]}})  # fmt: skip
    path.write_bytes(struct.pack("<Q", length) + text.ljust(length).encode() + bytes(4))
    header = read_header(path)
    assert (header.pickled, list(header.tensors)) == (False, ["lora_unet_x.lora_up.weight"])

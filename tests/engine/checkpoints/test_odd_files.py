"""Odd files load bit for bit as the plain one does, or are refused; all four readers agree."""

from __future__ import annotations

import contextlib
import functools
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from limner.cli import doctor, models
from limner.engine.checkpoints import layouts, weights
from limner.engine.checkpoints.headers import Header, TensorInfo
from limner.engine.checkpoints.importing import import_checkpoint
from limner.engine.checkpoints.parts import Part
from limner.engine.checkpoints.tensors import read
from limner.engine.checkpoints.translation import fitted
from limner.errors import CheckpointError
from limner.settings import Settings as Chosen
from tests.engine import checkpoint_files
from tests.engine.checkpoints.odd_files import LOADED
from tests.engine.checkpoints.odd_folders import whole_folder
from tests.engine.checkpoints.refused_files import REFUSED, spoilt
from tests.engine.checkpoints.writing import INNER, POSITIONS, UNET, VAE, Tensors, plain
from tests.rarely import rarely

# The tensors whose shapes tell what a file is and how wide its layers are.
TELLING = (
    f"{UNET}input_blocks.0.0.weight",
    f"{UNET}input_blocks.1.0.out_layers.3.weight",
    f"{UNET}input_blocks.4.0.out_layers.3.weight",
    f"{UNET}input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight",
    f"{VAE}encoder.down.0.block.0.conv1.weight",
    f"{VAE}post_quant_conv.weight",
    f"{INNER}embeddings.token_embedding.weight",
    f"{INNER}embeddings.position_embedding.weight",
    f"{INNER}encoder.layers.0.mlp.fc1.weight",
)

Expected = dict[str, dict[str, torch.Tensor]]


@pytest.fixture(scope="module", autouse=True)
def _quick() -> Any:
    """Models and tokenizers are built once, and nothing is forced to the disk."""
    with pytest.MonkeyPatch.context() as patch:
        empty, tokenizer = weights._empty, weights._tokenizer
        built: dict[str, Any] = {}

        def remembered(name: str, part: Part) -> Any:
            key = name + json.dumps(dict(part.config), sort_keys=True)
            return built.get(key) or built.setdefault(key, empty(name, part))

        clip = tokenizer(layouts.read_layout(layouts.EMBEDDED))
        patch.setattr(weights, "_empty", remembered)
        patch.setattr(weights, "_tokenizer", lambda _: clip)
        yield


def states(parts: Mapping[str, Part], shapes: Expected) -> Expected:
    """The numbers of each part as float32, read without building a model."""
    return {
        name: {key: read(info).float() for key, info in fitted(name, part, shapes[name]).items()}
        for name, part in parts.items()
    }


@functools.cache
def original_names() -> dict[str, dict[str, tuple[str, torch.Size]]]:
    """Of each model's tensor the original name, by the tests' own table, and its shape."""
    names = {
        "unet": checkpoint_files.unet_name,
        "vae": lambda key: VAE + checkpoint_files.vae_name(key),
        "text_encoder": lambda key: f"cond_stage_model.transformer.text_model.{key}",
    }
    return {
        name: {key: (names[name](key), value.shape) for key, value in part.state_dict().items()}
        for name, part in plain().items()
    }


def expected(tensors: Tensors) -> Expected:
    """What the models must hold, as float32, when a file holds these tensors."""
    return {
        name: {key: tensors[old].float().reshape(shape) for key, (old, shape) in names.items()}
        for name, names in original_names().items()
    }


def assert_same(found: Expected, wanted: Expected) -> None:
    for name, state in wanted.items():
        assert found[name].keys() == state.keys()
        for key, value in state.items():
            assert torch.equal(found[name][key], value), f"{name} {key}"


def made(what: str, folder: Path, tensors: Tensors) -> tuple[Path, Expected]:
    """An odd file, and what it must load as."""
    found = LOADED[what](folder, tensors)
    path, numbers = found if isinstance(found, tuple) else (found, tensors)
    return path, expected(numbers)


@pytest.mark.parametrize("what", rarely(LOADED, 4))
def test_an_odd_file_holds_what_the_plain_one_does(
    tensors: Tensors, tmp_path: Path, what: str
) -> None:
    path, wanted = made(what, tmp_path, tensors)
    _, parts = layouts.chosen(path, None)
    assert_same(states(parts, wanted), wanted)
    assert parts["vae"].config["scaling_factor"] == 0.18215


@pytest.mark.slow
@pytest.mark.parametrize("what", LOADED)
def test_all_readers_agree_on_an_odd_file(tensors: Tensors, tmp_path: Path, what: str) -> None:
    path, wanted = made(what, tmp_path, tensors)
    loaded = weights.load(path, device="cpu", dtype="float32")
    assert_same({name: getattr(loaded, name).state_dict() for name in wanted}, wanted)

    facts = models.inspect(path)
    assert (facts["loadable"], facts["refusal"]) == (True, None)
    assert doctor._model(for_file(path)).state == "ok"

    imported = import_checkpoint(path, tmp_path / "models", name="made")
    layout = layouts.read_layout(imported.path)
    assert_same(states(layout.parts, wanted), {name: wanted[name] for name in layout.parts})
    assert layout.source_sha256 == facts["sha256"]


def for_file(path: Path) -> Chosen:
    return Chosen(model=path, device="cpu", dtype="float32")


def test_what_is_done_to_an_odd_file_is_told(tensors: Tensors, tmp_path: Path) -> None:
    told = {
        "EMA only": "EMA copy",
        "VAE beside, pickled": "VAE taken from odd.vae.pt",
        "ControlNet inside": "ControlNet in the same file left aside",
        "stray keys of a LoRA": "LoRA in the same file left aside",
        "scaled float8": "scales",
        "positions as half": "position ids are not 0, 1, 2, ...; 0, 1, 2, ... are used",
        "bytes after the end": "37 bytes after the last tensor",
    }
    for number, (what, words) in enumerate(told.items()):
        folder = tmp_path / str(number)
        folder.mkdir()
        odd = LOADED[what](folder, tensors)
        path = odd[0] if isinstance(odd, tuple) else odd
        assert words in "; ".join(layouts.read_layout(path).notes)
    for what in ("plain", "positions as int32", "no positions"):
        path, _ = made(what, tmp_path, tensors)
        assert layouts.read_layout(path).notes == ()


def inspected(path: Path) -> str | None:
    """Why ``inspect`` says that it does not load, or what it says when it cannot be read."""
    try:
        facts = models.inspect(path)
    except CheckpointError as error:
        return str(error)
    assert facts["loadable"] is False
    refusal: str = facts["refusal"]
    return refusal


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_loaded_is_refused_alike(
    tensors: Tensors, tmp_path: Path, what: str
) -> None:
    make, words = REFUSED[what]
    path = make(tmp_path, tensors)
    assert isinstance(path, Path)
    sentences = []
    for reader in (
        lambda: weights.load(path, device="cpu", dtype="float32"),
        lambda: doctor._model(for_file(path)),
    ):
        with pytest.raises(CheckpointError, match=words) as caught:
            reader()
        sentences.append(str(caught.value))
    assert sentences[0] == sentences[1]
    assert re.search(r"\bodd\b", sentences[0])
    assert inspected(path) == sentences[0]
    if what != "VAE alone":
        with pytest.raises(CheckpointError, match=words):
            import_checkpoint(path, tmp_path / "models")
        assert not list((tmp_path / "models").glob("*"))


def test_a_spoilt_vae_is_named_and_another_cures_it(tensors: Tensors, tmp_path: Path) -> None:
    path = spoilt(tmp_path, tensors, f"{VAE}decoder.conv_out.bias")
    with pytest.raises(CheckpointError, match=r"of the vae holds .*not finite.*--vae"):
        weights.load(path, device="cpu", dtype="float32")
    made("VAE beside", tmp_path, tensors)
    sound = tmp_path / "odd.vae.safetensors"
    path = spoilt(tmp_path, tensors, f"{VAE}decoder.conv_out.bias")
    loaded = weights.load(path, vae=sound, device="cpu", dtype="float32")
    assert torch.equal(
        loaded.vae.decoder.conv_out.bias, tensors[f"{VAE}decoder.conv_out.bias"].float()
    )
    imported = import_checkpoint(path, tmp_path / "models", name="made")
    assert "name another with --vae" in "; ".join(imported.provenance["changes"])
    weights.load(imported.path, vae=sound, device="cpu", dtype="float32")


def test_numbers_too_large_for_the_type_are_named(tensors: Tensors, tmp_path: Path) -> None:
    key = f"{UNET}out.2.bias"
    path, _ = made("plain", tmp_path, tensors | {key: torch.full((4,), 1e6)})
    with pytest.raises(CheckpointError, match="not finite as float16"):
        weights.load(path, device="cpu", dtype="float16")


@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_header_of_any_shapes_is_read_or_refused(
    tensors: Tensors, tmp_path: Path, data: st.DataObject
) -> None:
    """Whatever the shapes of some tensors, and whichever are missing."""
    infos = {name: TensorInfo("F16", tuple(value.shape)) for name, value in tensors.items()}
    del infos[POSITIONS]  # whose numbers are looked at
    names = data.draw(st.lists(st.sampled_from(TELLING), min_size=1, max_size=4))
    for name in names:
        shape = data.draw(st.none() | st.lists(st.integers(0, 9), max_size=4).map(tuple))
        infos.pop(name, None)
        if shape is not None:
            infos[name] = TensorInfo("F16", shape)
    found = Header(tmp_path / "odd.safetensors", infos, {})
    with pytest.MonkeyPatch.context() as patch, contextlib.suppress(CheckpointError):
        patch.setattr(layouts, "read_header", lambda _: found)
        for part in layouts.chosen(found.path, None)[1].values():
            assert part.config


CONFIGS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("unet", {"in_channels": [4]}),
    ("unet", {"block_out_channels": "wide"}),
    ("unet", {"block_out_channels": []}),
    ("unet", {"cross_attention_dim": {}}),
    ("unet", {"norm_num_groups": 0}),
    ("vae", {"latent_channels": None}),
    ("vae", {"norm_num_groups": "x"}),
    ("text_encoder", {"num_attention_heads": 0}),
    ("text_encoder", {"hidden_size": -32}),
    ("text_encoder", {"hidden_act": {}}),
    ("text_encoder", {"architectures": 5, "num_hidden_layers": "2"}),
)


@pytest.mark.parametrize(("part", "changes"), CONFIGS)
def test_a_folder_with_an_impossible_config_is_refused(
    tensors: Tensors, tmp_path: Path, part: str, changes: dict[str, Any]
) -> None:
    path = whole_folder(tmp_path, tensors)
    config = json.loads((path / part / "config.json").read_text())
    (path / part / "config.json").write_text(json.dumps(config | changes))
    with pytest.raises(CheckpointError, match="odd"):
        weights.verify(*layouts.chosen(path, None))

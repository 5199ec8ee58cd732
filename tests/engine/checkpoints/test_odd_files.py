"""Odd files load bit for bit as the plain one does, or are refused; all four readers agree."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from limner.cli import doctor, models
from limner.engine.checkpoints import layouts, weights
from limner.engine.checkpoints.importing import import_checkpoint
from limner.engine.checkpoints.parts import Part
from limner.engine.checkpoints.tensors import read
from limner.engine.checkpoints.translation import fitted
from limner.errors import CheckpointError
from limner.settings import Settings
from tests.engine import checkpoint_files
from tests.engine.checkpoints.odd_files import (
    LOADED,
    REFUSED,
    UNET,
    VAE,
    Tensors,
    plain,
    spoilt,
)

Expected = dict[str, dict[str, torch.Tensor]]


@pytest.fixture(scope="module")
def tensors() -> Tensors:
    return checkpoint_files.original(plain())


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
        patch.setattr(os, "fsync", lambda _: None)
        yield


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def states(parts: Mapping[str, Part], shapes: Expected) -> Expected:
    """The numbers of each part as float32, read without building a model."""
    return {
        name: {key: read(info).float() for key, info in fitted(name, part, shapes[name]).items()}
        for name, part in parts.items()
    }


def expected(tensors: Tensors) -> Expected:
    """The same from original names, by the tests' own table of names."""
    names = {
        "unet": checkpoint_files.unet_name,
        "vae": lambda key: VAE + checkpoint_files.vae_name(key),
        "text_encoder": lambda key: f"cond_stage_model.transformer.text_model.{key}",
    }
    return {
        name: {
            key: tensors[names[name](key)].float().reshape(value.shape)
            for key, value in part.state_dict().items()
        }
        for name, part in plain().items()
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


@pytest.mark.parametrize("what", LOADED)
def test_an_odd_file_holds_what_the_plain_one_does(
    tensors: Tensors, tmp_path: Path, what: str
) -> None:
    path, wanted = made(what, tmp_path, tensors)
    layout, parts = layouts.chosen(path, None)
    assert_same(states(parts, wanted), wanted)
    weights.verify(layout, parts)
    assert parts["vae"].config["scaling_factor"] == 0.18215


@pytest.mark.slow
@pytest.mark.parametrize("what", LOADED)
def test_all_readers_agree_on_an_odd_file(tensors: Tensors, tmp_path: Path, what: str) -> None:
    path, wanted = made(what, tmp_path, tensors)
    loaded = weights.load(path, device="cpu", dtype="float32")
    assert_same({name: getattr(loaded, name).state_dict() for name in wanted}, wanted)

    facts = models.inspect(path)
    assert (facts["loadable"], facts["refusal"]) == (True, None)
    assert doctor._model(settings(path)).state == "ok"

    imported = import_checkpoint(path, tmp_path / "models", name="made")
    layout = layouts.read_layout(imported.path)
    assert_same(states(layout.parts, wanted), {name: wanted[name] for name in layout.parts})
    assert layout.source_sha256 == facts["sha256"]


def settings(path: Path) -> Settings:
    return Settings(model=path, device="cpu", dtype="float32")


def test_what_is_done_to_an_odd_file_is_told(tensors: Tensors, tmp_path: Path) -> None:
    told = {
        "EMA only": "EMA copy",
        "VAE beside, pickled": "VAE taken from odd.vae.pt",
        "ControlNet inside": "ControlNet in the same file left aside",
        "stray keys of a LoRA": "LoRA in the same file left aside",
        "scaled float8": "scales",
        "bytes after the end": "37 bytes after the last tensor",
    }
    for number, (what, words) in enumerate(told.items()):
        folder = tmp_path / str(number)
        folder.mkdir()
        odd = LOADED[what](folder, tensors)
        path = odd[0] if isinstance(odd, tuple) else odd
        assert words in "; ".join(layouts.read_layout(path).changes)
    path, _ = made("plain", tmp_path, tensors)
    assert layouts.read_layout(path).changes == ()


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
        lambda: doctor._model(settings(path)),
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

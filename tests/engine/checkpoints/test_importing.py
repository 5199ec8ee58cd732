"""Importing writes a folder that loads, with its papers; a dangerous pickle leaves nothing."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from limner.engine.checkpoints import importing, weights
from limner.engine.checkpoints.containers import read_header
from limner.engine.checkpoints.importing import import_checkpoint
from limner.engine.checkpoints.layouts import read_layout
from limner.errors import CheckpointError
from limner.models.listing import Library
from tests.engine import checkpoint_files

Tensors = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def tensors() -> Tensors:
    return checkpoint_files.original(checkpoint_files.models(), torch.float32)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.mark.parametrize("zipped", [True, False])
def test_a_ckpt_becomes_safetensors_with_its_papers(
    tensors: Tensors, tmp_path: Path, models: Path, zipped: bool
) -> None:
    source = tmp_path / "RPG-v4.ckpt"
    extra = {"model_ema.decay": torch.ones(1)}
    content = {"state_dict": tensors | extra, "epoch": 3, "lr_schedulers": [{"a": 1.5}]}
    torch.save(content, source, _use_new_zipfile_serialization=zipped)
    made = import_checkpoint(source, models)

    assert made.path == models / "RPG-v4" / "RPG-v4.safetensors"
    written = load_file(made.path)
    assert written.keys() == tensors.keys()
    assert all(torch.equal(written[name], value) for name, value in tensors.items())
    papers = json.loads((made.path.parent / "provenance.json").read_text())
    assert papers == made.provenance
    assert papers["sha256"] == hashlib.sha256(made.path.read_bytes()).hexdigest()
    assert papers["source_sha256"] == hashlib.sha256(source.read_bytes()).hexdigest()
    licence = (made.path.parent / "LICENSE").read_text()
    assert "CreativeML Open RAIL-M\ndated August 22, 2022" in licence
    assert "pickle rewritten as safetensors" in (made.path.parent / "NOTICE").read_text()

    info = weights.load(made.path, device="cpu", dtype="float32").info
    assert info.sha256 == papers["sha256"]
    assert info.attribution[0] == "RPG V4 by Anashel"
    assert info.conversions == tuple(papers["changes"])


@pytest.mark.slow
def test_numbers_can_be_shortened(tensors: Tensors, tmp_path: Path, models: Path) -> None:
    source = tmp_path / "wide.safetensors"
    save_file(tensors, source)
    made = import_checkpoint(source, models, precision="float16", name="short", licence="mit")
    assert made.path == models / "short" / "short.safetensors"
    written = load_file(made.path)
    for name, value in tensors.items():
        expected = value.half() if value.is_floating_point() else value
        assert torch.equal(written[name], expected), name
    assert made.provenance["licence"] == "mit"
    assert any("shortened to float16" in change for change in made.provenance["changes"])


def test_a_vae_is_imported_for_the_vae_option(tmp_path: Path, models: Path) -> None:
    vae = checkpoint_files.models(seed=3)["vae"]
    names = {n: v.contiguous() for n, v in checkpoint_files.vae_tensors(vae).items()}
    source = tmp_path / "vae-ft.ckpt"
    torch.save({"state_dict": names | {"loss.logvar": torch.zeros(1)}}, source)
    made = import_checkpoint(source, models)
    assert made.provenance["kind"] == "vae"
    written = load_file(made.path)
    assert written.keys() == {f"first_stage_model.{name}" for name in names}
    assert all(torch.equal(written[f"first_stage_model.{n}"], v) for n, v in names.items())


@pytest.mark.slow
def test_an_imported_file_names_the_authors(tensors: Tensors, tmp_path: Path, models: Path) -> None:
    source = tmp_path / "RPG-v4.safetensors"
    save_file(tensors, source, metadata={"modelspec.title": "RPG"})
    sha256 = hashlib.sha256(source.read_bytes()).hexdigest()
    made = import_checkpoint(source, models, precision="float16", licence="mit")
    metadata = read_header(made.path).metadata
    assert metadata == {"format": "pt", "modelspec.title": "RPG", "source_sha256": sha256}
    info = weights.load(made.path.parent, device="cpu", dtype="float32").info  # by its folder
    assert (info.source_sha256, info.short_hash) == (sha256, sha256[:10])
    assert info.sha256 == made.provenance["sha256"] != sha256
    again = import_checkpoint(made.path, models, name="again")
    assert read_header(again.path).metadata["source_sha256"] == sha256
    assert again.provenance["licence"] == "mit"
    assert again.provenance["changes"] == made.provenance["changes"] != []


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("licence", ["mit"], "must be text"),
        ("licence", {"id": "mit"}, "must be text"),
        ("source_sha256", 5, "must be text"),
        ("changes", "shortened", "must be a list of text"),
        ("changes", [1], "must be a list of text"),
    ],
)
def test_papers_that_somebody_changed_are_refused_by_name(
    tensors: Tensors, models: Path, tmp_path: Path, field: str, value: Any, rule: str
) -> None:
    file, papers = tmp_path / "fox.safetensors", tmp_path / "provenance.json"
    save_file(tensors, file)
    papers.write_text(json.dumps({"file": file.name, field: value}))
    for read in (read_layout, lambda path: import_checkpoint(path, models, licence="mit")):
        with pytest.raises(CheckpointError, match=f"provenance.json: {field} is .*; it {rule}"):
            read(file)
    papers.write_text("[" * 100_000)
    with pytest.raises(CheckpointError, match=r"provenance\.json is not valid JSON"):
        read_layout(file)


@pytest.mark.slow
def test_a_folder_is_imported_as_one(tmp_path: Path, models: Path) -> None:
    parts = checkpoint_files.models()
    source = checkpoint_files.write_folder(tmp_path / "fox", parts)
    shape = {"scaling_factor": 0.5}
    config = json.loads((source / "vae" / "config.json").read_text()) | shape
    (source / "vae" / "config.json").write_text(json.dumps(config))
    (source / "README.md").write_text("---\nlicense: mit\n---\n")
    file = source / "unet" / "diffusion_pytorch_model.safetensors"
    torch.save(load_file(file), file.with_suffix(".bin"))
    file.unlink()
    made = import_checkpoint(source, models)
    assert made.path == models / "fox"
    assert not list(made.path.rglob("*.bin"))
    ours = weights.load(made.path, device="cpu", dtype="float32")
    for name, part in parts.items():
        found = getattr(ours, name).state_dict()
        assert all(torch.equal(found[key], value) for key, value in part.state_dict().items())
    assert (ours.latent_scaling, ours.info.licence, ours.info.name) == (0.5, "mit", "fox")
    assert ours.info.sha256 == made.provenance["sha256"]
    assert ours.info.source_sha256 == read_layout(source).sha256
    assert ours.info.conversions == ("pickles rewritten as safetensors",)


@pytest.mark.slow
def test_the_ema_copy_is_taken_on_demand(tensors: Tensors, tmp_path: Path, models: Path) -> None:
    source, unet = tmp_path / "both.safetensors", "model.diffusion_model."
    averages = {
        "model_ema." + name.removeprefix("model.").replace(".", ""): value + 1
        for name, value in tensors.items()
        if name.startswith(unet)
    }
    save_file(tensors | averages, source)
    assert "`limner models import --ema` takes it" in " ".join(read_header(source).notes)
    written = load_file(import_checkpoint(source, models, ema=True).path)
    for name, value in tensors.items():
        assert torch.equal(written[name], value + 1 if name.startswith(unet) else value), name
    save_file(tensors, source)
    with pytest.raises(CheckpointError, match=r"both\.safetensors holds no EMA copy"):
        import_checkpoint(source, models, name="none", ema=True)


class Payload:
    """Runs a command when unpickled by an unwary reader."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.mark}",)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_with_a_payload_is_refused_and_leaves_nothing(
    tensors: Tensors, tmp_path: Path, models: Path, zipped: bool
) -> None:
    mark, source = tmp_path / "mark", tmp_path / "evil.ckpt"
    content = {"state_dict": tensors, "extra": Payload(mark)}
    torch.save(content, source, _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match=r"evil\.ckpt is refused.*could run code"):
        import_checkpoint(source, models)
    assert not mark.exists()
    assert not models.exists()
    torch.load(source, weights_only=False)  # the payload is real: this reader falls for it
    assert mark.exists()


def _without(tensors: Tensors, part: str) -> Tensors:
    return {name: value for name, value in tensors.items() if part not in name}


def test_what_cannot_be_loaded_is_not_imported(
    tensors: Tensors, tmp_path: Path, models: Path
) -> None:
    spoilt = tensors | {"model.diffusion_model.out.2.bias": torch.tensor([0.0, 1, torch.nan, 2])}
    cases: dict[str, tuple[object, str]] = {
        "words": ({"emb_params": torch.ones(2, 768)}, "a textual inversion"),
        "incomplete": (_without(tensors, "out.2.weight"), "lacks 1 of the"),
        "spoilt": (spoilt, "not finite"),
        "list": ([torch.ones(2)], "no dictionary of tensors"),
        "nothing": ({}, "no dictionary of tensors"),
    }
    for name, (content, words) in cases.items():
        source = tmp_path / f"{name}.ckpt"
        torch.save(content, source)
        with pytest.raises(CheckpointError, match=words):
            import_checkpoint(source, models)
        assert not models.exists() or not list(models.iterdir())


def test_damaged_files_are_refused(tensors: Tensors, tmp_path: Path, models: Path) -> None:
    source = tmp_path / "cut.ckpt"
    torch.save({"state_dict": tensors}, source)
    whole = source.read_bytes()
    for content in (whole[: len(whole) // 2], whole[:3], b"", b"<html>404</html>", b"\x80\x02junk"):
        source.write_bytes(content)
        with pytest.raises(CheckpointError, match=r"cut\.ckpt"):
            import_checkpoint(source, models)
    assert not models.exists()


def test_a_taken_name_and_a_bad_one_are_refused(
    tensors: Tensors, tmp_path: Path, models: Path
) -> None:
    source = tmp_path / "a.safetensors"
    save_file(tensors, source)
    (models / "a").mkdir(parents=True)
    with pytest.raises(CheckpointError, match="exists already"):
        import_checkpoint(source, models)
    for name in ("../up", ".hidden", "a/b"):
        with pytest.raises(CheckpointError, match="cannot be the name"):
            import_checkpoint(source, models, name=name)
    with pytest.raises(CheckpointError, match="precision is 'int8'"):
        import_checkpoint(source, models, name="b", precision="int8")


@pytest.mark.slow
def test_two_imports_of_one_name_at_once_give_one_folder_and_a_sentence(
    tensors: Tensors, tmp_path: Path, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "a.safetensors"
    save_file(tensors, source)
    write = importing._write_papers

    def write_late(*args: Any) -> None:
        monkeypatch.setattr(importing, "_write_papers", write)
        import_checkpoint(source, models)  # the other one, which is quicker
        write(*args)

    monkeypatch.setattr(importing, "_write_papers", write_late)
    with pytest.raises(CheckpointError, match="exists already"):
        import_checkpoint(source, models)
    assert [each.name for each in models.iterdir()] == ["a"]


def test_a_pickled_lora_becomes_safetensors(tmp_path: Path, models: Path) -> None:
    name = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
    held = {
        f"{name}.lora_down.weight": torch.randn(2, 768),
        f"{name}.lora_up.weight": torch.randn(320, 2),
        f"{name}.alpha": torch.tensor(2.0),
    }
    torch.save(held, tmp_path / "fox.pt")
    made = import_checkpoint(tmp_path / "fox.pt", models)
    written = load_file(made.path)
    assert written.keys() == held.keys()
    assert all(torch.equal(written[key], value) for key, value in held.items())
    assert (made.provenance["kind"], made.path.name) == ("lora", "fox.safetensors")
    [entry] = [e for e in Library(tmp_path).entries() if e.name == "fox"]
    assert (entry.facts.kind, entry.facts.reason, entry.facts.pickled) == ("lora", None, False)
    with pytest.raises(CheckpointError, match="is a LoRA and no pickle, and can be used as it is"):
        import_checkpoint(made.path, models, name="again")
    with pytest.raises(CheckpointError, match="is a LoRA; --vae and --text-encoder go with"):
        import_checkpoint(tmp_path / "fox.pt", models, name="again", vae=made.path)


@pytest.mark.parametrize("kind", ["vae", "lora"])
def test_numbers_that_are_none_are_not_imported(
    tensors: Tensors, tmp_path: Path, models: Path, kind: str
) -> None:
    vae = {name: each for name, each in tensors.items() if name.startswith("first_stage_model")}
    held = dict(vae) if kind == "vae" else {"lora_te_text_model_x.lora_down.weight": torch.ones(2)}
    held[next(iter(held))] = held[next(iter(held))] * float("nan")
    torch.save(held, tmp_path / "bad.pt")
    with pytest.raises(CheckpointError, match="holds values that are not finite"):
        import_checkpoint(tmp_path / "bad.pt", models)
    assert not models.exists() or not list(models.iterdir())

"""What the library lists: real small files, told by their headers, with what lies beside them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from limner.engine.checkpoints import containers
from limner.engine.checkpoints.layouts import EMBEDDED
from limner.engine.checkpoints.names import TEXT
from limner.errors import NotFound
from limner.models import facts
from limner.models.listing import Library
from tests.engine import checkpoint_files
from tests.models import files
from tests.models.files import rows


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "rpg.safetensors"
    return checkpoint_files.write_single_file(path, checkpoint_files.models())


def test_every_kind_is_told_by_its_header_wherever_it_lies(whole: Path, tmp_path: Path) -> None:
    (tmp_path / "Lora").mkdir()
    shutil.copyfile(whole, tmp_path / "Lora" / "rpg.safetensors")
    files.lora(tmp_path / "VAE" / "fox.safetensors")
    files.lora(tmp_path / "VAE" / "xl.safetensors", 2048)
    files.embedding(tmp_path / "checkpoints" / "bad-hands.pt")
    files.controlnet(tmp_path / "loras" / "canny.safetensors")
    files.upscaler(tmp_path / "upscaler.pth")
    vae = checkpoint_files.models()["vae"].state_dict()
    torch.save({"state_dict": vae}, tmp_path / "soft.vae.pt")
    shutil.copytree(EMBEDDED, tmp_path / "folder")
    found = {path: (row["kind"], row["base"]) for path, row in rows(tmp_path).items()}
    assert found == {
        "Lora/rpg.safetensors": ("sd1", "sd1"),
        "VAE/fox.safetensors": ("lora", "sd1"),
        "VAE/xl.safetensors": ("lora", "sdxl"),
        "checkpoints/bad-hands.pt": ("textual-inversion", "sd1"),
        "loras/canny.safetensors": ("controlnet", "sd1"),
        "upscaler.pth": ("upscaler", "unknown"),
        "soft.vae.pt": ("vae", "unknown"),
        "folder": ("sd1", "sd1"),
    }


def test_what_can_be_drawn_with_and_why_the_rest_cannot(whole: Path, tmp_path: Path) -> None:
    shutil.copyfile(whole, tmp_path / "rpg.safetensors")
    (tmp_path / "rpg.yaml").write_text("    parameterization: v\n")
    pickled = checkpoint_files.original(checkpoint_files.models(), torch.float16)
    torch.save({"state_dict": pickled}, tmp_path / "old.ckpt")
    files.lora(tmp_path / "fox.safetensors")
    found = rows(tmp_path)
    rpg, old, fox = (found[n] for n in ("rpg.safetensors", "old.ckpt", "fox.safetensors"))
    assert (rpg["usable"], rpg["reason"], rpg["pickled"]) == (True, None, False)
    assert (rpg["prediction"], rpg["licence"]) == ("v-prediction", "creativeml-openrail-m")
    assert rpg["bytes"] == whole.stat().st_size
    assert (old["kind"], old["usable"], old["pickled"]) == ("sd1", False, True)
    assert "limner models import" in old["reason"]
    assert (fox["usable"], fox["reason"]) == (True, None)


def test_a_checkpoint_without_a_vae_is_usable_beside_one(whole: Path, tmp_path: Path) -> None:
    files.without_vae(whole, tmp_path / "bare.safetensors")
    shutil.copyfile(whole, tmp_path / "whole.safetensors")
    found = rows(tmp_path)
    bare, other = found["bare.safetensors"], found["whole.safetensors"]
    assert (bare["usable"], bare["reason"], bare["needs_vae"]) == (True, None, True)
    assert (bare["notes"], bare["prediction"]) == ([facts.NO_VAE], "epsilon")
    assert "needs_vae" not in other
    files.save_vae(tmp_path / "bare.vae.safetensors", checkpoint_files.models()["vae"])
    bare = rows(tmp_path)["bare.safetensors"]
    assert bare["usable"]
    assert "needs_vae" not in bare


def test_sidecars_give_words_notes_and_a_picture(tmp_path: Path) -> None:
    files.lora(tmp_path / "fox.safetensors", **{"modelspec.trigger_phrase": "from the file"})
    files.note(tmp_path / "fox.civitai.info", {"trainedWords": ["fox, red"], "baseModel": "SD 1.5"})
    files.picture(tmp_path / "fox.preview.png")
    library = Library(named=[tmp_path])
    (fox,) = (entry for entry in library.entries() if entry.name == "fox")
    assert fox.as_dict()["trigger_words"] == ["fox, red"]
    assert library.preview(fox.id) == ((tmp_path / "fox.preview.png").read_bytes(), "image/png")
    own = {"activation text": "my fox, snow", "notes": "0.7 is best", "description": ""}
    files.note(tmp_path / "fox.json", own)
    row = rows(tmp_path)["fox.safetensors"]
    assert (row["trigger_words"], row["notes"]) == (["my fox", "snow"], ["0.7 is best"])


def test_a_sidecar_tells_the_base_only_where_the_file_does_not(tmp_path: Path) -> None:
    for name in ("plain.safetensors", "told.safetensors"):
        files.save(tmp_path / name, {"lora_te_x.lora_up.weight": (2, 2)})
    files.lora(tmp_path / "xl.safetensors", 2048)
    for name in ("told", "xl"):
        files.note(tmp_path / f"{name}.json", {"sd version": "SD1"})
    bases = {path: row["base"] for path, row in rows(tmp_path).items()}
    assert bases == {
        "plain.safetensors": "unknown", "told.safetensors": "sd1", "xl.safetensors": "sdxl",
    }  # fmt: skip


BROKEN = {
    "huge": (b"{" + b" " * (1 << 20), "it is longer than 1,048,576 bytes"),
    "broken": (b'{"activation text": ', "it is not valid JSON"),
    "deep": (b"[" * 100_000, "it is not valid JSON"),
    "bytes": (b"\xff\xfe\xff", "it is not valid JSON"),
    "a list": (b"[1]", "it holds no JSON object"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_sidecar_that_cannot_be_read_is_told(tmp_path: Path, what: str) -> None:
    content, why = BROKEN[what]
    files.lora(tmp_path / "fox.safetensors")
    (tmp_path / "fox.json").write_bytes(content)
    row = rows(tmp_path)["fox.safetensors"]
    assert (row["kind"], row["notes"]) == ("lora", [f"fox.json is left aside: {why}."])


def test_odd_values_in_sidecars_are_left_out(tmp_path: Path) -> None:
    files.lora(tmp_path / "fox.safetensors")
    odd = {"trainedWords": [1, None, "fox\ud800", "x" * 999, "fox\ud800"], "baseModel": 3}
    files.note(tmp_path / "fox.civitai.info", odd)
    assert rows(tmp_path)["fox.safetensors"]["trigger_words"] == ["fox?", "x" * 200]


def test_words_of_a_header_are_as_short_as_those_of_a_sidecar(tmp_path: Path) -> None:
    phrase = ",".join(["x" * 999, *map(str, range(99))])
    files.lora(tmp_path / "fox.safetensors", **{"modelspec.trigger_phrase": phrase})
    words = rows(tmp_path)["fox.safetensors"]["trigger_words"]
    assert words == ["x" * 200, *map(str, range(31))]


def test_a_picture_that_is_none_is_not_sent(tmp_path: Path) -> None:
    files.lora(tmp_path / "fox.safetensors")
    (tmp_path / "fox.png").write_text("<svg onload='alert(1)'/>")
    library = Library(named=[tmp_path])
    fox = library.find("fox")
    assert fox.picture is None
    assert fox.facts.notes == ("fox.png is left aside: it is no PNG, JPEG or WebP picture.",)
    with pytest.raises(NotFound, match="no model"):
        library.preview(fox.id)
    (tmp_path / "fox.preview.png").mkdir()
    files.picture(tmp_path / "fox.jpg")
    fox = library.find("fox")
    assert library.preview(fox.id)[1] == "image/jpeg"
    assert fox.facts.notes[0].startswith("fox.preview.png is left aside: it cannot be read")
    with (tmp_path / "fox.jpg").open("r+b") as file:
        file.truncate((8 << 20) + 1)
    fox = library.find("fox")
    assert (fox.picture, fox.facts.notes[-1]) == (
        None,
        "fox.jpg is left aside: it is larger than 8 MiB.",
    )
    with pytest.raises(NotFound, match="no model 0123"):
        library.preview("0123")


def test_the_list_goes_on_past_what_cannot_be_read(tmp_path: Path) -> None:
    files.lora(tmp_path / "fox.safetensors")
    files.announcing(tmp_path / "long.safetensors", 100_000_000)
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "fox.safetensors").read_bytes()[:-9])
    (tmp_path / "empty.ckpt").write_bytes(b"")
    (tmp_path / "page.safetensors").write_text("<html>")
    (tmp_path / "gone.safetensors").symlink_to("nowhere")
    (tmp_path / "itself.safetensors").symlink_to("itself.safetensors")
    os.mkfifo(tmp_path / "pipe.safetensors")
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "back").symlink_to(tmp_path)
    found = rows(tmp_path, tmp_path / "missing")
    assert found.pop("fox.safetensors")["kind"] == "lora"
    assert {row["kind"] for row in found.values()} == {"unreadable"}
    assert not any(row["usable"] or str(tmp_path) in row["reason"] for row in found.values())
    for path, why in {
        "long.safetensors": "announces a header of 100,000,000 bytes",
        "cut.safetensors": "cut.safetensors is truncated",
        "empty.ckpt": "empty.ckpt is empty",
        "page.safetensors": "an HTML or XML page",
        "gone.safetensors": "no such file",
        "itself.safetensors": "too many levels of symbolic links",
        "pipe.safetensors": "pipe.safetensors is not a file",
        "deeper/back": "leads back to a folder above it",
        "missing": "no such file or directory",
    }.items():
        assert why in found.pop(path)["reason"]
    assert not found


@pytest.mark.timeout(60)
@pytest.mark.parametrize("suffix", [".json", ".civitai.info", ".yaml"])
def test_a_pipe_beside_a_model_is_not_waited_for(whole: Path, tmp_path: Path, suffix: str) -> None:
    shutil.copyfile(whole, tmp_path / "fox.safetensors")
    os.mkfifo(tmp_path / f"fox{suffix}")
    [row] = rows(tmp_path).values()
    assert row["usable"], row
    aside = "beside left aside" if suffix == ".yaml" else "is left aside"
    assert f"fox{suffix} {aside}: it cannot be read" in row["notes"][0]


@pytest.mark.parametrize("what", ["grows", "shrinks", "vanishes"])
def test_a_file_that_changes_while_it_is_read_is_told_and_read_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    models, data = tmp_path / "models", tmp_path / "data"
    fox = files.lora(models / "fox.safetensors")
    files.lora(models / "other.safetensors")
    whole = fox.read_bytes()
    change = {
        "grows": lambda: fox.write_bytes(whole + b"more"),
        "shrinks": lambda: fox.write_bytes(whole[:-9]),
        "vanishes": fox.unlink,
    }[what]
    read = containers._read

    def reading(path, file):
        found = read(path, file)
        if path == fox and fox.exists() and fox.read_bytes() == whole:
            change()
        return found

    monkeypatch.setattr(containers, "_read", reading)
    found = rows(models, data=data)
    assert found["other.safetensors"]["kind"] == "lora"
    assert "while it was read" in found["fox.safetensors"]["reason"]
    monkeypatch.undo()
    fox.write_bytes(whole)
    assert rows(models, data=data)["fox.safetensors"]["kind"] == "lora"


def test_an_unforeseen_fault_is_one_files_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.lora(tmp_path / "fox.safetensors")
    files.embedding(tmp_path / "hands.safetensors")
    kind_of = facts.kind_of
    monkeypatch.setattr(facts, "kind_of", lambda h: 1 / 0 if h.path.stem == "fox" else kind_of(h))
    found = rows(tmp_path)
    assert found["fox.safetensors"]["reason"] == (
        "fox.safetensors cannot be read: ZeroDivisionError."
    )
    assert found["hands.safetensors"]["kind"] == "textual-inversion"


def test_a_folder_that_may_not_be_opened_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.lora(tmp_path / "closed" / "elk.safetensors")
    files.lora(tmp_path / "fox.safetensors")
    scandir = os.scandir

    def refusing(folder):  # root, as which tests may run, may open every folder
        if Path(folder).name == "closed":
            raise PermissionError(13, "Permission denied", str(folder))
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refusing)
    found = rows(tmp_path)
    assert found["closed"]["reason"] == "It cannot be opened: permission denied."
    assert found["fox.safetensors"]["kind"] == "lora"


def test_hidden_folders_and_environments_are_left_out(tmp_path: Path) -> None:
    files.lora(tmp_path / ".cache" / "fox.safetensors")
    files.lora(tmp_path / "venv" / "lib" / "fox.safetensors")
    (tmp_path / "venv" / "pyvenv.cfg").write_text("")
    assert rows(tmp_path) == {}


def test_a_folder_reached_by_two_ways_is_listed_once(tmp_path: Path) -> None:
    files.lora(tmp_path / "real" / "fox.safetensors")
    (tmp_path / "z").symlink_to(tmp_path / "real")
    assert list(rows(tmp_path, tmp_path / "real")) == ["real/fox.safetensors"]


def test_what_lacks_a_part_tells_what_it_predicts_all_the_same(whole: Path, tmp_path: Path) -> None:
    tensors = load_file(whole)
    rest = {name: each for name, each in tensors.items() if not name.startswith(TEXT)}
    save_file(rest, tmp_path / "rest.safetensors", {"modelspec.prediction_type": "v"})
    row = files.rows(tmp_path)["rest.safetensors"]
    assert "holds no text encoder" in row["reason"]
    assert row["prediction"] == "v-prediction"


@pytest.mark.parametrize("suffix", ["yaml", "yml"])
def test_a_config_beside_a_checkpoint_says_what_it_predicts(
    whole: Path, tmp_path: Path, suffix: str
) -> None:
    shutil.copyfile(whole, tmp_path / "one.safetensors")
    assert files.rows(tmp_path)["one.safetensors"]["prediction"] == "epsilon"
    (tmp_path / f"one.{suffix}").write_text("parameterization: v", encoding="utf-8")
    assert files.rows(tmp_path)["one.safetensors"]["prediction"] == "v-prediction"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("model:\n  params: {linear_start: 0.00085}", None),
        ("model: {params: {parameterization: eps}}", None),
        ("model: [unfinished", "it is not valid YAML"),
        ("\x00\x01\x02", "it is not valid YAML"),
        ("[" * 60_000, "it is no config of Stable Diffusion"),
        ("a: " + "[" * 60_000, "it is no config of Stable Diffusion"),
        ("steps: 3", "it is no config of Stable Diffusion"),
        ("model: rpg", "it is no config of Stable Diffusion"),
        ("- model\n- {params: 1}", "it is no config of Stable Diffusion"),
        ("", "it is no config of Stable Diffusion"),
        ("#" * 70_000, "it is longer than 65,536 bytes and names no parameterization"),
    ],
)
def test_a_config_without_sense_is_told(
    whole: Path, tmp_path: Path, text: str, why: str | None
) -> None:
    shutil.copyfile(whole, tmp_path / "one.safetensors")
    (tmp_path / "one.yaml").write_text(text, encoding="utf-8")
    row = files.rows(tmp_path)["one.safetensors"]
    assert (row["usable"], row["prediction"]) == (True, "epsilon")
    assert row["notes"] == ([f"one.yaml beside left aside: {why}"] if why else [])

"""``limner models``: lists, inspects and imports; every failure is a sentence and status 1."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner, Result

from limner.cli.main import typer_app
from limner.engine.checkpoints.layouts import EMBEDDED, SATCHEL
from limner.errors import CheckpointError
from limner.models.listing import Library
from tests.engine import checkpoint_files
from tests.engine.detecting import making
from tests.models import files


def listed(*flags: object) -> list[dict[str, Any]]:
    """The library's list without the embedded model's satchel."""
    entries = json.loads(limner("models", "list", "--json", *flags).stdout)
    return [each for each in entries if Path(each["path"]).parent != SATCHEL]


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def limner(*arguments: object) -> Result:
    return CliRunner().invoke(typer_app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def single_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "RPG-v4.safetensors"
    return checkpoint_files.write_single_file(path, checkpoint_files.models())


def test_inspect_tells_what_a_file_is(single_file: Path) -> None:
    facts = json.loads(limner("models", "inspect", single_file, "--json").stdout)
    assert facts["kind"] == "sd1"
    assert facts["loadable"] is True
    assert facts["precision"] == "float16"
    assert facts["bytes"] == single_file.stat().st_size
    assert facts["parameters"]["unet"] == sum(
        value.numel() for value in checkpoint_files.models()["unet"].parameters()
    )
    assert facts["size_of_sd15"] is False
    assert facts["licence"] == "creativeml-openrail-m"
    assert facts["licence_needs_acceptance"] is True
    assert facts["attribution"][0] == "RPG V4 by Anashel"
    shown = limner("models", "inspect", single_file).stdout
    assert facts["sha256"] in shown
    assert "a Stable Diffusion 1.x checkpoint" in shown


@pytest.mark.slow
def test_inspect_tells_a_detector_by_what_it_takes_and_gives(tmp_path: Path) -> None:
    path = tmp_path / "blocks.onnx"
    sha256 = making.yolo(path)
    facts = json.loads(limner("models", "inspect", path, "--json").stdout)
    assert (facts["kind"], facts["sha256"], facts["loadable"]) == ("detector", sha256, False)
    assert facts["refusal"].startswith("blocks.onnx is a detector, which finds boxes")
    shown = limner("models", "inspect", path).stdout
    assert "images float32 1x3x64x64" in shown
    assert "0 red, 1 green, 2 blue" in shown


def test_inspect_tells_how_a_file_predicts_and_by_what(single_file: Path, tmp_path: Path) -> None:
    fox = tmp_path / "fox.safetensors"
    fox.symlink_to(single_file)
    (tmp_path / "fox.yaml").write_text("    parameterization: v\n")
    facts = json.loads(limner("models", "inspect", fox, "--json").stdout)
    assert (facts["prediction"], facts["zero_snr"]) == ("v-prediction", False)
    assert facts["hints"] == ["v-prediction by fox.yaml"]
    lines = limner("models", "inspect", fox).stdout.splitlines()
    assert f"{'prediction':<26}v-prediction" in lines
    for wish, told in (["--prediction", "epsilon"], "epsilon"), (["--zero-snr", "yes"], "v-pre"):
        facts = json.loads(limner("models", "inspect", fox, *wish, "--json").stdout)
        assert facts["prediction"].startswith(told)
        assert facts["zero_snr"] == ("--zero-snr" in wish)
        assert facts["loadable"]
    both = ["--prediction", "epsilon", "--zero-snr", "yes"]
    facts = json.loads(limner("models", "inspect", fox, *both, "--json").stdout)
    assert "of pure noise epsilon tells nothing" in facts["refusal"]


def test_inspect_reads_the_embedded_folder() -> None:
    facts = json.loads(limner("models", "inspect", EMBEDDED, "--json").stdout)
    assert facts["licence"] == "apache-2.0"
    assert facts["attribution"] == ["Squire by the Limner project"]
    assert facts["parameters"]["unet"] > 1_000_000


def test_inspect_names_what_cannot_be_loaded(tmp_path: Path) -> None:
    lora = tmp_path / "style.safetensors"
    save_file({"lora_unet_x.lora_up.weight": torch.ones(2, 2)}, lora)
    facts = json.loads(limner("models", "inspect", lora, "--json").stdout)
    assert (facts["kind"], facts["loadable"]) == ("lora", False)
    lora.write_bytes(b"<html>")
    assert isinstance(limner("models", "inspect", lora).exception, CheckpointError)


@pytest.mark.slow
def test_an_imported_model_is_listed_and_inspected(single_file: Path, tmp_path: Path) -> None:
    source = tmp_path / "RPG-v4.ckpt"
    names = checkpoint_files.original(checkpoint_files.models(), torch.float32)
    torch.save({"state_dict": names}, source)
    done = limner("models", "import", source, "--precision", "float16", "--json")
    assert done.exit_code == 0, done.output
    made = json.loads(done.stdout)
    assert Path(made["path"]).parent.parent == tmp_path / "data" / "limner" / "models"

    entries = listed()
    assert [entry["name"] for entry in entries] == ["squire", "RPG-v4"]
    assert entries[1]["path"] == made["path"]
    facts = json.loads(limner("models", "inspect", made["path"], "--json").stdout)
    assert facts["sha256"] == made["sha256"]
    whole = json.loads(limner("models", "inspect", Path(made["path"]).parent, "--json").stdout)
    assert {**whole, "path": facts["path"]} == facts | {"source": whole["source"]}
    assert "RPG-v4" in limner("models", "list").stdout
    assert entries[1]["licence"] == "creativeml-openrail-m"

    again = limner("models", "import", source)
    assert isinstance(again.exception, CheckpointError)
    other = limner("models", "import", single_file, "--name", "my other")
    assert f"limner serve --model '{tmp_path}" in other.stdout  # as a shell reads it


def test_the_folders_of_models_are_listed(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        files.lora(tmp_path / folder / f"{folder}.safetensors")
    (tmp_path / "two" / "page.safetensors").write_text("<html>not found</html>")
    flags = [word for name in ("one", "two") for word in ("--models-dir", tmp_path / name)]
    entries = listed(*flags)
    assert [entry["name"] for entry in entries] == ["squire", "one", "page", "two"]
    assert entries[1]["path"] == str(tmp_path / "one" / "one.safetensors")
    lines = limner("models", "list", *flags).stdout.splitlines()
    assert "lora for sd1" in next(line for line in lines if line.startswith("one "))
    assert "unreadable" in next(line for line in lines if line.startswith("page "))


@pytest.mark.slow
def test_all_pickles_of_the_library_are_imported_once(tmp_path: Path) -> None:
    shelf = tmp_path / "shelf"
    files.lora(shelf / "fox.safetensors")
    names = checkpoint_files.original(checkpoint_files.models(), torch.float16)
    torch.save({"state_dict": names}, shelf / "good.ckpt")
    (shelf / "good.json").write_text('{"few steps": "lcm"}')
    (shelf / "more").mkdir()
    torch.save({"state_dict": names | {"step": 3}}, shelf / "more" / "good.ckpt")
    torch.save({"emb_params": torch.ones(2, 768)}, shelf / "hands.pt")
    torch.save({"state_dict": names | {"step": 4}}, shelf / "twin.ckpt")
    save_file(names, shelf / "twin.safetensors")
    torch.save({files.LORA: torch.ones(2, 768)}, shelf / "twin.pt")
    torch.save({"state_dict": {k: v for k, v in names.items() if "model" in k}}, shelf / "cut.ckpt")
    (shelf / "cut.ckpt").write_bytes((shelf / "cut.ckpt").read_bytes()[:-900])
    flags = ("--models-dir", shelf)
    first = limner("models", "import", "--all", *flags)
    assert first.exit_code == 0, first.output
    told = first.stdout.splitlines()
    heads = [line for line in told if line.startswith("shelf:")]
    assert heads == [
        "shelf:good.ckpt is imported as good:",
        "shelf:twin.ckpt is imported as twin-2:",
        "shelf:twin.pt is imported as twin:",
        "shelf:more/good.ckpt is imported as good-2:",
    ]
    assert told[-1] == "Imported 4 of 4 pickled models; 0 refused."
    copy = Path(os.environ["XDG_DATA_HOME"], "limner", "models", "good", "good.json")
    assert json.loads(copy.read_text()) == {"few steps": "lcm"}
    rows = {row["path"]: row for row in listed(*flags)}
    reason = rows[str(shelf / "more" / "good.ckpt")]["reason"]
    assert reason == "It is a pickle, which is imported: name good-2 instead."
    again = limner("models", "import", "--all", "--json", *flags)
    assert (again.exit_code, json.loads(again.stdout)) == (0, [])
    assert "shelf:more/good.ckpt is imported already, as good-2\n" in again.stderr
    usable = [row["name"] for row in rows.values() if row["usable"]]
    assert usable == [
        "squire", "good", "good-2", "twin/twin", "twin-2", "fox", "hands",
        "twin.safetensors",
    ]  # fmt: skip
    library = Library(Path(os.environ["XDG_DATA_HOME"], "limner"), [shelf])
    assert library.find("twin", ("sd1",)).file == shelf / "twin.safetensors"


@pytest.mark.slow
def test_equal_pickles_are_imported_once_unless_they_are_drawn_otherwise(tmp_path: Path) -> None:
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    names = checkpoint_files.original(checkpoint_files.models(), torch.float16)
    torch.save({"state_dict": names}, shelf / "plain.ckpt")
    for name in ("same", "v"):
        shutil.copyfile(shelf / "plain.ckpt", shelf / f"{name}.ckpt")
    (shelf / "v.yaml").write_text("parameterization: v")
    flags = ("--models-dir", shelf)
    first = limner("models", "import", "--all", *flags)
    assert "Imported 2 of 3 pickled models; 0 refused." in first.stdout
    assert first.stderr == "shelf:same.ckpt is imported already, as plain\n"
    rows = {Path(row["path"]).name: row for row in listed(*flags)}
    for name, copy, prediction in (
        ("plain", "plain", "epsilon"),
        ("same", "plain", "epsilon"),
        ("v", "v", "v-prediction"),
    ):
        reason = rows[f"{name}.ckpt"]["reason"]
        assert reason == f"It is a pickle, which is imported: name {copy} instead."
        assert rows[f"{copy}.safetensors"]["prediction"] == prediction


@pytest.mark.slow
def test_a_unet_alone_is_told_what_it_takes_to_be_imported(
    single_file: Path, tmp_path: Path
) -> None:
    tensors = checkpoint_files.original(checkpoint_files.models(), torch.float16)
    unet = tmp_path / "unet.safetensors"
    save_file({name: t for name, t in tensors.items() if name.startswith("model.")}, unet)
    for flags, missing in (
        ((), "with --text-encoder and --vae it becomes"),
        (("--vae", single_file), "with --text-encoder too it becomes"),
        (("--text-encoder", single_file), "with --vae too it becomes"),
    ):
        refused = limner("models", "import", unet, *flags)
        assert f"unet.safetensors is a UNet alone; {missing}" in str(refused.exception)
    whole = ("--vae", single_file, "--text-encoder", single_file)
    assert limner("models", "import", unet, *whole).exit_code == 0


def test_list_and_inspect_call_the_same_folder_pickled(tmp_path: Path) -> None:
    folder = tmp_path / "rpg"
    shutil.copytree(EMBEDDED, folder)
    file = folder / "vae" / "diffusion_pytorch_model.safetensors"
    torch.save(load_file(file), file.with_suffix(".bin"))
    file.unlink()
    facts = json.loads(limner("models", "inspect", folder, "--json").stdout)
    [row] = [row for row in listed("--models-dir", tmp_path) if row["name"] == "rpg"]
    assert (row["pickled"], row["usable"]) == (facts["pickled"], facts["loadable"]) == (True, True)


def test_a_vaes_own_folder_is_inspected_and_imported_under_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "soft-vae"
    checkpoint_files.models()["vae"].save_pretrained(folder)
    [file] = folder.glob("*.safetensors")
    torch.save(load_file(file), file.with_suffix(".bin"))
    file.unlink()
    facts, same = (
        json.loads(limner("models", "inspect", path, "--json").stdout)
        for path in (folder, file.with_suffix(".bin"))
    )
    assert facts == same
    assert (facts["kind"], facts["pickled"]) == ("vae", True)
    assert limner("models", "import", folder).exit_code == 0
    [made] = [row for row in listed() if row["kind"] == "vae"]
    assert (made["name"], made["usable"]) == ("soft-vae", True)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "FILE is missing; name one, or say --all"),
        (("--all", "x.ckpt"), "--all imports under the files' own names"),
        (("--all", "--name", "x"), "--all imports under the files' own names"),
        (("--all", "--vae", "x"), "--all keeps each file's parts; leave --vae and --text-encoder"),
    ],
)
def test_an_import_is_of_a_file_or_of_all(words: tuple[str, ...], sentence: str) -> None:
    assert sentence in str(limner("models", "import", *words).exception)


@pytest.mark.slow
def test_an_import_takes_parts_of_other_files(single_file: Path, tmp_path: Path) -> None:
    tensors = checkpoint_files.original(checkpoint_files.models(), torch.float16)
    rest = {name: value for name, value in tensors.items() if "cond_stage_model" not in name}
    save_file(rest, tmp_path / "rest.safetensors")
    refused = limner("models", "import", tmp_path / "rest.safetensors")
    assert "holds no text encoder; name one with --text-encoder" in str(refused.exception)
    done = limner(
        "models", "import", tmp_path / "rest.safetensors",
        "--text-encoder", single_file, "--vae", single_file, "--json",
    )  # fmt: skip
    made = json.loads(done.stdout)
    assert [change.split(" (")[0] for change in made["changes"]] == [
        f"VAE taken from {single_file.name}",
        f"text encoder taken from {single_file.name}",
    ]
    assert limner("models", "inspect", made["path"]).stdout.count("loadable") == 1


def test_the_terminal_shows_a_sentence_and_leaves_with_1(tmp_path: Path) -> None:
    evil = tmp_path / "evil.ckpt"
    evil.write_bytes(b"\x80\x02cos\nsystem\nU\x04echo\x85R.")
    done = subprocess.run(
        [sys.executable, "-c", "from limner.cli.main import app; app()", "models", "inspect", evil],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("limner: evil.ckpt is refused: its pickle asks for os.system")
    assert "Traceback" not in done.stderr


def test_listing_and_inspecting_import_no_torch() -> None:
    program = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from limner.cli.main import typer_app\n"
        f"for words in ['list'], ['inspect', {str(EMBEDDED)!r}]:\n"
        "    result = CliRunner().invoke(typer_app, ['models', *words])\n"
        "    assert result.exit_code == 0, result.output\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_an_import_says_what_its_model_needs_beside_it(single_file: Path, tmp_path: Path) -> None:
    bare = files.without_vae(single_file, tmp_path / "bare.safetensors")
    told = limner("models", "import", bare)
    assert told.exit_code == 0
    assert told.stdout.endswith("bare.safetensors holds no VAE; name one with --vae.\n")
    told = limner("models", "import", single_file)
    assert "Use it with" in told.stdout.splitlines()[-1]


def test_inspect_tells_few_steps_and_what_they_are(single_file: Path, tmp_path: Path) -> None:
    shutil.copyfile(single_file, tmp_path / "fast.safetensors")
    files.note(tmp_path / "fast.json", {"few steps": "turbo"})
    for path, said in ((tmp_path / "fast.safetensors", "turbo"), (single_file, None)):
        facts = json.loads(limner("models", "inspect", path, "--json").stdout)
        assert facts["few_steps"] == said
    told = limner("models", "inspect", tmp_path / "fast.safetensors").stdout
    line = next(line for line in told.splitlines() if line.startswith("few steps"))
    assert line.endswith("turbo: Euler a, SGM Uniform, 6 steps and guidance 1 where a request does "
                         "not say")  # fmt: skip
    assert "few steps" not in limner("models", "inspect", single_file).stdout


def test_inspect_tells_numbers_that_are_none_of_what_is_no_checkpoint(tmp_path: Path) -> None:
    vae = files.save_vae(tmp_path / "soft.safetensors", checkpoint_files.models()["vae"])
    lora = files.lora(tmp_path / "fox.safetensors")
    hands = files.embedding(tmp_path / "hands.safetensors")
    for path in (vae, lora, hands):
        assert json.loads(limner("models", "inspect", path, "--json").stdout)["notes"] == []
        tensors = load_file(path)
        name = next(iter(tensors))
        tensors[name].view(-1)[0] = torch.inf
        save_file(tensors, path)
        facts = json.loads(limner("models", "inspect", path, "--json").stdout)
        assert f"{path.name}: {name!r}" in facts["notes"][0]
        assert "holds values that are not finite" in facts["notes"][0]

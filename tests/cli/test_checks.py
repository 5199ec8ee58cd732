"""What can be known without PyTorch is known before it is imported; impossible starts end well."""

from __future__ import annotations

import json
import os
import sqlite3
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner, Result

from limner.cli import checks
from limner.cli.main import typer_app
from limner.engine.checkpoints import devices, layouts, weights
from limner.errors import CheckpointError, LimnerError, SettingsError
from limner.settings import Settings, load
from limner.store.db import Database
from tests.engine import checkpoint_files

CODE = """
import contextlib
import io
import json
import sys

from limner.cli.main import app

for words in json.loads(sys.argv[1]):
    sys.argv[1:], said, status = words, io.StringIO(), 0
    with contextlib.redirect_stderr(said):
        try:
            app()
        except SystemExit as end:
            status = end.code
    print(json.dumps([status, said.getvalue(), "torch" in sys.modules]))
"""
REFUSED = [
    (("serve", "--model", "none.safetensors"), "none.safetensors does not exist"),
    (("draw", "x", "--model", "none.safetensors"), "none.safetensors does not exist"),
    (("draw", "x", "--vae", "none.safetensors"), "none.safetensors does not exist"),
    (("grid", "x", "--x", "seed=1,2", "--model", "none"), "none does not exist"),
    (("flow", "x", "--model", "none"), "none does not exist"),
    (("styles", "sheet", "mood", "--model", "none"), "none does not exist"),
    (("replay", "docs/images/knight.png", "--model", "none"), "none does not exist"),
    (("models", "import", "none.ckpt"), "none.ckpt does not exist"),
    (("models", "inspect", "none.ckpt"), "none.ckpt does not exist"),
    (("draw", "x", "--strength", "0.1", "--image", "docs/images/knight.png", "--steps", "1"),
     "leaves none of 1 steps to run"),
]  # fmt: skip


def alone(tmp_path: Path, *commands: tuple[str, ...]) -> list[tuple[int, str, bool]]:
    """Of commands in one process of their own: status, words, whether PyTorch is there then."""
    home = {"HOME": str(tmp_path), "LIMNER_DATA_DIR": str(tmp_path / "data"), "LIMNER_PORT": "0"}
    for variable in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        home[variable] = str(tmp_path / variable)
    words = [sys.executable, "-c", CODE, json.dumps(commands)]
    done = subprocess.run(
        words, capture_output=True, text=True, env={**os.environ, **home}, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return [tuple(json.loads(line)) for line in done.stdout.splitlines()]


@pytest.mark.slow
def test_a_refusal_does_not_wait_for_pytorch(tmp_path: Path) -> None:
    told = alone(tmp_path, *(words for words, _ in REFUSED))
    for (words, sentence), (status, said, imported) in zip(REFUSED, told, strict=True):
        assert status == 1, words
        assert sentence in said, words
        assert said.count("\n") == 1, words
        assert "could not be loaded" not in said, words
        assert not imported, words


def test_a_device_that_is_not_there_is_refused_by_the_systems_files(tmp_path: Path) -> None:
    devices.check("cpu", tmp_path)
    devices.check("auto", tmp_path)
    with pytest.raises(SettingsError, match=r"^device is 'cuda', but .*; use cpu or auto\.$"):
        devices.check("cuda", tmp_path)


def test_a_device_that_is_there_is_left_to_pytorch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "version", lambda _: "2.13.0")
    (tmp_path / "nvidia0").touch()
    devices.check("cuda", tmp_path)
    monkeypatch.setattr(devices, "version", lambda _: "2.13.0+cpu")
    with pytest.raises(SettingsError, match="built for CPUs alone"):
        devices.check("cuda", tmp_path)


def test_every_command_that_draws_looks_at_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def refuse(wish: str) -> None:
        asked.append(wish)
        raise SettingsError("no device")

    monkeypatch.setattr("limner.engine.checkpoints.devices.check", refuse)
    knight = "docs/images/knight.png"
    for words in (["serve"], ["draw", "x"], ["grid", "x", "--x", "seed=1,2"], ["replay", knight]):
        result = CliRunner().invoke(typer_app, [*words, "--device", "cuda"])
        assert str(result.exception) == "no device"
    assert asked == ["cuda"] * 4


# What a start can find in place of its database, by what it says.
def garbage(file: Path) -> None:
    file.write_bytes(bytes(range(256)) * 80)


def zeros(file: Path) -> None:
    file.write_bytes(b"\0" * 8192)


def half(file: Path) -> None:
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 2])


def overwritten(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[4096:40960] = b"\xa5" * 36864
    file.write_bytes(data)


def folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def another_program(file: Path) -> None:
    file.unlink()
    with sqlite3.connect(file) as made:
        made.execute("CREATE TABLE keys (id TEXT)")
        made.execute("CREATE TABLE transfers (id TEXT)")


def from_the_future(file: Path) -> None:
    with sqlite3.connect(file) as made:
        made.execute("UPDATE alembic_version SET version_num = '9999'")


SPOILT = [garbage, zeros, half, overwritten, folder, another_program, from_the_future]


@pytest.mark.parametrize("spoil", SPOILT, ids=lambda spoil: spoil.__name__)
def test_a_database_that_cannot_be_used_is_one_sentence_everywhere(
    tmp_path: Path, spoil: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "limner.db"
    Database.open(f"sqlite:///{file}").close()
    spoil(file)
    for words in (["serve", "--port", "0"], ["keys", "list"], ["credits", "check"]):
        result = limner(*words, "--data-dir", tmp_path)
        assert isinstance(result.exception, SettingsError), (words, result.exception)
        assert "\n" not in str(result.exception)
        assert str(result.exception).startswith("The database ")
    if spoil is not another_program:
        with pytest.raises(SettingsError):
            Database.check(f"sqlite:///{file}")


def test_the_doctor_passes_what_opens_and_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "limner.db"
    Database.open(f"sqlite:///{file}").close()
    before = file.read_bytes()
    Database.check(f"sqlite:///{file}")
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["limner.db"]


@pytest.mark.parametrize("name", ["data", "data/pictures"])
def test_a_folder_that_cannot_be_written_to_stops_the_start(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("no folder")
    settings = load({"data_dir": tmp_path / "data"}, environ={})
    with pytest.raises(SettingsError, match="cannot be written to"):
        checks.folders(settings)
    with pytest.raises(SettingsError, match="cannot be written to"):
        checks.folders_to_be(settings)


def limner(*words: object) -> Result:
    return CliRunner().invoke(typer_app, [str(word) for word in words])


# What inspect and load must say alike.
@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "whole.safetensors"
    return checkpoint_files.write_single_file(path, checkpoint_files.models())


def longer(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"\0\0\0\0")


def shorter(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-4])


def moved(file: Path) -> None:
    """A tensor's bytes are said to begin four later: a gap, and an overlap."""
    data = file.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = data[8 : 8 + length].replace(b'"data_offsets":[0,', b'"data_offsets":[4,')
    file.write_bytes(data[:8] + header + data[8 + length :])


def without(prefix: str) -> Callable[[Path], None]:
    def spoil(file: Path) -> None:
        tensors = load_file(file)
        name = next(name for name in tensors if name.startswith(prefix))
        del tensors[name]
        save_file(tensors, file)

    return spoil


def no_vae(file: Path) -> None:
    tensors = load_file(file)
    kept = {k: v for k, v in tensors.items() if not k.startswith("first_stage_model.")}
    save_file(kept, file)


def untouched(file: Path) -> None: ...


@pytest.mark.parametrize(
    "spoil",
    [
        untouched,
        longer,
        moved,
        no_vae,
        *(
            pytest.param(spoil, marks=pytest.mark.slow)
            for spoil in (
                shorter,
                without("model.diffusion_model.output_blocks."),
                without("first_stage_model.decoder."),
                without("cond_stage_model."),
            )
        ),
    ],
)
def test_inspect_and_load_agree(tmp_path: Path, whole: Path, spoil: Callable[[Path], None]) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(whole.read_bytes())
    spoil(file)
    try:
        weights.load(file, device="cpu", dtype="float32")
        refused = None
    except CheckpointError as error:
        refused = str(error)
    told = limner("models", "inspect", file, "--json")
    if isinstance(told.exception, LimnerError):
        assert str(told.exception) == refused
    else:
        assert f'"loadable": {str(refused is None).lower()}' in told.stdout
        assert refused is None or refused.split("'")[0] in told.stdout.replace('\\"', '"')


def test_headers_of_every_part_of_a_folder_are_read_before_pytorch(tmp_path: Path) -> None:
    made = checkpoint_files.write_folder(tmp_path / "model", checkpoint_files.models())
    layouts.check(made, None)
    shorter(made / "text_encoder" / "model.safetensors")
    with pytest.raises(CheckpointError, match="truncated"):
        layouts.check(made, None)


def test_what_is_said_of_replicas_without_ray_is_not_passed_over():
    with pytest.raises(SettingsError, match="engine is 'thread', which has no max_replicas, rep"):
        checks.replicas(Settings(replicas=2, max_replicas=3))
    checks.replicas(Settings(engine="ray", replicas=2))
    checks.replicas(Settings(engine="thread"))

"""Every command takes the settings of ``limner serve``, and so works on the server's database."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path

import click
import pytest
from typer.testing import CliRunner, Result

from limner import settings as settings_module
from limner.cli import hints, serving
from limner.cli.main import typer_app
from limner.engine.batching.fake import FAKE_MODEL, FakeEngine
from limner.settings import Settings, flag, load
from tests.cli.test_docs import ROOT, commands


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("XDG_DATA_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    monkeypatch.setattr("sys.argv", ["limner"])


def leaves() -> list[tuple[str, ...]]:
    return [path for path in commands() if not hasattr(command(path), "commands")]


def command(path: tuple[str, ...]) -> click.Command:
    found = ROOT
    for name in path:
        found = found.commands[name]  # type: ignore[attr-defined]
    return found


def limner(*words: str) -> Result:
    result = CliRunner().invoke(typer_app, words)
    assert result.exit_code == 0, (result.output, result.exception)
    return result


@pytest.mark.parametrize("path", leaves(), ids=" ".join)
def test_every_command_takes_every_setting(path: tuple[str, ...]) -> None:
    taken = {option for each in command(path).params for option in each.opts}
    wanted = set(map(flag, Settings.model_fields))
    assert wanted | {"--config"} <= taken


def test_a_config_of_the_server_is_the_terminals_too(tmp_path: Path) -> None:
    config = tmp_path / "limner.toml"
    config.write_text(f'data_dir = "{tmp_path / "there"}"')
    limner("keys", "create", "--name", "me", "--config", str(config))
    assert (tmp_path / "there" / "limner.db").is_file()
    assert " me " in limner("credits", "show", "--config", str(config)).stdout
    assert not (tmp_path / "XDG_DATA_HOME").exists()


@pytest.mark.parametrize("words", [("keys", "list"), ("credits", "check"), ("usage",)])
def test_a_database_made_in_passing_is_told(tmp_path: Path, words: tuple[str, ...]) -> None:
    place = str(tmp_path / "typo")
    assert f"empty one was made at sqlite:///{place}" in limner(*words, "--data-dir", place).stderr
    assert limner(*words, "--data-dir", place).stderr == ""


@pytest.mark.parametrize(
    ("flags", "environ", "config"),
    [
        ({"data_dir": Path("it's here")}, {}, ""),
        ({}, {"LIMNER_DATA_DIR": "there"}, ""),
        ({}, {"LIMNER_DATABASE_URL": "sqlite:////tmp/elsewhere.db"}, ""),
        ({}, {}, 'data_dir = "/srv/limner"'),
        ({"data_dir": Path("/srv/other")}, {}, 'data_dir = "/srv/limner"'),
        ({"database_url": "sqlite:////tmp/x.db"}, {}, 'data_dir = "/srv/limner"'),
        ({}, {}, ""),
    ],
)
def test_a_hint_leads_to_the_same_place_from_any_shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: dict, environ: dict, config: str
) -> None:
    monkeypatch.chdir(tmp_path)
    file = Path("limner.toml") if config else None
    if file:
        file.write_text(config)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    chosen = load(flags, file=file)
    words = shlex.split(hints.command("keys list", chosen))
    for name in environ:
        monkeypatch.delenv(name)
    monkeypatch.chdir("/")
    seen: list[Settings] = []
    monkeypatch.setattr("limner.cli.databases.opened", seen.append)
    CliRunner().invoke(typer_app, words[1:])
    place = (chosen.data_dir.absolute(), chosen.database_url)
    assert words[:3] == ["limner", "keys", "list"]
    if chosen.data_dir.is_absolute():
        assert (seen[0].data_dir, seen[0].database_url) == place
    else:
        assert seen[0].data_dir == tmp_path / chosen.data_dir


def test_a_hint_shows_no_password() -> None:
    url = "postgresql+psycopg://limner:hunter2@db/limner"
    assert "hunter2" not in hints.command("keys list", load({"database_url": url}))


def test_the_banner_of_a_server_holds_the_hint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = FakeEngine()
    serving._tell(load({"data_dir": tmp_path}), engine, None)
    engine.close()
    told = f"`limner keys create --name me --credits 10 --data-dir {tmp_path}` makes another key"
    out = capsys.readouterr().out
    assert told in out
    assert all(json.loads(line)["event"] for line in out.splitlines())  # as the log's lines are


def test_the_banner_says_how_the_first_key_accepts_the_licence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = []
    for needs, accepts in ((True, False), (True, True), (False, False)):
        engine = FakeEngine(model=replace(FAKE_MODEL, licence_needs_acceptance=needs))
        serving._tell(load({"data_dir": tmp_path, "accept_license": accepts}), engine, "SG_1")
        engine.close()
        told.append("/api/license/accept -H" in capsys.readouterr().out)
    assert told == [True, False, False]


def test_a_named_file_is_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.toml"
    file.write_text("port = 9000")
    monkeypatch.setenv(settings_module.CONFIG_VARIABLE, str(file))
    assert load().file == load().changed(port=1).file == file

"""``limner doctor`` reports every check, fails where something is wrong, and tells no password."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from limner.cli.main import typer_app
from limner.store.db import Database

CHECKS = [
    "versions",
    "device",
    "number type",
    "data folder",
    "disk",
    "database",
    "model",
    "library",
]


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(variable, str(tmp_path / variable))


def doctor(*arguments: object) -> tuple[Result, dict[str, dict[str, Any]]]:
    result = CliRunner().invoke(typer_app, ["doctor", "--json", *map(str, arguments)])
    return result, {finding["check"]: finding for finding in json.loads(result.stdout)}


def test_all_is_well_with_the_embedded_model(tmp_path: Path) -> None:
    data_dir = tmp_path / "here"
    result, found = doctor("--data-dir", data_dir, "--device", "cpu")
    assert result.exit_code == 0
    assert list(found) == CHECKS
    assert {finding["state"] for finding in found.values()} <= {"ok", "warning"}
    assert found["model"]["facts"]["name"] == "Squire"
    assert found["model"]["facts"]["dtype"] == found["number type"]["facts"]["dtype"]
    assert set(found["number type"]["facts"]["seconds"]) == {"float32", "float16", "bfloat16"}
    assert found["disk"]["facts"]["free_bytes"] > 0
    assert not data_dir.exists()  # the doctor changes nothing


def test_what_cannot_be_used_of_the_library_is_told(tmp_path: Path) -> None:
    (tmp_path / "page.safetensors").write_bytes(b"<html>not found</html>")
    result, found = doctor("--data-dir", tmp_path / "here", "--models-dir", tmp_path)
    assert result.exit_code == 0
    assert found["library"]["state"] == "warning"
    assert list(found["library"]["facts"]["unusable"]) == ["page"]
    assert ", of which 1 cannot be used; page: page.safetensors " in found["library"]["detail"]
    for number in range(11):
        (tmp_path / f"empty{number:02}.ckpt").touch()
    _, found = doctor("--data-dir", tmp_path / "here", "--models-dir", tmp_path)
    detail = found["library"]["detail"]
    assert "empty00: empty00.ckpt is empty. empty01: empty01.ckpt is empty." in detail
    assert detail.endswith("empty09.ckpt is empty. 2 more: limner models list")
    absent, found = doctor("--models-dir", tmp_path / "absent")
    assert (absent.exit_code, found["library"]["state"]) == (0, "warning")


def test_an_existing_database_is_reached(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'limner.db'}"
    Database.open(url).close()
    _, found = doctor("--database-url", url, "--model", tmp_path / "absent.safetensors")
    assert found["database"]["state"] == "ok"
    assert found["database"]["facts"]["seconds"] > 0


def test_what_is_wrong_fails_without_a_password(tmp_path: Path) -> None:
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"<html>not found</html>")
    url = "postgresql+psycopg://limner:hunter2@127.0.0.1:9/limner?connect_timeout=2"
    result, found = doctor("--model", broken, "--database-url", url)
    assert result.exit_code == 1
    assert found["database"]["state"] == "failed"
    assert found["model"]["state"] == "failed"
    assert "HTML" in found["model"]["detail"]
    assert found["versions"]["state"] == "ok"
    assert "hunter2" not in result.stdout


def test_people_get_lines(tmp_path: Path) -> None:
    absent = tmp_path / "absent.safetensors"
    result = CliRunner().invoke(typer_app, ["doctor", "--model", str(absent)])
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert len(lines) == len(CHECKS)
    model = next(line for line in lines if line.startswith("failed   model"))
    assert "absent.safetensors does not exist" in model

"""``limner draw`` and ``replay`` with models of the library."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from limner.cli.main import typer_app
from limner.errors import InvalidInput
from limner.imaging import read_metadata
from tests.models import chosen

SMALL = ["--steps", "2", "--width", "64", "--height", "64", "--seed", "5", "--scheduler", "DDIM"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return chosen.write(tmp_path_factory.mktemp("models"))


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMNER_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("LIMNER_MODELS_DIRS", str(folder))
    monkeypatch.setattr("limner.engine.sampling.throughput.measure", lambda _: 8)


def run(*words: str) -> Result:
    result = CliRunner().invoke(typer_app, list(words))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_requests_of_a_batch_name_their_models(tmp_path: Path, folder: Path) -> None:
    lines = [{"prompt": "x"}, {"prompt": "x", "model": "knight", "vae": "soft"}, {"prompt": "y"}]
    batch = tmp_path / "requests.jsonl"
    batch.write_text("\n".join(map(json.dumps, lines)))
    run("draw", "--batch", str(batch), "--out", str(tmp_path / "out"), *SMALL)
    files = sorted((tmp_path / "out").glob("*.json"))
    models = [json.loads(file.read_text())["model"] for file in files]
    assert [model["name"] for model in models] == ["Squire", "knight", "Squire"]
    info = chosen.info(folder / "knight.safetensors", folder / "soft.safetensors")
    assert (models[1]["sha256"], models[1]["vae_sha256"]) == (info.sha256, info.vae_sha256)
    assert models[1]["prediction"] == "v-prediction"


def test_a_picture_of_another_model_is_drawn_again_with_it(tmp_path: Path) -> None:
    file = tmp_path / "knight.png"
    words = ["--with-model", "knight", "--with-vae", "soft", "-o", str(file)]
    run("draw", "x", *words, *SMALL)
    assert read_metadata(file.read_bytes()).receipt["model"]["name"] == "knight"
    assert "identical" in run("replay", str(file)).stdout


def test_what_is_not_there_is_said_before_anything_is_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("limner.cli.engines.opened", None)
    with pytest.raises(InvalidInput, match="model is 'knigt', which is not in the library"):
        run("draw", "x", "--with-model", "knigt", *SMALL)

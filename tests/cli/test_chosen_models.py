"""``limner draw`` and ``replay`` with models of the library."""

from __future__ import annotations

import json
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from limner.cli.main import typer_app
from limner.engine.batching.fake import FAKE_MODEL, FakeRunner
from limner.errors import CheckpointError, EngineFault, InvalidInput
from limner.imaging import read_metadata
from limner.settings import Settings
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


def fakes(monkeypatch: pytest.MonkeyPatch, load: Callable[[str], object]) -> list[FakeRunner]:
    """Engines without a model, each before it is there announced to ``load`` by its name.

    Gives those that are still in memory, as a list that changes.
    """
    alive = weakref.WeakSet[FakeRunner]()

    class Loads:
        def __init__(self, settings: Settings, *_: object) -> None:
            self.name = settings.model.stem if settings.model else "squire"

        def load(self, _say: object, _choice: object) -> FakeRunner:
            load(self.name)
            made = FakeRunner(model=replace(FAKE_MODEL, name=self.name))
            alive.add(made)
            return made

    monkeypatch.setattr("limner.cli.loading.loader", Loads)
    return alive  # type: ignore[return-value]


def test_a_model_is_let_go_before_the_next_one_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[tuple[str, int]] = []
    alive = fakes(monkeypatch, lambda name: loads.append((name, len(alive))))
    chosen_by = [{}, {"model": "knight"}, {}, {"vae": "soft"}]
    lines = [{"prompt": "x", **each} for each in chosen_by]
    batch = tmp_path / "requests.jsonl"
    batch.write_text("\n".join(map(json.dumps, lines)))
    run("draw", "--batch", str(batch), "--out", str(tmp_path / "out"), *SMALL)
    assert loads == [("squire", 0), ("knight", 0), ("squire", 0)]
    assert len(list((tmp_path / "out").glob("*.png"))) == 4


def test_a_model_that_cannot_be_loaded_keeps_none_of_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(name: str) -> None:
        if name == "knight":
            raise CheckpointError("knight.safetensors is damaged.")

    fakes(monkeypatch, load)
    lines = [{"prompt": "x", "model": "knight", "samples": 2}, {"prompt": "y"}]
    batch = tmp_path / "requests.jsonl"
    batch.write_text("\n".join(map(json.dumps, lines)))
    with pytest.raises(
        EngineFault, match=r"^request 1, picture 1 and 1 more: knight\.safetensors is damaged\.$"
    ):
        run("draw", "--batch", str(batch), "--out", str(tmp_path / "out"), *SMALL)
    assert [file.name for file in (tmp_path / "out").glob("*.png")] == ["0002.png"]
    batch.write_text(json.dumps(lines[0]))
    with pytest.raises(CheckpointError, match="damaged"):
        run("draw", "--batch", str(batch), "--out", str(tmp_path / "alone"), *SMALL)


@pytest.mark.slow
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

"""``limner draw`` with the embedded model, small and few steps."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from limner.cli.main import typer_app
from limner.domain.receipt import from_receipt
from limner.errors import InvalidInput, LimnerError, MalformedBody, SettingsError
from limner.imaging import read_metadata

SMALL = ["--steps", "3", "--width", "128", "--height", "128"]


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMNER_DATA_DIR", str(tmp_path / "data"))
    # The measurement of the knee takes seconds and is tested in test_throughput.
    monkeypatch.setattr("limner.engine.throughput.measure", lambda _: 8)


def run(*words: str) -> Result:
    return CliRunner().invoke(typer_app, ["draw", *words])


def failure(*words: str) -> LimnerError:
    error = run(*words).exception
    assert isinstance(error, LimnerError), error
    return error


def test_a_batch_is_written_in_input_order_with_receipts(tmp_path: Path) -> None:
    lines = [
        {"prompt": "a knight", "scheduler": "euler_a", "seed": 2**40},
        {"prompt": "a mage", "steps": "2", "samples": 2, "guidance_scale": 1},
        {"prompt": "a dragon", "strange": 1},
    ]
    batch = tmp_path / "requests.jsonl"
    batch.write_text("\n".join(map(json.dumps, lines)))
    out = tmp_path / "pictures"
    result = run("--batch", str(batch), "--out", str(out), "--seed", "5", *SMALL)
    assert result.exit_code == 0, result.output
    names = ["0001.png", "0002-2.png", "0002.png", "0003.png"]
    assert sorted(p.name for p in out.glob("*.png")) == names
    receipts = [json.loads((out / name).with_suffix(".json").read_text()) for name in names]
    drawn = [from_receipt(receipt) for receipt in receipts]
    assert [g.seed for g in drawn] == [2**40, 6, 5, 5]
    assert [g.scheduler for g in drawn] == ["Euler a", "UniPC", "UniPC", "UniPC"]
    assert [g.steps for g in drawn] == [3, 2, 2, 3]
    for name, receipt in zip(names, receipts, strict=True):
        rgb = np.asarray(Image.open(out / name).convert("RGB"))
        assert hashlib.sha256(rgb.tobytes()).hexdigest() == receipt["rgb_sha256"]
        assert read_metadata((out / name).read_bytes()).receipt == receipt
    assert "strange was ignored" in result.output


def test_one_picture_goes_to_the_named_file(tmp_path: Path) -> None:
    file = tmp_path / "here" / "knight.webp"
    result = run("a knight", "-o", str(file), "--format", "webp", "--json", *SMALL)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["file"] == str(file)
    assert Image.open(file).format == "WEBP"


def test_a_sprite_has_the_small_models_true_pixels(tmp_path: Path) -> None:
    file = tmp_path / "sprite.png"
    assert run("a knight", "-o", str(file), "--sprite", *SMALL).exit_code == 0
    assert Image.open(file).size == (8, 8)


@pytest.mark.parametrize(
    ("words", "error", "sentence"),
    [
        ([], InvalidInput, "prompt is missing"),
        (["x", "--steps", "151"], InvalidInput, "num_inference_steps is 151; .* 1 to 150"),
        (["x", "--width", "100"], InvalidInput, "img_width is 100; .* multiple of 8"),
        (["x", "--format", "gif"], SettingsError, "--format is 'gif'"),
        (["x", "--out", "f"], SettingsError, "--out goes with --batch"),
        (["--batch", "f"], SettingsError, "--batch needs --out"),
    ],
)
def test_mistakes_get_a_sentence(words: list[str], error: type, sentence: str) -> None:
    found = failure(*words)
    assert isinstance(found, error)
    assert re.search(sentence, str(found))


def test_a_bad_line_is_named(tmp_path: Path) -> None:
    batch = tmp_path / "requests.jsonl"
    batch.write_text('{"prompt": "a"}\n{"prompt": "b", "samples": 99}\n')
    assert "line 2: samples is 99" in str(failure("--batch", str(batch), "--out", "o"))
    batch.write_text("{no json}")
    assert isinstance(failure("--batch", str(batch), "--out", "o"), MalformedBody)

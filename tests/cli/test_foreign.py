"""``limner replay`` of other programs' pictures and texts, with the embedded model, small."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin
from typer.testing import CliRunner, Result

from limner import imaging
from limner.cli.main import typer_app
from limner.errors import InvalidInput
from tests.models import chosen

TEXT = """a knight, <lora:gone:0.5> red armor
Negative prompt: blurry
Steps: 2, Sampler: Euler a, CFG scale: 7, Seed: 3, Size: 64x64, \
Model hash: aaaaaaaaaa, Model: far, ENSD: 31337, \
Hires upscale: 2, Hires steps: 4, Denoising strength: 0.5, Version: v1.6.0"""


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMNER_DATA_DIR", str(tmp_path / "data"))


def run(*words: str) -> Result:
    result = CliRunner().invoke(typer_app, ["replay", *words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def png(path: Path, text: str) -> Path:
    info = PngImagePlugin.PngInfo()
    info.add_itxt("parameters", text)
    Image.new("RGB", (64, 64), "red").save(path, pnginfo=info)
    return path


def jpeg(path: Path, text: str) -> Path:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + text.encode("utf-16-be")
    Image.new("RGB", (64, 64), "red").save(path, exif=exif.tobytes())
    return path


def test_a_foreign_picture_is_drawn_as_its_text_says(tmp_path: Path) -> None:
    drawn = tmp_path / "new.png"
    told = json.loads(run(str(png(tmp_path / "a.png", TEXT)), "-o", str(drawn), "--json").stdout)
    assert told["file"] == str(drawn)
    assert any("far (aaaaaaaaaa) is not in the library; Squire" in each for each in told["missing"])
    assert told["settings"]["hires"]["steps"] == 4
    data = drawn.read_bytes()
    said = imaging.read_metadata(data).receipt["parameters"]
    assert (said["sampler"], said["schedule"], said["seed"]) == ("Euler a", "Uniform", 3)
    assert said["eta_noise_seed_delta"] == 31337
    assert (said["hires"]["width"], said["hires"]["strength"]) == (128, 0.5)
    assert imaging.read_metadata(data).parameters.startswith("a knight,  red armor\nNegative")
    for other in (jpeg(tmp_path / "b.jpg", TEXT), tmp_path / "c.txt"):
        if other.suffix == ".txt":
            other.write_text(TEXT, encoding="utf-8")
        assert (
            json.loads(run(str(other), "--dry-run", "--json").stdout)["settings"]
            == told["settings"]
        )


def test_what_is_ours_means_the_same_without_its_receipt(tmp_path: Path) -> None:
    """From its text alone, by another program's rules, it is drawn again to the pixel."""
    first, again = tmp_path / "first.png", tmp_path / "again.png"
    words = [
        "a (knight:1.2)",
        "--sampler",
        "DPM++ 2M",
        "--steps",
        "3",
        "--seed",
        "7",
        "-o",
        str(first),
    ]
    words += ["--width", "64", "--height", "64", "--clip-skip", "2", "--noise-source", "torch-cpu"]
    assert CliRunner().invoke(typer_app, ["draw", *words]).exit_code == 0
    text = imaging.read_metadata(first.read_bytes()).parameters
    foreign = png(tmp_path / "foreign.png", text)
    told = json.loads(run(str(foreign), "-o", str(again), "--json").stdout)
    assert (told["missing"], told["differs"]) == ([], [])
    pixels = [np.asarray(Image.open(io.BytesIO(path.read_bytes()))) for path in (first, again)]
    assert np.array_equal(*pixels)


def test_a_dry_run_tells_and_draws_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("limner.cli.engines.opened", None)
    monkeypatch.chdir(tmp_path)
    result = run(str(png(tmp_path / "a.png", TEXT)), "--dry-run")
    assert "num_inference_steps: 2\n" in result.stdout
    assert "missing: LoRA gone is not in the library; drawn without it" in result.stderr
    assert "differs: numbers: " in result.stderr
    assert list(tmp_path.glob("limner-*")) == []


def test_files_of_the_library_are_found_by_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = chosen.write(tmp_path / "models")
    monkeypatch.setenv("LIMNER_MODELS_DIRS", str(folder))
    file = tmp_path / "a.txt"
    digits = hashlib.sha256((folder / "knight.safetensors").read_bytes()).hexdigest()[:10]
    file.write_text(TEXT.replace("aaaaaaaaaa", digits), encoding="utf-8")
    told = json.loads(run(str(file), "--dry-run", "--json").stdout)
    assert told["settings"]["model"] == "knight"


def test_what_holds_no_settings_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("only words", encoding="utf-8")
    with pytest.raises(InvalidInput, match="settings: the text holds none"):
        run(str(file))
    file.write_text("a" * 10_001 + "\n" + TEXT.partition("\n")[2], encoding="utf-8")
    with pytest.raises(InvalidInput, match="prompt has"):
        run(str(file))

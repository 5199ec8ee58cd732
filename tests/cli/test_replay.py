"""``limner replay``: from a picture's own metadata, with the embedded model, small."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner, Result

from limner import imaging
from limner.cli import replaying
from limner.cli.main import typer_app
from limner.domain.controls import Control
from limner.domain.params import Generation
from limner.engine.checkpoints import probe
from limner.errors import Gone, InvalidInput, LimnerError, MalformedBody
from limner.web.reading.inputs import digest
from tests.engine import checkpoint_files

SMALL = ["--steps", "2", "--width", "64", "--height", "64", "--seed", "3"]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A knight, and a mage drawn from it, by one batch each."""
    folder = tmp_path_factory.mktemp("drawn")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIMNER_DATA_DIR", str(folder / "data"))
        knight, mage = str(folder / "knight.png"), str(folder / "mage.png")
        assert run("draw", "a knight", "-o", knight, *SMALL).exit_code == 0
        more = ["--image", knight, "--mask", knight, "--strength", "0.7", "--mask-blur", "2"]
        result = run("draw", "a mage", "-o", mage, *more, *SMALL)
        assert result.exit_code == 0, result.output
    return folder


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMNER_DATA_DIR", str(tmp_path / "data"))


def run(*words: str) -> Result:
    return CliRunner().invoke(typer_app, words)


def failure(*words: str) -> LimnerError:
    error = run("replay", *words).exception
    assert isinstance(error, LimnerError), error
    return error


def test_a_picture_is_drawn_again_from_its_own_metadata(drawn: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.png"
    result = run("replay", str(drawn / "knight.png"), "-o", str(again))
    assert (result.exit_code, result.stdout) == (0, "identical, 0 of 4,096 pixels differ\n")
    assert again.read_bytes() == (drawn / "knight.png").read_bytes()


def test_the_masked_part_alone_is_drawn_again_from_the_files(drawn: Path, tmp_path: Path) -> None:
    """Of a mask of another size, too; the picture keeps its own."""
    picture, mask, made = (str(tmp_path / f"{name}.png") for name in ("a", "mask", "made"))
    Image.new("RGB", (90, 70), (10, 120, 60)).save(picture)
    Image.linear_gradient("L").save(mask)
    files = ["--image", picture, "--mask", mask]
    only = ["--only-masked", "--mask-padding", "4", "--mask-blur", "2", "--mask-fill", "noise"]
    result = run("draw", "a mage", "-o", made, *files, *only, *SMALL)
    assert result.exit_code == 0, result.output
    result = run("replay", made, *files)
    assert (result.exit_code, result.stdout) == (0, "identical, 0 of 6,300 pixels differ\n")


def test_a_difference_is_counted(drawn: Path, tmp_path: Path) -> None:
    """The receipt of the knight with one word changed, beside the knight's pixels."""
    pixels, metadata = replaying.read(drawn / "knight.png")[1], None
    receipt = json.loads(
        json.dumps(imaging.read_metadata((drawn / "knight.png").read_bytes()).receipt)
    )
    receipt["parameters"]["prompt"] = "a dragon"
    receipt["versions"]["torch"] = "1.0"
    (tmp_path / "a.json").write_text(json.dumps(receipt))
    (tmp_path / "a.png").write_bytes(imaging.to_png(pixels, metadata))
    result = run("replay", str(tmp_path / "a.json"), "--json")
    told = json.loads(result.stdout)
    assert (result.exit_code, told["identical"], told["of"]) == (1, False, 64 * 64)
    assert 0 < told["different_pixels"] <= told["of"]
    assert 0 < told["largest_difference"] <= 255
    assert told["changed"][0].startswith("torch was 1.0, is ")


def test_the_receipt_names_the_machine_and_the_replay_what_changed(
    drawn: Path, tmp_path: Path
) -> None:
    receipt = imaging.read_metadata((drawn / "knight.png").read_bytes()).receipt
    machine = receipt["machine"]
    assert machine["processor"] == probe.processor("cpu")
    assert (machine["device"], machine["threads"]) == ("cpu", torch.get_num_threads())
    assert set(receipt["versions"]) >= {"limner", "torch", "diffusers"}
    receipt["machine"] = {**machine, "processor": "Cray-1", "threads": 64}
    (tmp_path / "a.json").write_text(json.dumps(receipt))
    told = json.loads(run("replay", str(tmp_path / "a.json"), "--json").stdout)
    assert told["identical"]
    assert told["changed"] == [
        f"processor was Cray-1, is {machine['processor']}",
        f"threads was 64, is {machine['threads']}",
    ]


def test_an_older_receipt_means_what_it_meant(drawn: Path, tmp_path: Path) -> None:
    receipt = imaging.read_metadata((drawn / "knight.png").read_bytes()).receipt
    del receipt["machine"]
    (tmp_path / "a.json").write_text(json.dumps(receipt))
    told = json.loads(run("replay", str(tmp_path / "a.json"), "--json").stdout)
    assert (told["identical"], told["changed"]) == (True, [])


@pytest.mark.slow
def test_a_replay_predicts_as_the_picture_did(drawn: Path, tmp_path: Path) -> None:
    picture = tmp_path / "v.png"
    v = ["--prediction", "v", "--zero-snr", "yes"]
    assert run("draw", "a knight", "-o", str(picture), *v, *SMALL).exit_code == 0
    metadata = imaging.read_metadata(picture.read_bytes())
    model = metadata.receipt["model"]
    assert (model["prediction"], model["zero_snr"]) == ("v-prediction", True)
    assert "Noise Schedule: Zero Terminal SNR" in metadata.parameters
    assert picture.read_bytes() != (drawn / "knight.png").read_bytes()
    assert "identical, 0 of" in run("replay", str(picture)).stdout
    otherwise = failure(str(picture), "--zero-snr", "no")
    assert "is loaded as v-prediction without zero terminal SNR" in str(otherwise)
    refused = run(
        "draw", "a knight", "--scheduler", "LMS", "-o", str(tmp_path / "w.png"), *v, *SMALL
    )
    assert "allowed are DDIM, DPM Multi, Euler a, Euler, DDPM, UniPC" in str(refused.exception)


def test_another_checkpoint_is_refused_before_anything_is_loaded(
    drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("limner.cli.engines.opened", None)
    other = checkpoint_files.write_single_file(
        tmp_path / "other.safetensors", checkpoint_files.models()
    )
    refused = failure(str(drawn / "knight.png"), "--model", str(other))
    assert "drawn by Squire" in str(refused)
    assert "loaded is other" in str(refused)
    assert "settings model and vae" in str(refused)


def test_a_lora_that_is_not_there_is_told_before_anything_is_loaded(
    drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("limner.cli.engines.opened", None)
    receipt = dict(imaging.read_metadata((drawn / "knight.png").read_bytes()).receipt or {})
    lora = {"name": "night", "sha256": "5" * 64}
    receipt["parameters"] = {**receipt["parameters"], "loras": [lora]}
    (tmp_path / "a.json").write_text(json.dumps(receipt))
    error = failure(str(tmp_path / "a.json"))
    assert "loras: no file is night (SHA-256 555555555555...)" in str(error)


def test_img2img_finds_its_sources_in_the_command(drawn: Path) -> None:
    mage, knight = str(drawn / "mage.png"), str(drawn / "knight.png")
    result = run("replay", mage, "--image", knight, "--mask", knight)
    assert result.stdout == "identical, 0 of 4,096 pixels differ\n", result.output
    error = failure(mage)
    assert isinstance(error, Gone)
    assert "give it with --image" in str(error)
    error = failure(mage, "--image", mage)
    assert isinstance(error, InvalidInput)
    assert "mage.png is not the image that this receipt starts from" in str(error)


@pytest.mark.parametrize("format", ["jpeg", "webp"])
def test_the_receipt_of_lossy_files_is_enough(drawn: Path, tmp_path: Path, format: str) -> None:
    data = (drawn / "knight.png").read_bytes()
    file = tmp_path / f"a.{format}"
    metadata = imaging.read_metadata(data)
    file.write_bytes(imaging.encode(imaging.read_image(data), format, metadata))  # type: ignore[arg-type]
    record, pixels = replaying.read(file)
    assert record == metadata.receipt
    assert pixels is not None


def test_what_cannot_be_replayed(tmp_path: Path) -> None:
    plain, broken = tmp_path / "plain.png", tmp_path / "broken.json"
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(plain)
    broken.write_text("[")
    assert "holds no receipt and no settings" in str(failure(str(plain)))
    assert isinstance(failure(str(broken)), MalformedBody)
    assert "cannot be read" in str(failure(str(tmp_path / "nothing.png")))
    plain.write_text("no picture")
    assert str(failure(str(plain))).startswith(f"{plain} is not a picture")
    broken.write_text('{"receipt": 2}')
    assert "schema 2 is unknown" in str(failure(str(broken)))


def test_maps_of_controls_are_given_by_their_files(tmp_path: Path) -> None:
    pixels = np.full((64, 64, 3), 7, np.uint8)
    (tmp_path / "map.png").write_bytes(imaging.to_png(pixels))
    control = Control(name="canny", sha256="a" * 64, map_sha256=digest(pixels))
    led, plain = (Generation(prompt="a", seed=1, controls=each) for each in ((control,), ()))
    [(name, found)] = replaying._maps(led, [tmp_path / "map.png"]).items()
    assert name == control.map_sha256
    assert np.array_equal(found, pixels)
    with pytest.raises(InvalidInput, match="is no map that this receipt follows"):
        replaying._maps(plain, [tmp_path / "map.png"])


@pytest.mark.slow
def test_the_mask_of_a_region_is_given_by_its_file(tmp_path: Path) -> None:
    """A picture of another size, as it was when it was drawn with; any other is refused."""
    mask, made = tmp_path / "mask.png", str(tmp_path / "made.png")
    Image.linear_gradient("L").save(mask)
    regions = json.dumps([{"prompt": "a knight", "mask": str(mask)}])
    result = run("draw", "a meadow", "-o", made, "--regions", regions, *SMALL)
    assert result.exit_code == 0, result.output
    assert run("replay", made, "--map", str(mask)).stdout.startswith("identical")
    assert isinstance(failure(made), Gone)
    Image.new("L", (64, 64), 255).save(mask)
    assert "is no map that this receipt follows" in str(failure(made, "--map", str(mask)))

"""``limner draw`` with the embedded model, small and few steps."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from limner.cli import drawing, options
from limner.cli.main import app, typer_app
from limner.domain.receipt import from_receipt
from limner.engine.checkpoints import weights
from limner.errors import InvalidInput, LimnerError, MalformedBody, SettingsError
from limner.imaging import read_metadata
from limner.web.reading import controls
from tests.engine.controls import making

SMALL = ["--steps", "3", "--width", "128", "--height", "128"]


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMNER_DATA_DIR", str(tmp_path / "data"))
    # The measurement of the knee takes seconds and is tested in test_throughput.
    monkeypatch.setattr("limner.engine.sampling.throughput.measure", lambda _: 8)


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


@pytest.mark.slow
def test_a_first_pass_is_written_beside_what_became_of_it(tmp_path: Path) -> None:
    more = ["--hires", '{"scale": 2, "upscaler": "Lanczos", "first_pass": true}']
    words = ["a knight", "-o", str(tmp_path / "a.png"), "--seed", "1", *more, *SMALL]
    assert run(*words).exit_code == 0
    large, small = (Image.open(tmp_path / name) for name in ("a.png", "a-first.png"))
    assert (large.size, small.size) == ((256, 256), (128, 128))
    receipt = read_metadata((tmp_path / "a-first.png").read_bytes()).receipt
    assert receipt is not None
    assert from_receipt(receipt).hires is None
    (tmp_path / "a.png").unlink()
    assert "a-first.png" in str(failure(*words))


@pytest.mark.parametrize(
    ("name", "words", "format"),
    [("a.jpg", [], "JPEG"), ("a.WEBP", [], "WEBP"), ("a", [], "PNG"), ("a.jpg", ["png"], "PNG")],
)
def test_a_files_name_says_its_format(
    tmp_path: Path, name: str, words: list[str], format: str
) -> None:
    file = tmp_path / name
    asked = [part for word in words for part in ("--format", word)]
    assert run("a knight", "-o", str(file), *asked, *SMALL).exit_code == 0
    assert Image.open(file).format == format


def test_a_sprite_has_the_small_models_true_pixels(tmp_path: Path) -> None:
    file = tmp_path / "sprite.png"
    assert run("a knight", "-o", str(file), "--sprite", *SMALL).exit_code == 0
    assert Image.open(file).size == (8, 8)


@pytest.mark.parametrize(
    ("words", "error", "sentence"),
    [
        ([], InvalidInput, "prompt is missing"),
        (["x", "--steps", "151"], InvalidInput, "^--steps is 151; .* 1 to 150"),
        (["x", "--sampler", "LCM", "--steps", "60"], InvalidInput, "^--steps is 60; LCM is drawn"),
        (["x", "--width", "100"], InvalidInput, "^--width is 100; .* multiple of 8"),
        (["x", "--image", "a.png"], InvalidInput, "^--image is a.png; there is no such file"),
        (["x", "--noise-source", "y"], InvalidInput, '^--noise-source is "y"; it must be one of'),
        (["x", "--style", "artists=Y"], InvalidInput, "^--style artists is 'Y', which is not in"),
        ([10_001 * "x"], InvalidInput, "^prompt has 10,001 characters"),
        (["x", "--image", "ftp://a/a.png"], InvalidInput, "^(?!.*no such file)"),
        (["x", "--image", "data:a.png"], InvalidInput, "of the form data:image/png;base64"),
        (["x", "--format", "gif"], SettingsError, "--format is 'gif'"),
        (["x", "--out", "f"], SettingsError, "--out goes with --batch"),
        (["--batch", "f"], SettingsError, "--batch needs --out"),
        (["--batch", "f", "--out", "o", "-o", "x.png"], SettingsError, "-o names a single"),
        (["caf\udce9"], MalformedBody, "half of a surrogate pair"),
    ],
)
def test_mistakes_get_a_sentence(words: list[str], error: type, sentence: str) -> None:
    found = failure(*words)
    assert isinstance(found, error)
    assert re.search(sentence, str(found))


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (b'{"prompt": "b", "samples": 99}', "samples is 99"),
        (b"{no json}", "not JSON: .* at column 2$"),
        (b'{"prompt": "b"', "not JSON"),
        (b'["b"]', "must be a JSON object"),
        (b'{"prompt": "\xe9"}', "not UTF-8"),
        (b'{"prompt": "b", "prompt": "c"}', "stands more than once"),
        (b'{"prompt": "\\ud800"}', "half of a surrogate pair"),
        (b'{"prompt": "b", "guidance_scale": NaN}', "NaN is not a JSON number"),
        (b'{"a":' * 100_000, "nested deeper"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: bytes, sentence: str) -> None:
    batch = tmp_path / "requests.jsonl"
    batch.write_bytes(b'{"prompt": "a"}\n\n' + line + b"\n")
    found = failure("--batch", str(batch), "--out", "o")
    assert re.search(f"^line 3: .*{sentence}", str(found))


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ('{"prompt": "a"}', "line 1: --steps is 151; it must"),
        ('{"prompt": "a", "steps": 152}', "line 1: steps is 152; it must"),
    ],
)
def test_a_mistake_is_the_options_or_the_lines(tmp_path: Path, line: str, sentence: str) -> None:
    batch = tmp_path / "requests.jsonl"
    batch.write_text(line)
    found = failure("--batch", str(batch), "--out", "o", "--steps", "151")
    assert str(found).startswith(sentence)


def test_a_line_may_hold_what_unicode_calls_an_end_of_line(tmp_path: Path) -> None:
    batch, out = tmp_path / "requests.jsonl", tmp_path / "pictures"
    batch.write_text('{"prompt": "a\u2028knight"}', encoding="utf-8")
    assert run("--batch", str(batch), "--out", str(out), *SMALL).exit_code == 0
    assert json.loads((out / "0001.json").read_text())["parameters"]["prompt"] == "a\u2028knight"


@pytest.mark.parametrize(
    "words", [["--batch", "{}/none", "--out", "{}/o"], ["--batch", "{}", "--out", "o"]]
)
def test_a_file_that_cannot_be_used_is_named(
    tmp_path: Path, words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr("sys.argv", ["limner", "draw", *(w.format(tmp_path) for w in words)])
    with pytest.raises(SystemExit) as left:
        app()
    assert left.value.code == 1
    sentence = capsys.readouterr().err
    assert sentence.startswith(f"limner: {tmp_path}")
    assert sentence.count("\n") == 1


def test_styles_sequences_and_pictures_as_files(tmp_path: Path) -> None:
    source = tmp_path / "source.png"
    Image.new("RGB", (64, 64), "red").save(source)
    line = {"prompt": "hat", "style_mix": {"sequence": ["a knight", "a mage"]}, "samples": 2}
    lines = [line, {"prompt": "a {cat}", "image": str(source), "strength": 0.7, "template": True}]
    batch, out = tmp_path / "requests.jsonl", tmp_path / "pictures"
    batch.write_text("\n".join(map(json.dumps, lines)))
    result = run("--batch", str(batch), "--out", str(out), "--style", "mood=gloomy", *SMALL)
    assert result.exit_code == 0, result.output
    receipts = {
        path.stem: json.loads(path.read_text())["parameters"] for path in out.glob("*.json")
    }
    assert sorted(receipts) == ["0001", "0001-2", "0001-3", "0001-4", "0002"]
    assert receipts["0001"]["prompt"] == "hat, a knight"
    assert receipts["0001-4"]["prompt"] == "hat, a mage"
    last = receipts["0002"]
    assert last["prompt"].endswith("a cat")
    assert last["prompt"] != "a cat"
    assert last["source"]["strength"] == 0.7
    assert last["origin"]["picks"]["mood"][0]["name"] == "gloomy"


@pytest.mark.parametrize("style", ["gloomy", "sequence=a"])
def test_a_style_needs_its_kind(style: str) -> None:
    assert "must be KIND=NAME" in str(failure("x", "--style", style))


def test_masks_of_regions_may_be_files_also_in_json(tmp_path: Path) -> None:
    path = tmp_path / "mask.png"
    path.write_bytes(b"white")
    given = [{"prompt": "a knight", "mask": str(path)}]
    for value in (given, json.dumps(given)):
        assert drawing._from_file("regions", value) == [{"prompt": "a knight", "mask": b"white"}]
    assert drawing._from_file("regions", "[") == "["


def test_the_pictures_of_controls_may_be_files(tmp_path: Path) -> None:
    (tmp_path / "map.png").write_bytes(b"a file")
    given = [{"name": "canny", "image": str(tmp_path / "map.png")}, "no object"]
    assert drawing._from_file("controls", given) == [
        {"name": "canny", "image": b"a file"},
        "no object",
    ]
    with pytest.raises(InvalidInput, match=r"controls\.0\.image is .*; there is no such file"):
        drawing._from_file("controls", [{"image": str(tmp_path / "gone.png")}])


@pytest.mark.parametrize(
    ("text", "entry"),
    [
        ("edges=map.png", {"name": "edges", "image": "map.png"}),
        ("edges", {"name": "edges"}),
        ("Ab" * 32 + "=map.png", {"sha256": "Ab" * 32, "image": "map.png"}),
        (
            "sub/edges=a,b=c.png,mode=guess,weight=0.8",
            {"name": "sub/edges", "image": "a,b=c.png", "mode": "guess", "weight": "0.8"},
        ),
        ("edges,preprocessor=canny", {"name": "edges", "preprocessor": "canny"}),
        (' {"name": "a,b=c", "options": {"low": 9}}', {"name": "a,b=c", "options": {"low": 9}}),
    ],
)  # fmt: skip
def test_a_control_is_an_entry_of_the_wire(text: str, entry: dict[str, Any]) -> None:
    assert options.body(control=[text, text]) == {"controls": [entry, entry]}
    assert set(options.CONTROL_WORDS) < set(controls.READERS)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("=map.png", "it must be NAME=IMAGE"),
        ("edges=", "it must be NAME=IMAGE"),
        ("edges,wieght=2", "then of weight, start, end, mode, preprocessor, resize_mode"),
        ("edges=a.png,end=1,end=0.5", "it has end twice"),
        ("{edges", "begins as JSON"),
        ("edges=gone.png", "--control 0.image is gone.png; there is no such file"),
        ("edges", "--control 0.image is missing"),
        ("edges,weight=3", '--control 0.weight is "3"; it must be a number 0 to 2'),
        ("edges,preprocessor=", '--control 0.preprocessor is ""; it must be one of none, canny'),
        ("edges=http://127.0.0.1/a.png,end=0", "--control 0.start is 0; it must be below end"),
        ('{"nom": "edges"}', "--control 0 has nom"),
    ],
)
def test_a_control_that_cannot_be_read_is_told(text: str, told: str) -> None:
    error = failure("x", "--control", text)
    assert isinstance(error, InvalidInput)
    assert told in str(error)


@pytest.mark.slow
def test_a_control_is_followed_as_in_a_batch(tmp_path: Path) -> None:
    files, source, batch = tmp_path / "files", tmp_path / "a,b.png", tmp_path / "lines.jsonl"
    model = making.controlnet(weights.load(None).unet, scale=16)
    making.written(files / "edges.safetensors", dict(model.state_dict()))
    Image.linear_gradient("L").save(source)
    follows = {"name": "edges", "image": str(source), "weight": 0.7, "preprocessor": "invert"}
    lines = [{"prompt": "a mage", "controls": [follows]}, {"prompt": "a mage"}]
    batch.write_text("\n".join(map(json.dumps, lines)))
    given = ["--models-dir", str(files), "--seed", "5", *SMALL]
    made, out = tmp_path / "made.png", tmp_path / "out"
    control = f"edges={source},weight=0.7,preprocessor=invert"
    for words in (
        ["a mage", "--control", control, "-o", str(made)],
        ["--batch", str(batch), "--out", str(out)],
    ):
        result = run(*words, *given)
        assert result.exit_code == 0, result.output
    one, same, plain = (
        np.asarray(Image.open(path)) for path in (made, out / "0001.png", out / "0002.png")
    )
    assert np.array_equal(one, same)
    assert not np.array_equal(one, plain)

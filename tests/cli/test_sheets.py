"""``limner grid``, ``flow`` and ``styles`` with the embedded model, small and few steps."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from limner import imaging
from limner.cli.main import typer_app
from limner.cli.sheeting import Axis
from limner.domain.receipt import from_receipt
from limner.errors import InvalidInput, LimnerError

SMALL = ["--steps", "2", "--width", "64", "--height", "64", "--seed", "3"]


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMNER_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr("limner.engine.sampling.throughput.measure", lambda _: 8)


def run(*words: str) -> Result:
    result = CliRunner().invoke(typer_app, words)
    if isinstance(result.exception, LimnerError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result


def drawn(page: Path) -> list[object]:
    """The generations whose pictures are in an HTML sheet, from their metadata."""
    found = re.findall(r"base64,([\w+/=]+)", page.read_text())
    receipts = [imaging.read_metadata(base64.b64decode(data)).receipt for data in found]
    return [from_receipt(receipt) for receipt in receipts if receipt]


def test_a_grid_of_any_two_fields(tmp_path: Path) -> None:
    out = tmp_path / "sheet.png"
    axes = ["--x", "scheduler=Euler,ddim", "--y", 'prompt="a knight, red",a mage']
    result = run("grid", *axes, "--style", "mood=gloomy", "-o", str(out), *SMALL)
    assert result.stdout.split() == [str(out), str(out.with_suffix(".html"))]
    assert Image.open(out).format == "PNG"
    generations = drawn(out.with_suffix(".html"))
    assert [g.scheduler for g in generations] == ["Euler", "DDIM"] * 2  # type: ignore[attr-defined]
    assert {g.seed for g in generations} == {3}  # type: ignore[attr-defined]
    prompts = [g.prompt for g in generations]  # type: ignore[attr-defined]
    assert "a knight, red" in prompts[0]
    assert prompts[0].startswith("(")
    assert "a mage" in prompts[3]


def test_a_flow_draws_varies_and_polishes(tmp_path: Path) -> None:
    out = tmp_path / "flow.html"
    run("flow", "a knight", "--vary", "mood=gloomy", "--polish", "0.5", "-o", str(out), *SMALL)
    first, varied, polished, last = drawn(out)
    assert first.prompt == "a knight" == polished.prompt  # type: ignore[attr-defined]
    assert varied.prompt == last.prompt != first.prompt  # type: ignore[attr-defined]
    assert polished.source.strength == last.source.strength == 0.5  # type: ignore[attr-defined]
    assert first.source is None  # type: ignore[attr-defined]
    assert first.seed == last.seed == 3  # type: ignore[attr-defined]


def test_a_sheet_of_styles(tmp_path: Path) -> None:
    out = tmp_path / "types"
    run("styles", "sheet", "image_type", "a knight", "-o", str(out), *SMALL)
    generations = drawn(out.with_suffix(".html"))
    assert len({g.prompt for g in generations}) == 7  # type: ignore[attr-defined]
    page = out.with_suffix(".html").read_text()
    assert "watercolour" in page


def test_the_catalogue_is_listed_with_ones_own(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "styles"
    folder.mkdir(parents=True)
    (folder / "moods.toml").write_text('["under water"]\ntext = "deep water"\n')
    told = json.loads(run("styles", "list", "--json").stdout)
    assert len(told["mood"]) == 21
    assert "  under water: deep water" in run("styles", "list", "mood").stdout
    with pytest.raises(InvalidInput, match="'moods' is no kind of style"):
        run("styles", "list", "moods")


@pytest.mark.parametrize(
    ("axis", "sentence"),
    [
        ("colour=red", "'colour' is no axis; an axis is one of: prompt, "),
        ("steps", "'steps' has no values"),
        ("steps=1,,2", "'steps=1,,2' has no values"),
        ("samples=1,2", "'samples' is no axis"),
    ],
)
def test_axes_that_are_none(axis: str, sentence: str) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        Axis.parse(axis)


def test_a_preset_is_of_the_request_or_of_the_styles() -> None:
    axis = Axis.parse("preset=easy,portrait")
    assert axis.apply({}, "easy") == {"preset": "easy"}
    assert axis.apply({}, "portrait") == {"style_mix": {"preset": "portrait"}}


@pytest.mark.parametrize("words", [["grid", "x", "--x"], ["flow", "x", "--vary"]])
def test_an_axis_that_needs_a_picture_is_refused_without_one(words: list[str]) -> None:
    with pytest.raises(InvalidInput, match="strength acts only on a picture to start from"):
        run(*words, "strength=0.3,0.6", "-o", "a.png", *SMALL)


@pytest.mark.parametrize("words", [["grid", "x", "--x"], ["flow", "x", "--vary"]])
def test_an_axis_of_subseeds_is_refused_without_their_strength(words: list[str]) -> None:
    with pytest.raises(InvalidInput, match="subseed acts only with a subseed_strength above 0"):
        run(*words, "subseed=1,2", "-o", "a.png", *SMALL)


def test_a_sheet_has_a_limit() -> None:
    seeds = ",".join(map(str, range(21)))
    with pytest.raises(InvalidInput, match="441 pictures; at most 400"):
        run("grid", "x", "--x", f"seed={seeds}", "--y", f"subseed={seeds}", "-o", "a.png")

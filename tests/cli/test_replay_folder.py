"""``limner replay`` of a folder: a line for each picture, and one bad one keeps no other."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from limner import imaging
from limner.cli import engines
from limner.cli.main import typer_app
from limner.errors import EngineFault, InvalidInput, SettingsError
from tests.cli.test_foreign import TEXT, png

SMALL = ["--steps", "2", "--width", "64", "--height", "64", "--seed", "3"]


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMNER_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def knight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture of ours."""
    file = tmp_path_factory.mktemp("ours") / "knight.png"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIMNER_DATA_DIR", str(file.parent / "data"))
        assert run("draw", "a knight", "-o", str(file), *SMALL).exit_code == 0
    return file


@pytest.fixture
def folder(tmp_path: Path, knight: Path) -> Path:
    """One of ours, the same with another word in its receipt, a foreign one, one without a word."""
    made = tmp_path / "all"
    (made / "deeper.png").mkdir(parents=True)
    shutil.copy(knight, made / "a.png")
    data = knight.read_bytes()
    found = imaging.read_metadata(data)
    assert found.receipt is not None
    receipt = json.loads(json.dumps(found.receipt))
    receipt["rgb_sha256"] = "0" * 64
    changed = imaging.Metadata(found.parameters, receipt)
    (made / "b.webp").write_bytes(imaging.encode(imaging.read_image(data), "webp", changed))
    png(made / "c.PNG", TEXT)
    Image.new("RGB", (64, 64)).save(made / "d.jpg")
    shutil.copy(knight, made / ".hidden.png")
    (made / "notes.txt").write_text("no picture", encoding="utf-8")
    return made


@pytest.fixture
def faked(monkeypatch: pytest.MonkeyPatch, knight: Path) -> list[str]:
    """An engine whose every picture is the knight; what it did."""
    did: list[str] = []

    @contextmanager
    def opened(*_: Any) -> Iterator[Any]:
        did.append("opened")
        yield None
        did.append("closed")

    data = knight.read_bytes()
    receipt = imaging.read_metadata(data).receipt
    picture = SimpleNamespace(
        pixels=imaging.read_image(data), receipt=receipt, encode=lambda _: data
    )
    monkeypatch.setattr(engines, "opened", opened)
    monkeypatch.setattr(engines, "draw_all", lambda *_: [did.append("drew") or picture])
    return did


def run(*words: str) -> Result:
    return CliRunner().invoke(typer_app, words)


def lines(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_each_picture_gets_a_line(folder: Path, faked: list[str]) -> None:
    result = run("replay", str(folder))
    assert result.exit_code == 1
    first, second, third, last = result.stdout.splitlines()
    assert first == "a.png: identical, 0 of 4,096 pixels differ"
    assert second.startswith("b.webp: not identical; the first picture's 4,096 pixels are not here")
    assert third.startswith(
        "c.PNG: drawn to limner-3.png, seed 3; missing: checkpoint far (aaaaaaaaaa)"
    )
    assert third.endswith("; differs in 1 way (--dry-run of it alone says how)")
    assert last.startswith(f"d.jpg: {folder / 'd.jpg'} holds no receipt and no settings")
    assert result.stderr.endswith("4 pictures: 1 identical, 1 not identical, 1 drawn, 1 failed\n")
    assert faked == ["opened", "drew", "drew", "drew", "closed"]


def test_scripts_are_told_in_json(folder: Path, faked: list[str], tmp_path: Path) -> None:
    told = lines(run("replay", str(folder), "--json", "-o", str(tmp_path / "new")))
    states = ["identical", "not identical", "drawn", "failed"]
    assert [each["state"] for each in told] == states
    assert [Path(each["file"]).name for each in told] == ["a.png", "b.webp", "c.PNG", "d.jpg"]
    written = ["a.png", "b.webp.png", "c.PNG"]
    assert sorted(each.name for each in (tmp_path / "new").iterdir()) == written
    assert told[2]["settings"]["hires"]["steps"] == 4
    assert told[1]["largest_difference"] is None


def test_all_is_well_where_nothing_differs(folder: Path, faked: list[str]) -> None:
    for name in ("b.webp", "d.jpg"):
        (folder / name).unlink()
    assert run("replay", str(folder)).exit_code == 0


def test_an_engine_that_failed_is_begun_anew(
    folder: Path, faked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> Any:
        raise EngineFault("Picture 1 could not be drawn: no memory")

    monkeypatch.setattr(engines, "draw_all", fail)
    result = run("replay", str(folder))
    assert result.stdout.startswith("a.png: Picture 1 could not be drawn: no memory\n")
    assert faked == ["opened", "closed"] * 3


def test_a_dry_run_opens_nothing(folder: Path, faked: list[str], tmp_path: Path) -> None:
    result = run("replay", str(folder), "--dry-run", "-o", str(tmp_path / "new"))
    assert result.stdout.startswith(
        "a.png: would be drawn\nb.webp: would be drawn\nc.PNG: would be"
    )
    assert (faked, (tmp_path / "new").exists()) == ([], False)


def test_what_is_of_one_picture_is_refused(folder: Path, tmp_path: Path) -> None:
    for words in (["--image", "a.png"], ["--mask", "a.png"], ["--map", "a.png"]):
        error = run("replay", str(folder), *words).exception
        assert isinstance(error, SettingsError)
        assert str(error).startswith(f"{words[0]} is of one picture")
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "a.png").touch()
    assert "a.png is there already" in str(run("replay", str(folder), "-o", "new").exception)
    assert "-o is new/a.png, a file" in str(run("replay", str(folder), "-o", "new/a.png").exception)
    assert "-o is b.png, a file" in str(run("replay", str(folder), "-o", "b.png").exception)
    empty = run("replay", str(tmp_path / "new" / "..")).exception
    assert isinstance(empty, InvalidInput)
    assert "holds no picture (.png, .jpg, .jpeg, .webp)" in str(empty)


def test_a_dry_run_of_one_of_ours_tells_and_draws_nothing(knight: Path, faked: list[str]) -> None:
    result = run("replay", str(knight), "--dry-run")
    assert (result.exit_code, faked) == (0, [])
    assert "prompt: a knight\n" in result.stdout
    assert "steps: 2\n" in result.stdout
    told = json.loads(run("replay", str(knight), "--dry-run", "--json").stdout)
    assert (told["settings"]["seed"], told["missing"]) == (3, [])


@pytest.mark.slow
def test_a_folder_is_drawn_by_the_embedded_model(folder: Path, tmp_path: Path) -> None:
    result = run("replay", str(folder), "-o", str(tmp_path / "new"))
    assert result.stdout.startswith("a.png: identical, 0 of 4,096 pixels differ\nb.webp: not ident")
    first, again = (np.asarray(Image.open(each / "a.png")) for each in (folder, tmp_path / "new"))
    assert np.array_equal(first, again)
    assert Image.open(tmp_path / "new" / "c.PNG").size == (128, 128)

"""No picture is lost to a second run, and no file holds another format than its name says."""

from __future__ import annotations

import json
import os
import resource
import sys
from contextlib import suppress
from pathlib import Path
from threading import Barrier, Thread

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from limner.cli import files
from limner.cli.main import app, typer_app
from limner.errors import SettingsError
from tests.web.served import serve

SMALL = ["--steps", "1", "--width", "64", "--height", "64", "--seed", "5"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMNER_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)


def limner(*words: str) -> Result:
    return CliRunner().invoke(typer_app, words)


def refusal(*words: str) -> str:
    result = limner(*words)
    assert isinstance(result.exception, SettingsError), (result.output, result.exception)
    return str(result.exception)


@pytest.mark.parametrize(
    "words",
    [
        ("draw", "x", "-o", "x.gif"),
        ("draw", "x", "-o", "x.pngg"),
        ("upscale", "docs/images/knight.png", "-o", "x.gif"),
        ("draw", "x", "--sprite", "-o", "x.jpg"),
        ("draw", "x", "--sprite", "--format", "webp"),
        ("grid", "x", "--x", "seed=1,2", "-o", "x.jpg"),
        ("flow", "x", "-o", "x.gif"),
        ("styles", "sheet", "mood", "-o", "x.gif"),
        ("replay", "docs/images/knight.png", "-o", "x.jpg"),
    ],
)
def test_a_name_that_says_another_format_is_refused(words: tuple[str, ...]) -> None:
    assert "x." in refusal(*words) or "webp" in refusal(*words)
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(
    "words",
    [
        ("draw", "x", "-o", "x.png", *SMALL),
        ("draw", "x", "-o", "y.png", "--samples", "2", *SMALL),  # y-2.png
        ("grid", "x", "--x", "seed=1,2", "-o", "x.png"),
        ("flow", "x", "-o", "x.html"),  # x.png
        ("styles", "sheet", "mood", "-o", "x"),
        ("replay", "docs/images/knight.png", "-o", "x.png"),
        ("draw", "--batch", "b.jsonl", "--out", "o", *SMALL),
        ("draw", "--batch", "b.jsonl", "--out", "p", *SMALL),  # a receipt alone
    ],
)
def test_a_named_file_that_is_there_is_refused_before_drawing(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("limner.cli.engines.opened", None)
    Path("b.jsonl").write_text('{"prompt": "a"}\n{"prompt": "b"}')
    there = [Path(name) for name in ("x.png", "y-2.png", "o/0002.png", "p/0001.json")]
    for path in there:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"precious")
    assert "is there already; choose another name, or say --overwrite" in refusal(*words)
    assert {path.read_bytes() for path in there} == {b"precious"}


def test_a_second_drawing_takes_the_next_free_name() -> None:
    names = [limner("draw", "x", *SMALL).stdout.split()[0] for _ in range(2)]
    assert names == ["limner-5.png", "limner-5-2.png"]
    assert Path(names[0]).read_bytes() == Path(names[1]).read_bytes()


def test_a_second_sheet_takes_the_next_free_name() -> None:
    Path("grid-2.html").write_text("precious")
    Path("grid.png").write_text("precious")
    made = limner("grid", "x", "--x", "seed=1,2", *SMALL)
    assert made.stdout.split() == ["grid-3.png", "grid-3.html"], made.exception


def test_overwrite_writes_over() -> None:
    Path("x.png").write_bytes(b"old")
    assert limner("draw", "x", "-o", "x.png", "--overwrite", *SMALL).exit_code == 0
    assert Image.open("x.png").format == "PNG"


def test_several_at_once_find_a_name_each() -> None:
    together, found = Barrier(8), []

    def write(text: bytes) -> None:
        together.wait(60)
        found.append((files.write_new(Path("a.png"), text), text))

    threads = [Thread(target=write, args=(b"%d" % number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len({path for path, _ in found}) == 8
    assert all(path.read_bytes() == text for path, text in found)


PROMPTS = ["a knight <hypernet:x:1> (red", "a cat", "[a|b", "x [y:z:0.5] | [c|d]"]


def test_the_terminal_tells_what_a_server_tells(tmp_path: Path) -> None:
    bodies = [{"prompt": prompt, "seed": 5, "strange": 1} for prompt in PROMPTS]
    Path("b.jsonl").write_text("\n".join(map(json.dumps, bodies)))
    drawn = limner("draw", "--batch", "b.jsonl", "--out", "o", "--json", *SMALL[:-2])
    lines = sorted(map(json.loads, drawn.stdout.splitlines()), key=lambda line: line["file"])
    with serve(tmp_path / "served") as served, served.http() as http:
        for body, line in zip(bodies, lines, strict=True):
            [request] = http.post("/api/requests", json=body).json()["requests"]
            there = http.get(f"/api/requests/{request['request_id']}").json()["adjustments"]
            assert line["adjustments"] == there
            http.delete(f"/api/requests/{request['request_id']}")


def sentence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: str
) -> str:
    """What a command says on standard error that ends with status 1."""
    monkeypatch.setattr(sys, "argv", ["limner", *words])
    with pytest.raises(SystemExit) as ended:
        app()
    assert ended.value.code == 1
    return capsys.readouterr().err


def test_a_full_disk_is_one_sentence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("full.png").symlink_to("/dev/full")
    said = sentence(capsys, monkeypatch, "draw", "x", "-o", "full.png", "--overwrite", *SMALL)
    assert said.splitlines()[-1] == "limner: full.png: No space left on device"
    assert "Traceback" not in said
    assert Path("full.png").is_symlink()


def test_a_result_that_goes_to_a_full_disk_is_one_sentence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    full = os.fdopen(os.open("/dev/full", os.O_WRONLY), "w")
    monkeypatch.setattr(sys, "stdout", full)
    said = sentence(capsys, monkeypatch, "styles", "list")
    assert said == "limner: output: No space left on device\n"
    with suppress(OSError):
        full.close()


def test_a_file_that_does_not_fit_leaves_no_half(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        for write in (files.write, files.write_new):
            with pytest.raises(OSError, match=r"File too large: '.*half\.png'"):
                write(tmp_path / "half.png", b"x" * 5000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not (tmp_path / "half.png").exists()

"""Whatever comes from a user is shown as it is: never markup, never a command to the terminal."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from limner.cli import terminal
from limner.cli.main import app, typer_app
from tests.cli.test_docs import commands

CLI = Path(terminal.__file__).parent
SMALL = ["--steps", "1", "--width", "64", "--height", "64", "--seed", "3"]
WEIRD = ["studio [/art]", ":fire: [link=x]", "[bold]loud[/bold]", "[red]", "[@click=f]"]


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMNER_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("file", sorted(CLI.glob("*.py")), ids=lambda file: file.name)
def test_everything_is_printed_in_one_place(file: Path) -> None:
    ways = r"\bprint\(|\becho\(|\bConsole\(|from_markup|sys\.std(out|err)"
    found = re.findall(ways, file.read_text())
    assert (file.name == "terminal.py") == bool(found)


def calls(name: str) -> Iterator[tuple[str, ...]]:
    """Every command, given ``name`` wherever it takes a person's words."""
    yield ("keys", "create", "--name", name, "--credits", "1")
    yield ("keys", "list")
    yield ("keys", "limit", name, "--concurrency", "2")
    yield ("keys", "rotate", name)
    yield ("credits", "grant", name, "2")
    yield ("credits", "show")
    yield ("credits", "check")
    yield ("usage",)
    yield ("keys", "revoke", name)
    yield ("explain", name)
    yield ("explain", name, "--negative")
    yield ("draw", name, *SMALL)
    yield ("draw", "x", "--scheduler", name, *SMALL)
    yield ("draw", "x", "-o", f"{name.replace('/', '')}.png", *SMALL)
    yield ("grid", name, "--x", f'prompt="{name}"', *SMALL)
    yield ("grid", "--x", f"{name}=1")
    yield ("flow", name, "--vary", f"mood={name}", *SMALL)
    yield ("replay", name)
    yield ("styles", "list", name)
    yield ("styles", "sheet", name)
    yield ("models", "list", "--data-dir", name)
    yield ("models", "inspect", name)
    yield ("models", "import", name)
    yield ("pictures", "move", "--data-dir", name)
    yield ("upscale", name, "--upscaler", name)
    yield ("cluster", "manifest", "--image", name)
    yield ("doctor", "--model", name, "--device", "cpu")
    yield ("serve", "--model", name)


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What a command prints on either stream; a traceback would come out of here."""
    monkeypatch.setattr("sys.argv", ["limner", *words])
    with contextlib.suppress(SystemExit):
        app()
    told = capsys.readouterr()
    return told.out + told.err


def test_every_command_is_tried() -> None:
    known = list(commands())
    tried = {words[: len(path)] for words in calls("x") for path in known}
    groups = {path[:1] for path in known if len(path) == 2}
    assert {path for path in known if path and path not in groups} <= tried


@pytest.mark.parametrize("name", [" ".join(WEIRD), pytest.param(WEIRD[0], marks=pytest.mark.slow)])
def test_no_command_reads_markup(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    monkeypatch.setattr("limner.cli.engines.opened", _no_engine)
    told = {words: run(monkeypatch, capsys, *words) for words in calls(name)}
    shown = [words for words, text in told.items() if name in text]
    assert {words[:2] for words in shown} >= {
        ("keys", "list"),
        ("keys", "limit"),
        ("keys", "revoke"),
        ("credits", "grant"),
        ("credits", "show"),
        ("styles", "list"),
        ("styles", "sheet"),
        ("models", "inspect"),
        ("models", "import"),
        ("replay", name),
        ("serve", "--model"),
    }


def _no_engine(*_: object) -> None:
    from limner.errors import EngineFault

    raise EngineFault("no engine here")


def test_a_drawing_tells_its_name_and_notes_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "[red]").mkdir()
    result = limner("draw", "x", "--scheduler", "[bold]", "-o", "[red]/:fire:.png", *SMALL)
    assert result.stdout == "[red]/:fire:.png  seed 3\n"
    assert result.stderr == '  scheduler "[bold]" is unknown; UniPC was used\n'


def test_what_steers_a_terminal_is_spelt_out() -> None:
    bad = "a\x1b[31mred\x07\x9bm\u202eback\udce9 ünïcödé 👩\u200d🎨"
    good = r"a\x1b[31mred\x07\x9bm\u202eback\udce9 ünïcödé 👩" + "\u200d🎨"
    assert terminal.plain(bad) == good
    shown = limner("explain", "a\x1b[31mred\x1b]0;title\x07").stdout
    assert "\x1b" not in shown
    assert r"\x1b" in shown


def test_a_table_in_a_pipe_is_not_folded() -> None:
    name = "long " * 39
    limner("keys", "create", "--name", name)
    assert name in limner("keys", "list").stdout
    assert json.loads(limner("keys", "list", "--json").stdout)[0]["name"] == name


def limner(*words: str) -> Result:
    result = CliRunner().invoke(typer_app, words)
    assert result.exit_code == 0, (result.output, result.exception)
    return result

"""docs/cli.md holds the help of every command, as the terminal prints it.

``python -m tests.cli.test_docs`` writes it anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import typer
from typer.testing import CliRunner

from limner.cli.main import typer_app

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"
HEAD = """# The terminal

`limner` serves, draws without a server, explains prompts, keeps keys and credits, and looks after checkpoints. Settings that several commands share come from flags, `LIMNER_*` variables or a TOML file ([settings](settings.md)). Results go to standard output, everything else to standard error; a mistake is one sentence and exit status 1, a wrong flag exit status 2.

## A batch
`limner draw --batch requests.jsonl --out pictures` reads one JSON object a line, in the wire's field names ([API](api.md)); the command's own options are the defaults of every line. All of them share the engine's forward passes. `0001.png` and its receipt `0001.json`, and so on, are written in input order; further samples of a line are `0001-2.png`.

## The commands
"""


def commands(path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command's path, groups before their members."""
    command: click.Command = typer.main.get_command(typer_app)
    for name in path:
        command = command.commands[name]  # type: ignore[attr-defined]
    yield path
    for name in getattr(command, "commands", {}):
        yield from commands((*path, name))


def help_of(path: tuple[str, ...]) -> str:
    runner = CliRunner(env={"COLUMNS": "100", "TERMINAL_WIDTH": "100", "NO_COLOR": "1"})
    result = runner.invoke(typer_app, [*path, "--help"], prog_name="limner")
    assert result.exit_code == 0, result.output
    return "\n".join(line.rstrip() for line in result.output.strip().splitlines())


def page() -> str:
    sections = [
        f"### limner {' '.join(path)}".rstrip() + f"\n```text\n{help_of(path)}\n```\n"
        for path in commands()
    ]
    return HEAD + "\n".join(sections)


def test_the_page_holds_every_commands_help() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m tests.cli.test_docs"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

"""docs/cli.md holds the help of every command, as the terminal prints it, below its heading.

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
MARK = "## The commands\n"


ROOT: click.Command = typer.main.get_command(typer_app)


def commands(
    path: tuple[str, ...] = (), command: click.Command = ROOT
) -> Iterator[tuple[str, ...]]:
    """Every command's path, groups before their members."""
    yield path
    for name, member in getattr(command, "commands", {}).items():
        yield from commands((*path, name), member)


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
    head = PAGE.read_text(encoding="utf-8").partition(MARK)[0]
    return head + MARK + "\n".join(sections)


def test_the_page_holds_every_commands_help() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m tests.cli.test_docs"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

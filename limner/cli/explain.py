"""``limner explain``: what Limner reads in a prompt."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from limner.domain.params import STEPS_MAX

if TYPE_CHECKING:
    from rich.text import Text


def explain(
    text: Annotated[str, typer.Argument(help="The prompt to read.")],
    steps: Annotated[
        int, typer.Option(min=1, max=STEPS_MAX, help="Steps of the picture. Default: 20.")
    ] = 20,
    negative: Annotated[bool, typer.Option(help="Read it as a negative prompt.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
) -> None:
    """Show tokens, chunks, weights and schedule of a prompt, and what was changed or dropped."""
    from limner.usecases.explain import explain as read

    explained = read(text, steps, negative=negative)
    if as_json:
        typer.echo(json.dumps(explained))
        return
    _show(explained)


def _show(explained: dict[str, Any]) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    console.print("[bold]Schedule[/bold]")
    since = 1
    for entry in explained["schedule"]:
        for branch in entry["branches"]:
            console.print(_heading(since, entry["until_step"], branch["weight"]), end="")
            console.print(_coloured(branch["spans"], ""))
        since = entry["until_step"] + 1
    for number, chunk in enumerate(explained["chunks"], 1):
        console.print(f"[bold]Chunk {number}[/bold]: {len(chunk)} of 75 tokens")
        console.print(_coloured(chunk, " "), style="default")
    if explained["adjustments"]:
        console.print("[bold]Adjustments[/bold]")
    for sentence in explained["adjustments"]:
        console.print(f"  {sentence}", markup=False)


def _heading(since: int, until: int, weight: float) -> str:
    steps = f"step {until}" if since == until else f"steps {since} to {until}"
    return f"  {steps}, weight {weight:g}: " if weight != 1.0 else f"  {steps}: "


def _coloured(pieces: list[list[Any]], between: str) -> Text:
    """Text with the weight behind each piece that has one: warm above 1, cool below."""
    from rich.text import Text

    shown = Text("  " if between else "")
    for piece, weight in pieces:
        if (piece, weight) == ("BREAK", -1.0):
            shown.append(" BREAK ", style="bold")
            continue
        colour = "red" if weight > 1 else "cyan" if weight < 1 else "default"
        shown.append(piece.removesuffix("</w>") if between else piece, style=colour)
        if weight != 1:
            shown.append(f"×{weight:.4g}", style="dim")
        shown.append(between)
    return shown

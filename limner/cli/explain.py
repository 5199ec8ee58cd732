"""``limner explain``: what Limner reads in a prompt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from limner.cli import options, terminal
from limner.cli.configured import configured
from limner.domain.params import PROMPT_LENGTH_MAX, STEPS_MAX, Generation
from limner.settings import Settings

if TYPE_CHECKING:
    from rich.text import Text


@configured("model", "models_dirs")
def explain(
    text: Annotated[str, typer.Argument(help="The prompt to read.")],
    steps: Annotated[
        int, typer.Option(min=1, max=STEPS_MAX, help="Steps of the picture. Default: 20.")
    ] = 20,
    negative: Annotated[bool, typer.Option(help="Read it as a negative prompt.")] = False,
    as_json: options.Json = False,
    *,
    settings: Settings,
) -> None:
    """Show tokens, chunks, weights and schedule of a prompt, and what was changed or dropped."""
    from limner.cli import listing
    from limner.engine.checkpoints.layouts import EMBEDDED
    from limner.usecases.drawing.embeddings import Words
    from limner.usecases.prompting.explain import explain as read
    from limner.usecases.prompting.vocabulary import of_model

    known = of_model(settings.model or EMBEDDED)
    asked = Generation(prompt=text[:PROMPT_LENGTH_MAX], steps=steps, seed=0, embeddings=None)
    words = Words(listing.opened(settings)).bind(asked).embeddings or ()
    explained = read(text, steps, negative=negative, known=known, embeddings=words)
    if as_json:
        terminal.data(explained)
        return
    _show(explained)


def _show(explained: dict[str, Any]) -> None:
    terminal.say("Schedule", style="bold")
    since = 1
    for entry in explained["schedule"]:
        for branch in entry["branches"]:
            terminal.say(_heading(since, entry["until_step"], branch["weight"]), end="")
            terminal.say(_coloured(branch["spans"], ""))
        since = entry["until_step"] + 1
    for number, chunk in enumerate(explained["chunks"], 1):
        terminal.say(f"Chunk {number}", style="bold", end="")
        terminal.say(f": {len(chunk)} of 75 tokens")
        terminal.say(_coloured(chunk, " "))
    if explained["unlearned"]:
        terminal.say("Never learned by this model", style="bold", end="")
        terminal.say(f": {', '.join(explained['unlearned'])}")
    if explained["adjustments"]:
        terminal.say("Adjustments", style="bold")
    for sentence in explained["adjustments"]:
        terminal.say(f"  {sentence}")


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
        word = piece.removesuffix("</w>") if between else piece
        shown.append(terminal.plain(word) or "·", style=colour)
        if weight != 1:
            shown.append(f"×{weight:.4g}", style="dim")
        shown.append(between)
    return shown

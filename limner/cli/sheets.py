"""``limner grid``, ``limner flow`` and ``limner styles``: pictures side by side on a sheet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from limner.cli import files, options, terminal
from limner.cli.configured import MODELS, configured
from limner.cli.options import (
    Guidance,
    Image,
    Negative,
    Preset,
    Sampler,
    Schedule,
    Scheduler,
    Seed,
    Side,
    Steps,
    Strength,
    Style,
)
from limner.errors import InvalidInput
from limner.settings import Settings

if TYPE_CHECKING:
    from limner.usecases.pictures.sheet import Sheet

styles_app = typer.Typer(help="The catalogue of styles: list it, see it.", no_args_is_help=True)
Output = Annotated[
    Path | None,
    typer.Option(
        "-o", "--output", help="File; .png and .html are both written. Default: a free name."
    ),
]


@configured(*MODELS, "data_dir")
def grid(
    prompt: Annotated[str | None, typer.Argument(help="What to draw.")] = None,
    x: Annotated[str, typer.Option("--x", help="Columns: FIELD=ONE,TWO,...")] = ...,  # type: ignore[assignment]
    y: Annotated[str | None, typer.Option("--y", help="Rows: FIELD=ONE,TWO,...")] = None,
    negative: Negative = None,
    scheduler: Scheduler = None,
    sampler: Sampler = None,
    schedule: Schedule = None,
    steps: Steps = None,
    guidance: Guidance = None,
    seed: Seed = None,
    width: Side = None,
    height: Side = None,
    image: Image = None,
    strength: Strength = None,
    style: Style = None,
    preset: Preset = None,
    output: Output = None,
    overwrite: files.Overwrite = False,
    *,
    settings: Settings,
) -> None:
    """Draw every value of one field with every value of another, from one seed.

    A field is any of a request (scheduler, guidance_scale, num_inference_steps, seed, strength,
    subseed, prompt ...) or a kind of style (mood, colors, artists ...): --x scheduler=Euler,DDIM
    --y mood=gloomy,candlelit. A value with a comma stands in double quotes.
    """
    from limner.cli import sheeting

    place = sheeting.place(output, "grid.png", overwrite=overwrite)
    columns, rows = sheeting.Axis.parse(x), sheeting.Axis.parse(y) if y else None
    body = options.body(
        prompt=prompt, negative=negative, scheduler=scheduler,
        sampler=sampler, schedule=schedule, steps=steps, guidance=guidance,
        seed=seed, width=width, height=height, image=image, strength=strength, style=style,
        preset=preset,
    )  # fmt: skip
    if columns.field == "prompt" or (rows and rows.field == "prompt"):
        body.setdefault("prompt", "a grid of prompts")
    _write(sheeting.grid(settings, body, columns, rows), place)


@configured(*MODELS, "data_dir")
def flow(
    prompt: Annotated[str, typer.Argument(help="What to draw.")],
    vary: Annotated[str, typer.Option(help="What changes on the seed: FIELD=ONE,TWO,...")] = (
        "mood=golden hour,moonlit,stormy,candlelit"
    ),
    polish: Annotated[float, typer.Option(help="Strength of the last move, 0 to 1.")] = 0.45,
    negative: Negative = None,
    scheduler: Scheduler = None,
    sampler: Sampler = None,
    schedule: Schedule = None,
    steps: Steps = None,
    guidance: Guidance = None,
    seed: Seed = None,
    width: Side = None,
    height: Side = None,
    style: Style = None,
    preset: Preset = None,
    output: Output = None,
    overwrite: files.Overwrite = False,
    *,
    settings: Settings,
) -> None:
    """The three moves of RPG V4's guide: draw, vary the style on the seed, polish by img2img."""
    from limner.cli import sheeting

    body = options.body(
        prompt=prompt, negative=negative, scheduler=scheduler,
        sampler=sampler, schedule=schedule, steps=steps, guidance=guidance,
        seed=seed, width=width, height=height, style=style, preset=preset,
    )  # fmt: skip
    place = sheeting.place(output, "flow.png", overwrite=overwrite)
    axis = sheeting.Axis.parse(vary)
    _write(sheeting.flow(settings, body, axis, polish), place)


@styles_app.command("list")
@configured("data_dir")
def list_styles(
    kind: Annotated[str | None, typer.Argument(help="One kind alone.")] = None,
    as_json: options.Json = False,
    *,
    settings: Settings,
) -> None:
    """List the catalogue: the built-in styles, and yours from the folder styles of the data."""
    from limner.usecases.prompting.catalogue import listed
    from limner.web.reading.mixing import catalogue

    entries: dict[str, Any] = listed(catalogue(settings))
    if kind is not None:
        entries = {kind: entries[_kind(kind)]}
    if as_json:
        terminal.data(entries)
        return
    for name, styles in entries.items():
        terminal.say(name)
        for style in styles:
            terminal.say(f"  {style['name']}: {style['text']}")


@styles_app.command("sheet")
@configured(*MODELS, "data_dir")
def styles_sheet(
    kind: Annotated[str, typer.Argument(help="Which styles: mood, colors, artists ...")],
    prompt: Annotated[str, typer.Argument(help="What to draw with each.")] = "a knight",
    negative: Negative = None,
    scheduler: Scheduler = None,
    sampler: Sampler = None,
    schedule: Schedule = None,
    steps: Steps = None,
    guidance: Guidance = None,
    seed: Seed = None,
    width: Side = None,
    height: Side = None,
    output: Output = None,
    overwrite: files.Overwrite = False,
    *,
    settings: Settings,
) -> None:
    """Draw one prompt in every style of a kind, from one seed."""
    from limner.cli import sheeting

    body = options.body(
        prompt=prompt, negative=negative, scheduler=scheduler,
        sampler=sampler, schedule=schedule, steps=steps, guidance=guidance,
        seed=seed, width=width, height=height,
    )  # fmt: skip
    place = sheeting.place(output, "styles.png", overwrite=overwrite)
    _write(sheeting.styles(settings, body, _kind(kind)), place)


def _kind(name: str) -> Any:
    from limner.domain.styles import KINDS

    if name not in KINDS:
        raise InvalidInput("kind", f"{name!r} is no kind of style; these are: {', '.join(KINDS)}")
    return name


def _write(made: Sheet, place: Path) -> None:
    from limner.cli import sheeting

    for path in sheeting.write(made, place):
        terminal.say(path)

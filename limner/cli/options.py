"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, get_args

import typer

from limner.domain.styles import Kind
from limner.errors import InvalidInput

Negative = Annotated[str | None, typer.Option(help="What to keep out.")]
Scheduler = Annotated[str | None, typer.Option(help="One of the twelve. Default: UniPC.")]
Sampler = Annotated[
    str | None,
    typer.Option(help="In place of --scheduler: AUTOMATIC1111's name, e.g. 'DPM++ 2M Karras'."),
]
Schedule = Annotated[str | None, typer.Option(help="Of --sampler. Default: the sampler's own.")]
Steps = Annotated[int | None, typer.Option(help="1 to 150. Default: 20.")]
Guidance = Annotated[float | None, typer.Option(help="0 to 100. Default: 7.5.")]
GuidanceStart = Annotated[
    float | None, typer.Option(help="Share of the steps before which guidance is 1. Default: 0.")
]
GuidanceEnd = Annotated[float | None, typer.Option(help="Share after which it is. Default: 1.")]
GuidanceRescale = Annotated[
    float | None, typer.Option(help="Of the spread that guidance adds, 0 to 1. Default: 0.")
]
Thresholding = Annotated[
    str | None,
    typer.Option(help="Dynamic thresholding: its mimic scale, or all of it as JSON."),
]
Seed = Annotated[int | None, typer.Option(help="Default: random.")]
Side = Annotated[int | None, typer.Option(help="A multiple of 8. Default: 512.")]
Image = Annotated[str | None, typer.Option(help="Picture to start from: a file or URL.")]
Strength = Annotated[
    float | None, typer.Option(help="How far to go from --image, 0 to 1. Default: 0.75.")
]
Style = Annotated[
    list[str] | None,
    typer.Option(help="KIND=NAME or KIND=NAME:WEIGHT of the style catalogue; several times."),
]
Preset = Annotated[str | None, typer.Option(help="easy, medium or hard.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]


def style_mix(picks: Sequence[str]) -> dict[str, Any] | None:
    """``mood=candlelit`` or ``artists=Rembrandt:1.1`` words as a style mix; None for none.

    Raises ``InvalidInput`` for a word without a kind.
    """
    mix: dict[str, Any] = {}
    for word in picks:
        kind, equals, named = word.partition("=")
        if not equals or kind not in get_args(Kind):
            raise InvalidInput(
                "style",
                f"--style is {word!r}; it must be KIND=NAME, KIND being one of "
                f"{', '.join(get_args(Kind))}",
            )
        name, colon, weight = named.rpartition(":")
        pick: Any = {"name": name, "weight": weight} if colon else named
        if kind in ("artists", "movements"):
            mix.setdefault(kind, []).append(pick)
        else:
            mix[kind] = pick
    return mix or None


# Options whose fields have other names on the wire.
_FIELDS = {
    "negative": "negative_prompt",
    "with_model": "model",
    "with_vae": "vae",
    "steps": "num_inference_steps",
    "guidance": "guidance_scale",
    "width": "img_width",
    "height": "img_height",
}


def body(*, style: Sequence[str] | None = None, **given: Any) -> dict[str, Any]:
    """The options that were given, under the wire's names."""
    fields = {**given, "style_mix": style_mix(style or ())}
    return {_FIELDS.get(name, name): value for name, value in fields.items() if value is not None}


@contextmanager
def in_flags(given: Collection[str]) -> Iterator[None]:
    """What is wrong with a field that an option gave is said in the option's name."""
    try:
        yield
    except InvalidInput as error:
        field, dot, part = error.field.partition(".")
        if field not in given or field == "prompt" or not str(error).startswith(error.field):
            raise
        named = f"{_flag(field)}{' ' if dot else ''}{part}"
        rest = str(error).removeprefix(error.field)
        raise InvalidInput(error.field, f"{named}{rest}") from error


def _flag(field: str) -> str:
    """The option that gives a field."""
    options = {field: option for option, field in _FIELDS.items()} | {"style_mix": "style"}
    return f"--{options.get(field, field).replace('_', '-')}"

"""Options that several commands share."""

from __future__ import annotations

import json
import re
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
Regions = Annotated[
    str | None,
    typer.Option(
        help='Prompts for parts of it, as JSON: \'[{"prompt": "a mage", "box": [0, 0, 0.5, 1]}]\'.'
    ),
]
Controls = Annotated[
    list[str] | None,
    typer.Option(
        help="NAME=IMAGE: a ControlNet or T2I-Adapter and the file or URL it follows, then "
        ",preprocessor=canny,weight=0.8 and the like; or JSON; several times."
    ),
]
Tiling = Annotated[
    str | None, typer.Option(help="Edges that meet: x (left and right), y, xy or none.")
]
TilingStart = Annotated[
    float | None, typer.Option(help="Share of the steps before which they do not. Default: 0.")
]
TilingEnd = Annotated[float | None, typer.Option(help="Share after which. Default: 1.")]
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


# What may stand behind a control's picture; the rest of its fields takes JSON.
CONTROL_WORDS = ("weight", "start", "end", "mode", "preprocessor", "resize_mode")
_CONTROL_WORD = re.compile(rf",({'|'.join(CONTROL_WORDS)})=([^,]*)$")
_CONTROL_FORM = f"NAME=IMAGE, then of {', '.join(CONTROL_WORDS)} as ,weight=0.8; or JSON"


def _control(text: str) -> dict[str, Any]:
    """``edges=map.png,weight=0.8`` or an object's JSON as an entry of ``controls``.

    Words are read from the end, so that commas in the picture's name or address stay. Without a
    picture the entry follows the request's own. Raises ``InvalidInput`` for another form.
    """
    if text.lstrip().startswith("{"):
        return _control_of_json(text)
    words: dict[str, Any] = {}
    rest = text
    while found := _CONTROL_WORD.search(rest):
        word, value = found.groups()
        if word in words:
            raise InvalidInput("controls", f"--control is {text!r}; it has {word} twice.")
        words[word] = value
        rest = rest[: found.start()]
    name, equals, image = rest.partition("=")
    if not name or "," in name or bool(equals) != bool(image):
        raise InvalidInput("controls", f"--control is {text!r}; it must be {_CONTROL_FORM}.")
    by = "sha256" if re.fullmatch("[0-9A-Fa-f]{64}", name) else "name"
    return {by: name, **({"image": image} if image else {}), **words}


def _control_of_json(text: str) -> dict[str, Any]:
    try:
        entry: dict[str, Any] = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(
            "controls", f"--control is {text!r}; it begins as JSON, but is none."
        ) from error
    return entry


# Options whose fields have other names on the wire.
_FIELDS = {
    "negative": "negative_prompt",
    "control": "controls",
    "with_model": "model",
    "with_vae": "vae",
    "steps": "num_inference_steps",
    "guidance": "guidance_scale",
    "width": "img_width",
    "height": "img_height",
}


def body(
    *, style: Sequence[str] | None = None, control: Sequence[str] | None = None, **given: Any
) -> dict[str, Any]:
    """The options that were given, under the wire's names."""
    controls = [_control(text) for text in control or ()] or None
    fields = {**given, "style_mix": style_mix(style or ()), "controls": controls}
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
        rest = str(error).removeprefix(error.field).replace("`vae`", _flag("vae"))
        raise InvalidInput(error.field, f"{named}{rest}") from error


def _flag(field: str) -> str:
    """The option that gives a field."""
    options = {field: option for option, field in _FIELDS.items()} | {"style_mix": "style"}
    return f"--{options.get(field, field).replace('_', '-')}"

"""What ``limner grid``, ``styles sheet`` and ``flow`` do: bodies -> works -> one sheet."""

from __future__ import annotations

import asyncio
import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from limner.cli import choosing, drawing, engines, files, options
from limner.domain.params import Generation, Source
from limner.domain.styles import Kind
from limner.errors import InvalidInput, SettingsError
from limner.settings import Settings
from limner.usecases.drawing.pictures import Picture
from limner.usecases.pictures import sheet
from limner.usecases.pictures.sheet import Cell, Sheet
from limner.usecases.prompting import catalogue
from limner.web.native import form as native_form
from limner.web.reading import form as wire
from limner.web.reading.inputs import WITH_IMAGE, check_strength, digest
from limner.web.reading.mixing import catalogue as read_catalogue

CELLS_MAX = 400
COLUMNS = 6
KINDS: tuple[Kind, ...] = get_args(Kind)
# They change the answer or the number of pictures, not a picture.
_NO_AXES = ("samples", "base64", "output", "output_format", "metadata", "style_mix", "loras")
FIELDS = tuple(name for name in native_form.FORM.readers if name not in _NO_AXES)


@dataclass(frozen=True)
class Axis:
    """A field of a request, or a kind of style, and the values it takes in turn."""

    field: str
    values: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Axis:
        """``scheduler=Euler,DDIM``; a value with a comma stands in double quotes."""
        field, equals, rest = text.partition("=")
        values = tuple(next(csv.reader([rest], skipinitialspace=True), ())) if equals else ()
        own = wire.ALIASES.get(field, field)
        if own not in FIELDS and own not in KINDS:
            known = ", ".join(dict.fromkeys([*FIELDS, *KINDS]))
            raise InvalidInput("axis", f"{field!r} is no axis; an axis is one of: {known}")
        if not values or not all(value.strip() for value in values):
            raise InvalidInput("axis", f"{text!r} has no values; write {field}=ONE,TWO")
        return cls(own, values)

    def apply(self, body: Mapping[str, Any], value: str) -> dict[str, Any]:
        """``body`` with this axis's field set.

        ``preset`` is both a request's and a style's: easy, medium and hard are the request's.
        """
        of_request = self.field == "preset" and value.strip().lower() in native_form.PRESETS
        if of_request or self.field not in KINDS:
            return {**body, self.field: value}
        mix = dict(body.get("style_mix") or {})
        mix[self.field] = [value] if self.field in ("artists", "movements") else value
        return {**body, "style_mix": mix}

    def label(self, value: str) -> str:
        """What stands over a column."""
        shown = value if len(value) <= 60 else value[:57] + "..."
        return shown if self.field in ("prompt", *KINDS) else f"{self.field} {shown}"


def grid(settings: Settings, body: Mapping[str, Any], x: Axis, y: Axis | None) -> Sheet:
    """Every value of ``x`` with every value of ``y``, all from one seed."""
    body = _one_seed(settings, body)
    rows = [body] if y is None else [y.apply(body, value) for value in y.values]
    bodies = [x.apply(row, value) for row in rows for value in x.values]
    _check(len(bodies))
    _check_acts(bodies, (x,) if y is None else (x, y))
    pictures = draw(settings, bodies)
    width = len(x.values)
    cells = [
        tuple(map(Cell.of, pictures[start : start + width]))
        for start in range(0, len(pictures), width)
    ]
    return Sheet(
        title=str(body.get("prompt", "Grid")),
        cells=tuple(cells),
        columns=tuple(x.label(value) for value in x.values),
        rows=() if y is None else tuple(y.label(value) for value in y.values),
        notes=_notes(pictures[0], hide=(x.field, "" if y is None else y.field)),
    )


def styles(settings: Settings, body: Mapping[str, Any], kind: Kind) -> Sheet:
    """Every entry of one kind of the catalogue, after the prompt alone."""
    body = _one_seed(settings, body)
    axis = Axis(kind, tuple(read_catalogue(settings)[kind]))
    bodies = [body, *(axis.apply(body, name) for name in axis.values)]
    _check(len(bodies))
    pictures = draw(settings, bodies)
    captions = ["without", *axis.values]
    cells = [Cell.of(picture, name) for picture, name in zip(pictures, captions, strict=True)]
    title = f"{body['prompt']}: {catalogue.FILES[kind].replace('_', ' ')}"
    return sheet.gallery(title, cells, COLUMNS, _notes(pictures[0]))


def flow(settings: Settings, body: Mapping[str, Any], vary: Axis, strength: float) -> Sheet:
    """Draw; vary on the same seed; polish each by img2img: a row for each move."""
    body = _one_seed(settings, body)
    bodies = [body, *(vary.apply(body, value) for value in vary.values)]
    _check(2 * len(bodies))
    _check_acts(bodies, (vary,))
    calls = asyncio.run(_calls(settings, bodies))
    check_strength(calls[0].generation.steps, strength)
    chosen = choosing.only(settings, [call.choice for call in calls])
    with engines.opened(chosen, len(bodies)) as engine:
        drawn = engines.draw_all(engine, [engines.Work(c.generation, c.pixels) for c in calls])
        works = [
            _polish(call.generation, picture, strength)
            for call, picture in zip(calls, drawn, strict=True)
        ]
        polished = engines.draw_all(engine, works)
    return Sheet(
        title=str(body["prompt"]),
        cells=(tuple(map(Cell.of, drawn)), tuple(map(Cell.of, polished))),
        columns=("drawn", *(vary.label(value) for value in vary.values)),
        rows=("1, 2: draw, then vary on the same seed", f"3: polish, strength {strength:g}"),
        notes=_notes(drawn[0], hide=(vary.field,)),
    )


def place(output: Path | None, default: str, *, overwrite: bool) -> Path:
    """Where a sheet goes, before it is drawn: ``output``, else a free name like ``default``.

    Raises ``SettingsError`` for a suffix that is not written and for a file that is there.
    """
    if output is None:
        names = files.free_names(Path(default))
        return next(name for name in names if not any(each.exists() for each in _pair(name)))
    if output.suffix.lower() not in (".png", ".html", ""):
        raise SettingsError(f"-o is {output}; a sheet is written as .png and .html.")
    files.refuse_taken(_pair(output), overwrite=overwrite)
    return output


def _pair(file: Path) -> tuple[Path, Path]:
    return file.with_suffix(".png"), file.with_suffix(".html")


def write(made: Sheet, file: Path) -> list[Path]:
    """The sheet as PNG and HTML beside each other, whichever of the two ``file`` names."""
    png, html = _pair(file)
    files.write(png, sheet.to_png(made))
    files.write(html, sheet.to_html(made).encode())
    return [png, html]


def _one_seed(settings: Settings, body: Mapping[str, Any]) -> dict[str, Any]:
    """``body`` with its seed chosen, so that every cell has the same, and one sample."""
    with options.in_flags(body):
        [call] = asyncio.run(_calls(settings, [body]))
    return {**body, "seed": call.generation.seed, "samples": 1}


def draw(settings: Settings, bodies: Sequence[Mapping[str, Any]]) -> list[Picture]:
    """One picture for each line of drawing bodies, all through one engine at once."""
    calls = asyncio.run(_calls(settings, bodies))
    works = [
        engines.Work(line, call.pixels, choice=call.choice) for call in calls for line in call.lines
    ]
    return engines.all_drawn(settings, works)


async def _calls(settings: Settings, bodies: Sequence[Mapping[str, Any]]) -> list[wire.Call]:
    choose = choosing.chooser(settings)
    return [await drawing.to_call(body, settings, choose) for body in bodies]


def _polish(generation: Generation, picture: Picture, strength: float) -> engines.Work:
    source = Source(sha256=digest(picture.pixels), strength=strength)
    again = generation.model_copy(update={"source": source})
    return engines.Work(again, {source.sha256: picture.pixels})


def _notes(picture: Picture, hide: Sequence[str] = ()) -> tuple[str, ...]:
    """What all cells share, but for the fields that change between them."""
    parameters = picture.receipt["parameters"]
    shared = {
        "seed": parameters["seed"],
        **_method(parameters),
        "num_inference_steps": parameters["steps"],
        "guidance_scale": f"{parameters['guidance']:g}",
        "size": f"{parameters['width']}x{parameters['height']}",
    }
    told = [f"{name} {value}" for name, value in shared.items() if name not in hide]
    lines = [f"{picture.receipt['model']['name']}: " + ", ".join(told)]
    if parameters["negative_prompt"] and "negative_prompt" not in hide:
        lines.append(f"without: {parameters['negative_prompt']}")
    return tuple(lines)


def _method(parameters: Mapping[str, Any]) -> dict[str, Any]:
    names = ("sampler", "schedule") if "sampler" in parameters else ("scheduler",)
    return {name: parameters[name] for name in names}


def _check(pictures: int) -> None:
    if pictures > CELLS_MAX:
        raise InvalidInput("axis", f"This sheet has {pictures} pictures; at most {CELLS_MAX}")


def _check_acts(bodies: Sequence[Mapping[str, Any]], axes: Sequence[Axis]) -> None:
    """An axis that acts only together with another field needs that, or its cells are equal."""
    for axis in axes:
        if axis.field in WITH_IMAGE and not all("image" in body for body in bodies):
            raise InvalidInput(axis.field, f"{axis.field} acts only on a picture to start from")
        if axis.field == "subseed" and not any(body.get("subseed_strength") for body in bodies):
            raise InvalidInput(
                "subseed",
                "subseed acts only with a subseed_strength above 0: give it the other axis",
            )

"""The vendor's fields: names, aliases, ranges and defaults, and the way to a ``Generation``."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, get_args

from limner import imaging, pools
from limner.domain import params
from limner.domain.params import PROMPT_LENGTH_MAX, Generation, NoiseSource, ResizeMode
from limner.domain.tags import with_tags
from limner.engine.batching.ticket import Pixels
from limner.errors import InvalidInput
from limner.settings import Settings
from limner.usecases.drawing.choosing import Chosen
from limner.web.reading import (
    adjusting,
    controls,
    fitting,
    guidance,
    hires,
    inputs,
    mixing,
    naming,
    parts,
    pictures,
    ranges,
    sampling,
    tiling,
)
from limner.web.reading.fields import Blob, Choice, Flag, Number, Reader, Text, Whole, read
from limner.web.reading.generating import SEED_MAX, generation_of
from limner.web.reading.intake import Intake
from limner.web.reading.loras import LORAS, acting
from limner.web.reading.mixing import Mix
from limner.web.reading.regions import REGIONS

STEPS_MAX = 100
SAMPLES_MAX = 4
SIDE_MIN, SIDE_MAX, SIDE_STEP = 512, 1024, 64

_SIDE = Whole(SIDE_MIN, SIDE_MAX, SIDE_STEP)
MODEL_LENGTH_MAX = 500

READERS: Mapping[str, Reader] = {
    "prompt": Text(1, PROMPT_LENGTH_MAX),
    "negative_prompt": Text(0, PROMPT_LENGTH_MAX),
    **sampling.READERS,
    "num_inference_steps": Whole(1, STEPS_MAX),
    "guidance_scale": Number(0.1, 25),
    "samples": Whole(1, SAMPLES_MAX),
    "seed": Whole(-1, SEED_MAX),
    "img_width": _SIDE,
    "img_height": _SIDE,
    "base64": Flag(),
    # Ours, beyond the vendor's page:
    "image": Blob(),
    "mask": Blob(),
    "strength": Number(0, 1),
    "resize_mode": Choice(get_args(ResizeMode)),
    **inputs.MASK_READERS,
    "output": Choice(("single", "grid", "sprite")),
    "output_format": Choice(("jpeg", "png", "webp")),
    "metadata": Flag(),
    "exact": Flag(),
    "noise_source": Choice(get_args(NoiseSource)),
    "clip_skip": Whole(1, 12),
    "subseed": Whole(-1, params.SEED_MAX),
    "subseed_strength": Number(0, 1),
    "eta_noise_seed_delta": ranges.SEED_DELTA,
    "style_mix": Mix(),
    "template": Flag(),
    "loras": LORAS,
    "controls": controls.CONTROLS,
    "return_control": Flag(),
    "hires": hires.HIRES,
    "sd_upscale": parts.SD_UPSCALE,
    "details": parts.DETAILS,
    "regions": REGIONS,
    **tiling.READERS,
    **guidance.READERS,
    "model": Text(0, MODEL_LENGTH_MAX),
    "vae": Text(0, MODEL_LENGTH_MAX),
}
ALIASES: Mapping[str, str] = {
    "negativePrompt": "negative_prompt",
    "width": "img_width",
    "height": "img_height",
    "steps": "num_inference_steps",
    "imageUrl": "image",
    "maskUrl": "mask",
}
# What an absent field means; ``base64`` and ``metadata`` are the operator's to choose.
DEFAULTS: Mapping[str, Any] = {
    "negative_prompt": "",
    "scheduler": sampling.DEFAULT_SCHEDULER,
    "num_inference_steps": 20,
    "guidance_scale": 7.5,
    "samples": 1,
    "seed": -1,
    "img_width": 512,
    "img_height": 512,
    "strength": 0.75,
    "resize_mode": "crop",
    **inputs.MASK_DEFAULTS,
    "output": "single",
    "output_format": "jpeg",
    "exact": False,
    "noise_source": "philox",
    "clip_skip": 1,
    "subseed": 0,
    "subseed_strength": 0.0,
    "eta_noise_seed_delta": 0,
    "template": False,
    "loras": (),
    "controls": (),
    "details": (),
    "regions": (),
    "return_control": False,
}


@dataclass(frozen=True, eq=False)
class Form:
    """What a route takes: how each field is read, what an absent one means, which are needed.

    ``presets``: what absent fields mean where ``preset`` names one. ``tags``: name LoRAs.
    ``vendors_steps``: at least the operator's ``min_steps`` where no ``sampler`` is named.
    ``control``: of which kind of control ``image`` is what is followed.
    """

    readers: Mapping[str, Reader] = field(default_factory=lambda: READERS)
    defaults: Mapping[str, Any] = field(default_factory=lambda: DEFAULTS)
    required: tuple[str, ...] = ("prompt",)
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    tags: bool = True
    vendors_steps: bool = True
    control: str | None = None

    def reading(self, body: Mapping[str, Any], settings: Settings) -> Mapping[str, Reader]:
        """How each field of this body is read."""
        if not self.vendors_steps or body.get("sampler") not in (None, ""):
            return self.readers
        return {**self.readers, "num_inference_steps": Whole(settings.min_steps, STEPS_MAX)}


FORM = Form()
_WANTED = {
    "prompt": f"it must be text of 1 to {PROMPT_LENGTH_MAX:,} characters",
    "image": "send a picture as base64, a data URI or a URL",
    "mask": "send a picture as base64, a data URI or a URL; white is repainted",
}


@dataclass(frozen=True)
class Asked:
    """A body that was read, and how it wants to be answered; nothing was drawn by chance for it.

    ``values`` are its fields after defaults; the pictures among them are taken out once they are
    read. ``mixed``: several pictures are parts of one answer. ``names``: see ``naming.written``.
    ``given``: the fields of the body.
    """

    form: Form
    values: dict[str, Any]
    notes: tuple[str, ...]
    base64: bool = False
    grid: bool = False
    sprite: bool = False
    mixed: bool = False
    metadata: bool = True
    format: imaging.Format = "jpeg"
    all_fit: bool = False
    names: Mapping[str, str] = field(default_factory=dict)
    given: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Call:
    """What a body asks to have drawn, with every choice made.

    ``choice``: what draws it, None for the server's own model. ``lines`` are several where a style
    mix has a sequence, or a template reads differently for each picture.
    """

    notes: tuple[str, ...]
    lines: tuple[Generation, ...]
    pixels: Mapping[str, Pixels] = field(default_factory=dict)
    choice: Chosen | None = None

    @property
    def generation(self) -> Generation:
        """The first line."""
        return self.lines[0]


def ask(
    body: Mapping[str, Any], settings: Settings, *, mixed: bool = False, form: Form = FORM
) -> Asked:
    """Read a body. ``mixed``: the client takes several pictures in one answer.

    Raises ``InvalidInput`` for a field the caller can correct.
    """
    given, notes = read(form.reading(body, settings), ALIASES, body)
    for name in form.required:
        if name not in given:
            raise InvalidInput(name, f"{name} is missing; {_WANTED[name]}")
    notes += inputs.drop_without_image(given)
    values = {**form.defaults, **form.presets.get(given.get("preset", ""), {}), **given}
    values["controls"] = controls.with_images(values["controls"], values.get("image"))
    sampling.settle(given, values, settings, notes, default=form.defaults["scheduler"])
    names = naming.written(body, ALIASES)
    for name in ("img_width", "img_height"):
        values[name] = adjusting.side(names.get(name, name), values[name], notes)
    encoded = values.get("base64", settings.base64_default)
    grid, sprite = values["output"] == "grid", values["output"] == "sprite"
    all_fit = encoded or grid or mixed
    values["samples"] = adjusting.samples(values["samples"], notes, all_fit=all_fit)
    if values["return_control"] and not encoded:
        notes.append("return_control was ignored: it acts only where base64 is true")
        values["return_control"] = False
    format = adjusting.format(values["output_format"], given, notes, sprite=sprite)
    return Asked(
        form=form,
        values=values,
        notes=tuple(notes),
        base64=encoded,
        grid=grid,
        sprite=sprite,
        mixed=mixed and not encoded and not grid,
        metadata=values.get("metadata", settings.embed_metadata),
        format=format,
        all_fit=all_fit,
        names=names,
        given=frozenset(given),
    )


def fitted(asked: Asked, choice: Chosen | None, settings: Settings) -> Asked:
    """With the defaults that fit the model which draws; what they change is noted.

    Its values are changed in place, since pictures among them are to be let go once they are read.
    """
    least = settings.min_steps if asked.form.vendors_steps else 1
    notes = fitting.fit(asked.values, asked.given, choice, least)
    return replace(asked, notes=(*asked.notes, *notes))


async def plan(
    asked: Asked, settings: Settings, *, draw_seed: Callable[[int], int] = secrets.randbelow
) -> Call:
    """Draw its seeds and fill in its styles and templates; its pictures stay unread.

    ``draw_seed(n)`` gives a number below n where the seed is left to chance. Raises
    ``InvalidInput`` for a field the caller can correct.
    """
    wanted = inputs.wanted(asked.values)
    source = None if wanted is None else wanted.source
    with naming.named(asked.names):
        generation = generation_of({**asked.values, "source": source}, draw_seed)
    notes = list(asked.notes)
    lines, more = await pools.WORDS.run(
        _lines, generation, asked.values, settings, all_fit=asked.all_fit
    )
    notes += more
    return Call(tuple(notes), tuple(map(with_tags, lines)) if asked.form.tags else lines)


async def to_call(asked: Asked, intake: Intake) -> Call:
    """The same with its model and its pictures, which are fetched and read once it can be
    afforded."""
    choice = await intake.choose(*named(asked.values))
    asked = fitted(asked, choice, intake.settings)
    call = replace(await plan(asked, intake.settings), choice=choice)
    wanted = inputs.wanted(asked.values)
    beside = (asked.values[name] for name in pictures.BESIDE)
    found = await pictures.read(intake, call.lines, wanted, *beside)
    for name in (*inputs.PICTURES, *pictures.BESIDE):
        asked.values.pop(name, None)
    return Call((*call.notes, *found.notes), found.lines, found.pixels, choice)


def named(values: Mapping[str, Any]) -> tuple[str, str, tuple[str, ...]]:
    """Model, VAE and LoRAs as a body names them; empty where it does not."""
    return values.get("model", "").strip(), values.get("vae", "").strip(), acting(values)


def _lines(
    asked: Generation, values: Mapping[str, Any], settings: Settings, *, all_fit: bool
) -> tuple[tuple[Generation, ...], list[str]]:
    if all_fit:
        return tuple(v.generation for v in mixing.variants(asked, values, settings)), []
    line, notes = mixing.first(asked, values, settings)
    return (line,), notes

"""The way from the fields of AUTOMATIC1111's ``txt2img`` and ``img2img`` to a ``Generation``."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from limner import pools
from limner.domain import automatic1111
from limner.domain.guidance_names import SKIP_EARLY
from limner.domain.params import (
    PROMPT_LENGTH_MAX,
    SAMPLES_MAX,
    Generation,
    NoiseSource,
)
from limner.domain.samplers import OPTIONS, RULED_NAMES
from limner.domain.styles import Catalogue
from limner.domain.tags import with_tags
from limner.engine.batching.ticket import Pixels
from limner.errors import InvalidInput
from limner.usecases.drawing.choosing import Chosen
from limner.web.automatic1111 import fitting, guidance, hires, library, lists, sd_upscale, sources
from limner.web.automatic1111.comments import without_comments
from limner.web.automatic1111.fields import IMG2IMG
from limner.web.automatic1111.scripts import ALWAYS_ON
from limner.web.automatic1111.sides import floored
from limner.web.reading import controls, mixing, naming, pictures, ranges, regions, tiling
from limner.web.reading.fields import Choice, Reader, Whole, cut, read
from limner.web.reading.intake import Choose, Intake
from limner.web.reading.loras import acting

CLIP_SKIP = "CLIP_stop_at_last_layers"
SEED_DELTA, NOISE = "eta_noise_seed_delta", "randn_source"
_NOISES: Mapping[str, NoiseSource] = {"gpu": "philox", "nv": "philox", "cpu": "torch-cpu"}
MODELS = (library.CHECKPOINT, library.VAE)
RANDOM_SEEDS = 2**32
PICTURES = ("init_images", "mask")
# Those of its own API, where a field is absent.
DEFAULTS: Mapping[str, Any] = {
    "prompt": "",
    "negative_prompt": "",
    "styles": [],
    "seed": -1,
    "subseed": -1,
    "subseed_strength": 0.0,
    "steps": 50,
    "cfg_scale": 7.0,
    "width": 512,
    "height": 512,
    "batch_size": 1,
    "n_iter": 1,
    "sampler_index": "Euler",
    "scheduler": "Automatic",
    "override_settings": {},
    "send_images": True,
    **hires.DEFAULTS,
    **sources.DEFAULTS,
}
# Fields that change nothing here whatever they say, and values that ask for nothing.
_QUIET = frozenset(
    {"save_images", "do_not_save_samples", "do_not_save_grid", "session_hash", "force_task_id",
     "override_settings_restore_afterwards", "disable_extra_networks"}
)  # fmt: skip
_NOTHING: Mapping[str, tuple[Any, ...]] = {
    "image_cfg_scale": (1.5,),
    "seed_resize_from_h": (-1,),
    "seed_resize_from_w": (-1,),
}


@dataclass(frozen=True)
class Asked:
    """A body that was read, before anything is left to chance; ``values`` are after defaults.

    Pictures among them are None once they are read, unless the answer is to repeat them. ``given``:
    the fields of the body.
    """

    values: dict[str, Any]
    notes: tuple[str, ...]
    samples: int
    starts_from_picture: bool
    given: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Drawing:
    """What a body asks to have drawn, with every choice made."""

    lines: tuple[Generation, ...]
    adjustments: tuple[str, ...]
    pixels: Mapping[str, Pixels] = field(default_factory=dict)
    choice: Chosen | None = None


def ask(body: Mapping[str, Any], readers: Mapping[str, Reader]) -> Asked:
    """Read ``body``. Raises ``InvalidInput``."""
    given, notes = read(readers, {}, _asking(body, readers))
    values = {**{name: value for name, value in DEFAULTS.items() if name in readers}, **given}
    for kind in ("prompt", "negative_prompt"):
        values[kind], left_out = without_comments(kind, values[kind])
        notes += left_out
    return Asked(values, tuple(notes), _samples(values), readers is IMG2IMG, frozenset(given))


async def to_drawing(
    asked: Asked, intake: Intake, catalogue: Catalogue, options: Mapping[str, Any]
) -> Drawing:
    """What is asked for under a key's ``options``. Raises ``InvalidInput``."""
    values, notes = asked.values, [*asked.notes, *sd_upscale.told(asked.values)]
    choose = partial(intake.choose, loras=acting(values))
    choice = await _choice(values["override_settings"], options, choose, notes)
    notes += fitting.fit(values, asked.given, choice)
    upscale = None
    if sd_upscale.wanted(values):
        upscale, values = await sd_upscale.settle(values, intake, notes)
    method = automatic1111.find(
        values.get("sampler_name") or values["sampler_index"],
        values["scheduler"],
        {name: values[name] for name in OPTIONS if name in values},
    )
    notes += method.notes
    ruled = method.fields.get("sampler") in RULED_NAMES
    wanted = sources.wanted(values, notes, ruled=ruled) if asked.starts_from_picture else None
    prompts = _styled(values, catalogue, notes)
    networks = await intake.preprocessing.names() if values.get(ALWAYS_ON) else {}
    guided = guidance.fields_of(values, notes, networks)
    own = None if wanted is None else wanted.image
    parts = values.get("regions", ())
    followed = controls.with_images(guided.pop("controls", ()), own)
    width, height = (floored(name, values[name], notes) for name in ("width", "height"))
    with naming.named(naming.AUTOMATIC1111):
        generation = Generation(
            prompt=prompts[0],
            negative_prompt=prompts[1],
            **method.fields,
            steps=values["steps"],
            **guided,
            **tiling.chosen(values),
            samples=asked.samples,
            seed=_seed(values["seed"]),
            width=width,
            height=height,
            hires=hires.read(values, width, height, notes),
            sd_upscale=upscale,
            **_overridden(values["override_settings"], options, notes),
            subseed=_seed(values["subseed"]),
            subseed_strength=values["subseed_strength"],
            source=None if wanted is None else wanted.source,
            controls=controls.unread(followed),
            embeddings=None,
            regions=regions.unread(parts),
        )
    made = await pools.WORDS.run(mixing.variants, generation, values, intake.settings)
    with naming.named(naming.AUTOMATIC1111):
        lines = tuple(with_tags(variant.generation) for variant in made)
        found = await pictures.read(intake, lines, wanted, followed, parts)
    if not values.get("include_init_images"):
        asked.values.update({name: None for name in PICTURES if name in values})
    return Drawing(found.lines, (*notes, *found.notes), found.pixels, choice)


async def _choice(
    override: Mapping[str, Any], options: Mapping[str, Any], choose: Choose, notes: list[str]
) -> Chosen | None:
    """The model: that of ``override_settings``, else that of the key's options."""
    given = {name: override[name] for name in MODELS if override.get(name)}
    within = "override_settings." if given else ""
    return await library.choose(choose, {**options, **given}, notes, within)


def _asking(body: Mapping[str, Any], readers: Mapping[str, Reader]) -> dict[str, Any]:
    """``body`` without the fields that ask for nothing we would have to say we ignore."""
    return {
        name: value
        for name, value in body.items()
        if not (hires.idle(name, body) if name in readers else _idle(name, value, body))
    }


def _idle(name: str, value: Any, body: Mapping[str, Any]) -> bool:
    if not value or name in _QUIET or value in _NOTHING.get(name, ()):
        return True
    return hires.idle(name, body)


def _samples(values: Mapping[str, Any]) -> int:
    """Pictures; ``batch_size`` is of the tiles, where they are drawn in tiles."""
    count: int = values["n_iter"]
    count *= 1 if sd_upscale.wanted(values) else values["batch_size"]
    if count > SAMPLES_MAX:
        raise InvalidInput(
            "n_iter",
            f"batch_size {values['batch_size']} times n_iter {values['n_iter']} makes {count} "
            f"pictures; at most {SAMPLES_MAX} are drawn at once",
        )
    return count


def _seed(seed: int) -> int:
    return secrets.randbelow(RANDOM_SEEDS) if seed == -1 else seed


def _styled(values: Mapping[str, Any], catalogue: Catalogue, notes: list[str]) -> tuple[str, str]:
    """Prompt and negative prompt with the named styles at their ends."""
    known = {style["name"].casefold(): style for style in lists.styles(catalogue)}
    parts = {"prompt": values["prompt"], "negative_prompt": values["negative_prompt"]}
    for name in values["styles"]:
        style = known.get(name.casefold())
        if style is None:
            notes.append(f"style {cut(name)} is unknown and was ignored")
            continue
        parts = {kind: ", ".join(filter(None, (text, style[kind]))) for kind, text in parts.items()}
    for kind, text in parts.items():
        if len(text) > PROMPT_LENGTH_MAX:
            raise InvalidInput(
                kind,
                f"{kind} has {len(text):,} characters with its styles; at most "
                f"{PROMPT_LENGTH_MAX:,} are read",
            )
    return parts["prompt"], parts["negative_prompt"]


def _overridden(
    override: Mapping[str, Any], options: Mapping[str, Any], notes: list[str]
) -> dict[str, Any]:
    """What a key's options and ``override_settings`` say of a ``Generation``."""
    given = {name: value for name, value in override.items() if value is not None}
    known = (CLIP_SKIP, SKIP_EARLY, SEED_DELTA, NOISE, *MODELS)
    notes += [f"override_settings.{cut(name)} was ignored" for name in given if name not in known]
    source = Choice(tuple(_NOISES)).read(NOISE, given.get(NOISE, "GPU"))
    return {
        "clip_skip": read_clip_skip({**options, **given}.get(CLIP_SKIP, 1)),
        "eta_noise_seed_delta": ranges.SEED_DELTA.read(SEED_DELTA, given.get(SEED_DELTA, 0)),
        "noise_source": _NOISES[source],
    }


def read_clip_skip(value: Any) -> int:
    """1 to 12; 0 leaves no layer out either. Raises ``InvalidInput``."""
    return int(Whole(1, 12).read(CLIP_SKIP, value or 1))

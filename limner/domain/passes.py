"""What is drawn one after the other to make a picture: each pass a ``Generation`` of its own.

A pass that starts from what the pass before drew names no picture: ``UNNAMED``, and
``UNNAMED_MASK`` of a box of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from limner.domain import samplers
from limner.domain.hires import Hires
from limner.domain.params import SEED_MAX, UNNAMED, Generation, Source
from limner.domain.parts import Detail
from limner.domain.tiling import DEFAULTS as EDGES_APART

PLAIN_PIXELS = 1 << 20
UNNAMED_MASK = "1" * 64
_PARTS: dict[str, Any] = {"hires": None, "sd_upscale": None, "details": ()}
_OWN = {"prompt", "negative_prompt", "steps", "guidance", "width", "height"}
_PART = {**_PARTS, **EDGES_APART, "regions": ()}  # whose edges are none of the picture's


def passes_of(generation: Generation) -> tuple[Generation, ...]:
    """Its passes in their order: one, or the first and what is made of that.

    Of boxes that are yet to be found, as many as there may be.
    """
    details = (_detail(generation, each) for each in generation.details for _ in range(each.boxes))
    return (*_whole(generation), *details)


def strengths_of(generation: Generation) -> tuple[str, ...]:
    """By which field of the request each of its passes is told its strength."""
    upscale, details = generation.sd_upscale, enumerate(generation.details)
    whole = ["strength"] * (1 if upscale is None else len(upscale.tiles))
    second = [] if generation.hires is None else ["hires.strength"]
    parts = (f"details.{n}.strength" for n, each in details for _ in range(each.boxes))
    return (*whole, *second, *parts)


def steps_of(generation: Generation) -> int:
    """The user's steps that run in all of its passes together."""
    passes = ((each, each.source) for each in passes_of(generation))
    return sum(
        each.method.steps_run(each.steps, None if source is None else source.strength)
        for each, source in passes
    )


def is_plain(generation: Generation) -> bool:
    """Whether any model can draw it: in one pass, not large, with edges that do not meet."""
    g = generation
    one = g.hires is None and g.sd_upscale is None and not g.details
    return one and not any(g.axes) and g.width * g.height <= PLAIN_PIXELS


def first_of(generation: Generation) -> Generation:
    """The first of them alone, as a request of its own."""
    return passes_of(generation)[0]


def size_of(generation: Generation) -> tuple[int, int]:
    """Width and height of the picture before its details; where only the masked part of a picture
    is drawn, of that."""
    larger = generation.hires or generation.sd_upscale or generation
    return larger.width, larger.height


def _whole(g: Generation) -> Iterator[Generation]:
    if g.sd_upscale is not None:
        yield from (tile_of(g, n) for n in range(len(g.sd_upscale.tiles)))
        return
    yield g.model_copy(update=_PARTS)
    if g.hires is not None:
        yield _second(g, g.hires)


def _second(g: Generation, hires: Hires) -> Generation:
    """img2img from the first pass."""
    said = hires.model_dump(exclude={"upscaler", "upscaler_sha256", "strength", "first_pass"})
    if hires.sampler is not None:
        said |= dict.fromkeys(samplers.FIELDS) | {
            "sampler": hires.sampler,
            "schedule": hires.schedule,
        }
    source = Source(sha256=UNNAMED, strength=hires.strength)
    return g.model_copy(update={**_PARTS, **said, "source": source})


def tile_of(g: Generation, number: int) -> Generation:
    """img2img of a tile, with a seed of its own, as AUTOMATIC1111's script takes it."""
    assert g.source is not None, "what is made larger is a picture"
    assert g.sd_upscale is not None, "only what is made larger has tiles"
    own = {
        "width": g.sd_upscale.tile_width,
        "height": g.sd_upscale.tile_height,
        "source": Source(sha256=UNNAMED, strength=g.source.strength),
        "seed": (g.seed + number) % (SEED_MAX + 1),
    }
    return g.model_copy(update={**_PART, **own})


def _detail(g: Generation, detail: Detail) -> Generation:
    """Inpainting of a box alone, in the picture that is there by then."""
    said = {"width": g.width, "height": g.height}
    said |= detail.model_dump(include=_OWN)
    source = Source(
        sha256=UNNAMED,
        strength=detail.strength,
        mask_sha256=UNNAMED_MASK,
        mask_blur=detail.blur,
        only_masked=True,
        mask_padding=detail.padding,
    )
    return g.model_copy(update={**_PART, **said, "source": source})

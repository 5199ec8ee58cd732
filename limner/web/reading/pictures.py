"""All pictures that a request is drawn from, read once it can be afforded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from limner.domain.params import Generation
from limner.engine.batching.ticket import Pixels
from limner.web.reading import controls, inputs, regions
from limner.web.reading.intake import Intake

BESIDE = ("controls", "regions")
"""Fields whose objects may bring pictures."""


@dataclass(frozen=True)
class Read:
    """Lines that name the pixels they are drawn from, these by their SHA-256, and notes."""

    lines: tuple[Generation, ...]
    pixels: Mapping[str, Pixels]
    notes: tuple[str, ...] = ()


async def read(
    intake: Intake,
    lines: Sequence[Generation],
    source: inputs.Wanted | None,
    followed: Sequence[controls.Wanted],
    parts: Sequence[regions.Wanted] = (),
) -> Read:
    """Fetch and read what ``lines`` start from and follow, and the masks of their ``parts``; the
    same for all of them.

    Raises ``InvalidInput`` for pictures that cannot be had or read, and what ``intake.afford``
    raises before.
    """
    masked = any(part.mask is not None for part in parts)
    if source is None and not followed and not masked:
        return Read(tuple(lines), {})
    await intake.afford(lines)
    named: dict[str, Any] = {}
    pixels, notes = dict[str, Pixels](), list[str]()
    if source is not None:
        found, named["source"], told = await inputs.read_source(intake, source)
        pixels, notes = pixels | found, notes + told
    size = lines[0].width, lines[0].height
    if followed:
        found, named["controls"], told = await controls.read_maps(intake, followed, *size)
        pixels, notes = pixels | found, notes + told
    if masked:
        found, named["regions"], told = await regions.read_masks(intake, parts, *size)
        pixels, notes = pixels | found, notes + told
    return Read(tuple(line.model_copy(update=named) for line in lines), pixels, tuple(notes))

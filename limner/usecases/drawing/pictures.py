"""From an engine's pixels to a picture with its receipt, its file, and a row to be inserted."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from importlib import metadata
from typing import Any, TypeVar

from limner import imaging
from limner.domain.infotext.writing import parameters_text
from limner.domain.params import Generation
from limner.domain.passes import first_of
from limner.domain.receipt import from_receipt, receipt
from limner.engine.batching.ticket import Drawn, Pixels
from limner.errors import Damaged, InvalidInput, NotFound
from limner.imaging import seams
from limner.store import ids, images
from limner.store.db import Database
from limner.store.files import Files, key_of
from limner.store.jobs import Job
from limner.usecases.drawing.orders import Outcome, StoredPicture
from limner.usecases.drawing.prices import price

log = logging.getLogger(__name__)

_NAMED = ("limner", "torch", "diffusers", "transformers")


@dataclass(frozen=True)
class Picture:
    """A finished picture: RGB uint8 (height, width, 3) and its receipt.

    ``sprite_pixels`` as in ``ModelInfo``. ``first_pass``: it is that of picture ``index``.
    """

    index: int
    pixels: Pixels
    receipt: dict[str, Any]
    sprite_pixels: int | None = None
    first_pass: bool = False

    @property
    def metadata(self) -> imaging.Metadata:
        """What the picture's file carries."""
        return imaging.Metadata(parameters_text(self.receipt), self.receipt)

    def encode(self, format: imaging.Format, *, embed: bool = True) -> bytes:
        """The file's bytes; ``embed`` False leaves the metadata out."""
        return imaging.encode(self.pixels, format, self.metadata if embed else None)

    def sprite(self) -> bytes:
        """The true small pixels as PNG. Raises ``InvalidInput`` for a model without sprites."""
        return imaging.to_png(imaging.sprite(self.pixels, self.sprite_pixels), self.metadata)


def picture_of(generation: Generation, drawn: Drawn) -> Picture:
    """The ``Picture`` of one ``Drawn`` event of ``generation``."""
    model = drawn.facts.model
    record = receipt(
        generation.alone(drawn.index),
        drawn.facts,
        model,
        versions(),
        (generation.prompt, generation.negative_prompt),
        hashlib.sha256(drawn.pixels.tobytes()).hexdigest(),
        seams.scores(drawn.pixels, generation.axes, model.sprite_pixels or 1),
    )
    return Picture(drawn.index, drawn.pixels, record, model.sprite_pixels)


Drawing = tuple[Generation, int, Drawn]
"""A picture with what draws it alone, and its price in micro-credits."""


def with_first_pass(alone: Generation, price: int, drawn: Drawn, samples: int) -> list[Drawing]:
    """A picture, and its first pass where that was asked for.

    That is drawn anyway, and costs nothing. First passes are numbered on from the ``samples`` of
    their request.
    """
    facts, first = drawn.facts, drawn.facts.first_pass
    whole = (alone, price, drawn)
    if first is None:
        return [whole]
    own = replace(facts, evaluations=first.evaluations, rows=first.rows)
    own = replace(own, first_pass=None, details=None)
    return [whole, (first_of(alone), 0, Drawn(samples + drawn.index, first.pixels, own))]


def first_pass_of(generation: Generation, drawn: Drawn) -> Picture | None:
    """The ``Picture`` of the first pass, where ``generation`` asks for it."""
    _, *firsts = with_first_pass(generation.alone(drawn.index), 0, replace(drawn, index=0), 1)
    for alone, _, first in firsts:
        return replace(
            picture_of(alone, replace(first, index=0)), index=drawn.index, first_pass=True
        )
    return None


Numbered = TypeVar("Numbered", StoredPicture, images.Picture)


def apart(
    pictures: Iterable[Numbered], samples: int
) -> tuple[tuple[Numbered, ...], tuple[Numbered, ...]]:
    """The finished pictures of a request of so many ``samples``, and the first passes."""
    ordered = sorted(pictures, key=lambda picture: picture.index)
    finished = tuple(picture for picture in ordered if picture.index < samples)
    return finished, tuple(picture for picture in ordered if picture.index >= samples)


@cache
def versions() -> dict[str, str]:
    """Versions of the software that draws, without importing it."""
    return {name: metadata.version(name) for name in _NAMED}


@dataclass(frozen=True)
class Written:
    """A picture whose file is written, and its row, which is not."""

    picture: StoredPicture
    row: dict[str, Any]


def write_picture(
    files: Files,
    alone: Generation,
    price_micro: int,
    drawn: Drawn,
    *,
    embed: bool,
) -> Written:
    """Write the PNG of the picture that ``alone`` draws; ``embed`` puts its receipt inside.

    Blocks: encoder threads.
    """
    picture = picture_of(alone, replace(drawn, index=0))
    if drawn.facts.details is not None:  # fewer boxes may have been found than were held for
        price_micro = price(from_receipt(picture.receipt))[0].each_micro
    png = picture.encode("png", embed=embed)
    picture_id = ids.new("pic")
    file = key_of(f"{picture_id}.png")
    files.write(file, png)
    height, width, _ = drawn.pixels.shape
    common = {
        "id": picture_id,
        "index": drawn.index,
        "seed": drawn.facts.seed,
        "width": width,
        "height": height,
        "receipt": picture.receipt,
    }
    rgb_sha256 = picture.receipt["rgb_sha256"]
    row = {**common, "rgb_sha256": rgb_sha256, "file": file, "bytes": len(png)}
    row["price_micro"] = price_micro
    return Written(StoredPicture(**common, png=png), row)


async def taken(
    job: Job,
    lines: tuple[Generation, ...],
    written: Iterable[Awaitable[Written]],
    balance_micro: int,
) -> Outcome:
    """The outcome of a ``job`` that was billed for ``written``: no file is read that could fail."""
    made, firsts = apart((one.picture for one in await asyncio.gather(*written)), job.samples)
    told = (job.cost_micro, balance_micro, job.infer_seconds or 0.0, job.adjustments)
    return Outcome(job.id, made, *told, False, lines, firsts)


def write_missing(files: Files, made: Iterable[Written]) -> None:
    """Write again what has gone missing before its row came. Blocks."""
    for one in made:
        if not files.exists(one.row["file"]):
            files.write(one.row["file"], one.picture.png)


def undamaged(files: Files, row: images.Picture) -> bytes:
    """The file of a stored picture, whose pixels are still what was drawn. Blocks.

    Raises ``NotFound`` where it is missing, and ``Damaged``.
    """
    png = files.read(row.file)
    try:
        pixels = imaging.read_image(png)
    except InvalidInput:
        pixels = None
    if pixels is None or hashlib.sha256(pixels.tobytes()).hexdigest() != row.rgb_sha256:
        log.error("the file %s of picture %s is damaged", row.file, row.id)
        raise Damaged(
            f"The file of picture {row.id} is damaged on the server's disk; its receipt is whole, "
            "and it can be drawn again from that"
        )
    return png


def damaged(database: Database, files: Files) -> Iterator[tuple[str, str]]:
    """Ids of the stored pictures whose file is missing or damaged, each with the reason. Blocks."""
    with database.read() as conn:
        rows = list(images.all_pictures(conn))
    for row in rows:
        try:
            undamaged(files, row)
        except (NotFound, Damaged) as error:
            with database.read() as conn:
                kept = images.find(conn, row.id) is not None  # or it was deleted meanwhile
            if kept:
                yield row.id, str(error)

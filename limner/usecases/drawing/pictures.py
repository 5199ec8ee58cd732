"""From an engine's pixels to a picture with its receipt, its file, and a row to be inserted."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from importlib import metadata
from typing import Any

from limner import imaging
from limner.domain.infotext.writing import parameters_text
from limner.domain.params import Generation
from limner.domain.receipt import receipt
from limner.engine.batching.ticket import Drawn, Pixels
from limner.errors import Damaged, InvalidInput, NotFound
from limner.store import ids, images
from limner.store.db import Database
from limner.store.files import Files, key_of
from limner.store.jobs import Job
from limner.usecases.drawing.orders import Outcome, StoredPicture

log = logging.getLogger(__name__)

_NAMED = ("limner", "torch", "diffusers", "transformers")


@dataclass(frozen=True)
class Picture:
    """A finished picture: RGB uint8 (height, width, 3) and its receipt.

    ``sprite_pixels`` as in ``ModelInfo``.
    """

    index: int
    pixels: Pixels
    receipt: dict[str, Any]
    sprite_pixels: int | None = None

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
    )
    return Picture(drawn.index, drawn.pixels, record, model.sprite_pixels)


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
    made = sorted((one.picture for one in await asyncio.gather(*written)), key=lambda p: p.index)
    seconds = job.infer_seconds or 0.0
    told = job.adjustments
    return Outcome(job.id, tuple(made), job.cost_micro, balance_micro, seconds, told, False, lines)


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
            yield row.id, str(error)

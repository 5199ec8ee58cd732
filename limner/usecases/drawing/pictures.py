"""From an engine's picture to a stored file, and the row that is still to be inserted."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from limner import imaging
from limner.domain.model import ModelInfo
from limner.domain.params import Generation
from limner.engine.batching.request import Drawn
from limner.errors import Damaged, InvalidInput, NotFound
from limner.store import ids, images
from limner.store.db import Database
from limner.store.files import Files, key_of
from limner.store.jobs import Job
from limner.usecases.develop import develop
from limner.usecases.drawing.orders import Outcome, StoredPicture

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Print:
    """A picture whose file is written, and its row, which is not."""

    picture: StoredPicture
    row: dict[str, Any]


def make_print(
    files: Files,
    alone: Generation,
    price_micro: int,
    drawn: Drawn,
    model: ModelInfo,
    *,
    embed: bool,
) -> Print:
    """Write the PNG of the picture that ``alone`` draws; ``embed`` puts its receipt inside.

    Blocks: encoder threads.
    """
    picture = develop(alone, replace(drawn, index=0), model)
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
    return Print(StoredPicture(**common, png=png), row)


async def taken(job: Job, prints: Iterable[Awaitable[Print]], balance_micro: int) -> Outcome:
    """The outcome of a ``job`` that was billed for ``prints``: no file is read that could fail."""
    made = sorted((one.picture for one in await asyncio.gather(*prints)), key=lambda p: p.index)
    lines = tuple(Generation.model_validate(line.generation) for line in job.lines)
    seconds = job.infer_seconds or 0.0
    told = job.adjustments
    return Outcome(job.id, tuple(made), job.cost_micro, balance_micro, seconds, told, False, lines)


def write_missing(files: Files, made: Iterable[Print]) -> None:
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

"""From an engine's picture to a stored file, and the row that is still to be inserted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from limner.domain.model import ModelInfo
from limner.domain.params import Generation
from limner.engine.request import Drawn
from limner.store import ids
from limner.store.images import PictureFiles
from limner.usecases.develop import develop
from limner.usecases.orders import StoredPicture


@dataclass(frozen=True)
class Print:
    """A picture whose file is written, and its row, which is not."""

    picture: StoredPicture
    row: dict[str, Any]


def make_print(
    files: PictureFiles,
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
    file = files.write(f"{picture_id}.png", png)
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

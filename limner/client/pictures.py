"""A drawn picture: shows itself in a notebook, saves itself with its receipt."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass, field
from decimal import Decimal
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL import Image

_FORMATS = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp"}


@dataclass(frozen=True)
class Picture:
    """One picture; ``png`` is the server's lossless file.

    ``receipt`` is the record from which it can be drawn again. ``cost`` (credits) and
    ``adjustments``, what the server did differently from the letter of the request, are those
    of its whole request; ``cost`` is None where it is not known, of a picture fetched by its id.
    """

    id: str
    request_id: str
    index: int
    seed: int
    width: int
    height: int
    cost: Decimal | None
    adjustments: tuple[str, ...]
    png: bytes = field(repr=False)
    receipt: dict[str, Any] = field(repr=False)

    @property
    def image(self) -> Image.Image:
        """The picture in Pillow, opened anew each time."""
        from PIL import Image

        opened = Image.open(io.BytesIO(self.png))
        opened.load()
        return opened

    def save(self, path: str | PathLike[str]) -> Path:
        """Write a file: PNG, JPEG or WebP by its suffix, with parameters and receipt inside.

        Raises ``ValueError`` for another suffix.
        """
        path = Path(path)
        format = _FORMATS.get(path.suffix.lower())
        if format is None:
            raise ValueError(f"{path.name}: the suffix must be one of {', '.join(_FORMATS)}")
        path.write_bytes(self.png if format == "png" else self._encoded(format))
        return path

    def _encoded(self, format: Any) -> bytes:
        from limner import imaging
        from limner.domain.infotext.writing import parameters_text

        metadata = imaging.Metadata(parameters_text(self.receipt), self.receipt)
        return imaging.encode(imaging.read_image(self.png), format, metadata)

    def _repr_png_(self) -> bytes:
        return self.png


class Pictures(list[Picture]):
    """Pictures that show themselves where they stand last in a notebook's cell."""

    def _repr_html_(self) -> str:
        return "".join(
            f'<img src="data:image/png;base64,{base64.b64encode(each.png).decode()}" '
            f'title="seed {each.seed}" style="margin: 2px">'
            for each in self
        )


@dataclass(frozen=True)
class Replayed:
    """A receipt drawn again: ``different_pixels`` of ``of`` differ, by at most
    ``largest_difference`` of 255; ``text`` says it in words. None where sizes differ."""

    identical: bool
    different_pixels: int | None
    of: int
    largest_difference: int | None
    text: str
    picture: Picture

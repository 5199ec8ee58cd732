"""A drawn picture: shows itself in a notebook, saves itself with its receipt."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL import Image

_FORMATS = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp"}


class File:
    """A PNG that shows itself in a notebook and saves itself with what it says of itself."""

    png: bytes

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

        return imaging.encode(imaging.read_image(self.png), format, self._metadata())

    def _metadata(self) -> Any:
        from limner import imaging

        return imaging.read_metadata(self.png)

    def _repr_png_(self) -> bytes:
        return self.png


@dataclass(frozen=True)
class Picture(File):
    """One picture; ``png`` is the server's lossless file.

    ``receipt`` is the record from which it can be drawn again. ``cost`` (credits) and
    ``adjustments``, what the server did differently from the letter of the request, are those
    of its whole request; ``cost`` is None where it is not known, of a picture fetched by its id.
    ``first_pass_of``: of a first pass (``hires``), the ``index`` of what became of it.
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
    first_pass_of: int | None = None

    def _metadata(self) -> Any:
        from limner import imaging
        from limner.domain.infotext.writing import parameters_text

        return imaging.Metadata(parameters_text(self.receipt), self.receipt)


@dataclass(frozen=True)
class Larger(File):
    """A picture that was made larger; ``record`` says with what, and of which.

    ``adjustments``: what the server did differently from the letter of the call.
    """

    width: int
    height: int
    adjustments: tuple[str, ...]
    png: bytes = field(repr=False)
    record: dict[str, Any] = field(repr=False)


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


@dataclass(frozen=True)
class Redrawn:
    """Another program's settings as the server reads them, and what was drawn from them.

    ``settings`` in the names of ``POST /api/draw``; ``missing`` are files that the server has not,
    ``differs`` what cannot be the same, both in sentences. ``picture`` is None where nothing was
    drawn, and ``credits`` what drawing would cost then, None otherwise.
    """

    settings: dict[str, Any]
    missing: tuple[str, ...]
    differs: tuple[str, ...]
    adjustments: tuple[str, ...]
    picture: Picture | None
    credits: Decimal | None

    @classmethod
    def of(cls, told: Mapping[str, Any], picture: Picture | None) -> Redrawn:
        """Of the answer; one of Limner's own is drawn from its receipt, which has settings."""
        own = {} if picture is None else picture.receipt["parameters"]
        said = picture.adjustments if picture else tuple(told["adjustments"])
        missing, differs = (tuple(told.get(name, ())) for name in ("missing", "differs"))
        price = None if picture else Decimal(told["credits"])
        return cls(told.get("settings", own), missing, differs, said, picture, price)

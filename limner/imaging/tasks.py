"""What a decoding process is asked to do: each task takes one file, its field, and plain options.

Options, and what is told beside the arrays, are plain JSON; ``notes`` are sentences about what was
left aside. Every task raises ``InvalidInput`` naming the field.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from limner.domain.masking import PIXELS_MAX, Masking
from limner.domain.params import SIDE_MAX, ResizeMode
from limner.errors import InvalidInput
from limner.imaging import preprocessing
from limner.imaging.canvas import place
from limner.imaging.files import Metadata, Pixels
from limner.imaging.fitting import fit, fit_mask
from limner.imaging.masking import Region
from limner.imaging.metadata import read_metadata
from limner.imaging.reading import (
    MaskBy,
    load_image,
    load_layers,
    load_mask,
    marks,
    open_header,
)

LAYERS_MAX = 16_777_216


@dataclass(frozen=True)
class Result:
    """What a task found: uint8 ``arrays``, and what is ``told`` of them in plain JSON."""

    arrays: tuple[Pixels, ...] = ()
    told: dict[str, Any] = field(default_factory=dict)

    @property
    def notes(self) -> list[str]:
        """Sentences about what was left aside."""
        return list(self.told.get("notes", ()))

    @property
    def digests(self) -> list[str]:
        """The SHA-256 of each array's bytes."""
        return list(self.told["digests"])

    @property
    def metadata(self) -> Metadata:
        """What ``metadata`` found."""
        return Metadata(self.told["parameters"], self.told["receipt"], tuple(self.notes))


def picture(data: bytes, name: str, *, width: int, height: int, resize_mode: ResizeMode) -> Result:
    """RGB at the size to draw."""
    notes: list[str] = []
    image = load_image(data, name, notes)
    return _named(notes, fit(image, width, height, resize_mode, field=name))


def control(
    data: bytes,
    name: str,
    *,
    preprocessor: str | None,
    options: Mapping[str, float],
    width: int | None = None,
    height: int | None = None,
    resize_mode: ResizeMode = "crop",
    resolution: int | None = None,
) -> Result:
    """The map that a control follows, RGB: the picture, or what a preprocessor makes of it.

    At the size to draw, or with a shorter side of ``resolution``, or of the picture's own size.
    """
    notes: list[str] = []
    image = load_image(data, name, notes)
    if width is None or height is None:
        width, height = _size(image, resolution)
    fitted = fit(image, width, height, resize_mode, field=name)
    if preprocessor is None:
        return _named(notes, fitted)
    return _named(notes, preprocessing.apply(preprocessor, np.asarray(fitted), options))


def _size(image: Image.Image, resolution: int | None) -> tuple[int, int]:
    """That of a map whose size nobody names; the longer side is at most ``SIDE_MAX``."""
    scale = resolution / min(image.size) if resolution else 1.0
    scale = min(scale, SIDE_MAX / max(image.size))
    width, height = (max(1, round(side * scale)) for side in image.size)
    return width, height


def mask(
    data: bytes,
    name: str,
    *,
    width: int,
    height: int,
    resize_mode: ResizeMode,
    by: MaskBy,
    invert: bool,
) -> Result:
    """A binary mask at the size to draw, 255 where to repaint; ``invert`` turns it round.

    One that repaints nothing is refused, before anybody pays for it.
    """
    notes: list[str] = []
    grey = load_mask(data, name, notes, by)
    grey = ImageOps.invert(grey) if invert else grey
    fitted = fit_mask(grey, width, height, resize_mode)
    if not (marks(grey) and fitted.getbbox()):
        raise InvalidInput(
            name,
            f"{name} repaints nothing: at {width}x{height} no pixel of it is marked for repainting",
        )
    found = _named(notes, fitted)
    found.told["size"] = list(grey.size)
    return found


def whole(data: bytes, name: str) -> Result:
    """RGB of the picture's own size, of which a part is repainted."""
    notes: list[str] = []
    image = load_image(data, name, notes)
    if image.width * image.height > PIXELS_MAX:
        raise InvalidInput(
            name,
            f"{name} is {image.width}x{image.height}; with only_masked it keeps its size, and may "
            f"have {PIXELS_MAX:,} pixels",
        )
    return _named(notes, image)


def layers(data: bytes, name: str) -> Result:
    """RGB of the picture's own size, and its alpha where any of it is transparent.

    ``LAYERS_MAX`` pixels at most, looked at before one is decoded: both layers, at full size and
    several times, have to fit into what a decoding process may hold.
    """
    width, height = open_header(data, name).size
    if width * height > LAYERS_MAX:
        raise InvalidInput(
            name,
            f"{name} is {width}x{height}; a picture that is made larger may have "
            f"{LAYERS_MAX:,} pixels",
        )
    notes: list[str] = []
    image = load_layers(data, name, notes)
    colours = np.asarray(image.convert("RGB"))
    alpha = np.asarray(image.getchannel("A"))
    seen = () if alpha.min() == 255 else (alpha,)
    return _named(notes, colours, *seen)


def part(
    data: bytes,
    name: str,
    *,
    width: int,
    height: int,
    by: MaskBy,
    invert: bool,
    masking: Mapping[str, Any],
    drawn: tuple[int, int],
) -> Result:
    """A binary mask of the picture's size; what is drawn of it has the size ``drawn``.

    One that repaints nothing there is refused; one of another size is stretched, and told.
    """
    found = mask(
        data, name, width=width, height=height, resize_mode="stretch", by=by, invert=invert
    )
    [whole] = found.arrays
    region = Region(whole, whole, Masking(**masking), (drawn[0], drawn[1]))
    if not region.changes:
        raise InvalidInput(
            name,
            f"{name} repaints nothing: with mask_padding {masking['mask_padding']} and mask_blur "
            f"{masking['mask_blur']} no pixel of it is left at {drawn[0]}x{drawn[1]}",
        )
    own = found.told["size"]
    if own != [width, height]:
        note = f"{name} of {own[0]}x{own[1]} was stretched to the picture's {width}x{height}"
        found.told["notes"].append(note)
    return found


def canvas(data: bytes, name: str, **options: Any) -> Result:
    """RGB on a canvas, and its mask; the options are those of ``canvas.place``."""
    notes: list[str] = []
    placed, area = place(np.asarray(load_image(data, name, notes)), **options)
    if not area.any():
        raise InvalidInput("scale", "scale: the picture fills the canvas; nothing is left to paint")
    return _named(notes, placed, area)


def size(data: bytes, name: str) -> Result:
    """The ``size`` of a picture."""
    return Result((), {"size": list(load_image(data, name, []).size)})


def transparency(data: bytes, name: str) -> Result:
    """The ``size`` of a picture, and as PNG where it is transparent, if it is anywhere."""
    clear = load_mask(data, name, [], "alpha")
    return Result((_png(clear),) if marks(clear) else (), {"size": list(clear.size)})


def area(data: bytes, name: str) -> Result:
    """A mask as PNG: what is transparent is repainted, or, with ``opaque`` told, what is white."""
    clear = load_mask(data, name, [], "alpha")
    if marks(clear):
        return Result((_png(clear),), {"opaque": False})
    del clear
    return Result((_png(load_mask(data, name, [], "white")),), {"opaque": True})


def metadata(data: bytes, name: str) -> Result:
    """``parameters`` and ``receipt`` of a picture."""
    found = read_metadata(data, name)
    told = {"parameters": found.parameters, "receipt": found.receipt, "notes": list(found.notes)}
    return Result((), told)


TASKS: Mapping[str, Callable[..., Result]] = {
    "picture": picture,
    "control": control,
    "mask": mask,
    "whole": whole,
    "layers": layers,
    "part": part,
    "canvas": canvas,
    "size": size,
    "transparency": transparency,
    "area": area,
    "metadata": metadata,
}


def _named(notes: list[str], *pictures: Image.Image | Pixels) -> Result:
    arrays = tuple(np.ascontiguousarray(each) for each in pictures)
    digests = [hashlib.sha256(array.tobytes()).hexdigest() for array in arrays]
    return Result(arrays, {"notes": notes, "digests": digests})


def _png(grey: Image.Image) -> Pixels:
    buffer = io.BytesIO()
    grey.save(buffer, "PNG", compress_level=1)
    return np.frombuffer(buffer.getvalue(), np.uint8)

"""Pictures and masks brought to the size that is drawn, as diffusers' image processor does it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from PIL import Image

from limner.domain.params import Generation, ResizeMode
from limner.domain.tiling import APART, Axes
from limner.errors import InvalidInput
from limner.imaging.files import Pixels
from limner.imaging.seams import Ring

_LANCZOS = Image.Resampling.LANCZOS
ENLARGING = {"Lanczos": _LANCZOS, "Nearest": Image.Resampling.NEAREST}
_RESIZED_PIXELS_MAX = 64 * 2**20  # of the whole picture before "crop" cuts it
_MASK_EDGE = 128  # 0.5 of 255: masks are repainted from here up, as diffusers binarizes


def fit(
    image: Image.Image, width: int, height: int, mode: ResizeMode, field: str = "image"
) -> Image.Image:
    """``image`` at ``width`` x ``height`` with Lanczos resampling.

    ``crop`` covers the size and cuts what is over; ``fill`` fits inside and repeats the edges;
    ``stretch`` changes the proportions. What has the size already is left as it is. Raises
    ``InvalidInput`` naming ``field`` when the sides differ so much that nothing of the picture,
    or far too much, would be left.
    """
    if image.size == (width, height):
        return image
    if mode == "stretch":
        return image.resize((width, height), _LANCZOS)
    _check_proportions(image, width, height, mode, field)
    return (_cover if mode == "crop" else _inside)(image, width, height)


def enlarge(
    pixels: Pixels, width: int, height: int, name: str = "Lanczos", axes: Axes = APART
) -> Pixels:
    """A picture (h, w, 3) that covers the size, by a way of ``ENLARGING``; what is over is cut.

    Where edges meet nothing may be cut: it is stretched to the size, round the edges.
    """
    if any(axes):
        # The nearest pixel lies never beyond an edge.
        ring = Ring.of(pixels.shape[:2], (height, width), APART if name == "Nearest" else axes)
        wide = Image.fromarray(pixels[np.ix_(*ring.reads)])
        large = wide.resize(ring.large[::-1], ENLARGING[name])
        return np.ascontiguousarray(np.asarray(large)[ring.inside])
    return np.asarray(_cover(Image.fromarray(pixels), width, height, ENLARGING[name]))


def fit_mask(image: Image.Image, width: int, height: int, mode: ResizeMode) -> Image.Image:
    """A mask at its size and binary: 0 keeps, 255 repaints."""
    grey = fit(image.convert("L"), width, height, mode, field="mask")
    return grey.point([255 if level >= _MASK_EDGE else 0 for level in range(256)])


def fit_pixels(generation: Generation, pixels: Mapping[str, Pixels]) -> dict[str, Pixels]:
    """Source and mask of ``generation``, by SHA-256, at its size; what has it is not copied."""
    source, fitted = generation.source, dict(pixels)
    if source is None or source.only_masked:
        return fitted
    size = (generation.width, generation.height, source.resize_mode)
    for sha256, fitting in ((source.sha256, fit), (source.mask_sha256, fit_mask)):
        if sha256 in fitted and fitted[sha256].shape[1::-1] != size[:2]:
            fitted[sha256] = np.asarray(fitting(Image.fromarray(fitted[sha256]), *size))
    return fitted


def _check_proportions(
    image: Image.Image, width: int, height: int, mode: ResizeMode, field: str
) -> None:
    ratios = (width / image.width, height / image.height)
    ratio = max(ratios) if mode == "crop" else min(ratios)
    new_width, new_height = image.width * ratio, image.height * ratio
    if min(new_width, new_height) < 1 or new_width * new_height > _RESIZED_PIXELS_MAX:
        raise InvalidInput(
            field,
            f"{field} is {image.width}x{image.height}: too narrow to be brought to "
            f"{width}x{height} by resize_mode {mode!r}; use 'stretch' or cut it first.",
        )


def _scaled(
    image: Image.Image, width: int, height: int, how: Image.Resampling = _LANCZOS, *, cover: bool
) -> Image.Image:
    """``image`` with its proportions kept: over the size, or within it."""
    wider = width / height < image.width / image.height
    if wider == cover:
        return image.resize((image.width * height // image.height, height), how)
    return image.resize((width, image.height * width // image.width), how)


def _cover(
    image: Image.Image, width: int, height: int, how: Image.Resampling = _LANCZOS
) -> Image.Image:
    scaled = _scaled(image, width, height, how, cover=True)
    left, top = width // 2 - scaled.width // 2, height // 2 - scaled.height // 2
    return scaled.crop((-left, -top, width - left, height - top))


def _inside(image: Image.Image, width: int, height: int) -> Image.Image:
    """What stays empty beside the middle is spread from the edge there, sharpened as it is done
    by Pillow's bicubic resampling of a box without width."""
    scaled = _scaled(image, width, height, cover=False)
    w, h = scaled.size
    left, top = width // 2 - w // 2, height // 2 - h // 2
    canvas = Image.new(image.mode, (width, height))
    canvas.paste(scaled, (left, top))
    edges = {
        (0, 0, left, height): (0, 0, 0, h),
        (left + w, 0, width, height): (w, 0, w, h),
        (0, 0, width, top): (0, 0, w, 0),
        (0, top + h, width, height): (0, h, w, h),
    }
    for place, edge in edges.items():
        size = place[2] - place[0], place[3] - place[1]
        if min(size) > 0 and size != (width, height):
            canvas.paste(scaled.resize(size, box=edge), place[:2])
    return canvas

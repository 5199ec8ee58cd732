"""What goes into the client's calls and comes out of them, pictures aside."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Union

from limner.client.pictures import Picture

if TYPE_CHECKING:
    from PIL import Image

# A file's path, a file's bytes, an http(s) URL, or a picture.
ImageLike = Union[str, "PathLike[str]", bytes, "Image.Image", Picture]


class Options(TypedDict, total=False):
    """How to draw, beside the prompt; what is absent is the server's to choose.

    ``steps`` 1 to 150; ``samples`` 1 to 16; ``width`` and ``height`` 64 to 2048 pixels; ``seed``
    -1 for a random one; ``strength`` 0 to 1. Everything is described in the server's ``/docs``.
    """

    negative_prompt: str
    scheduler: str
    sampler: str
    schedule: str
    eta: float
    s_churn: float
    s_noise: float
    s_tmin: float
    s_tmax: float
    steps: int
    guidance: float
    guidance_start: float
    guidance_end: float
    guidance_rescale: float
    thresholding: Mapping[str, Any] | float
    samples: int
    seed: int
    width: int
    height: int
    clip_skip: int
    subseed: int
    subseed_strength: float
    eta_noise_seed_delta: int
    exact: bool
    noise_source: str
    preset: str
    style_mix: Mapping[str, Any]
    template: bool
    loras: Sequence[Mapping[str, Any]]
    controls: Sequence[Mapping[str, Any]]
    hires: Mapping[str, Any]
    sd_upscale: Mapping[str, Any]
    details: Sequence[Mapping[str, Any]]
    regions: Sequence[Mapping[str, Any]]
    tiling: str
    tiling_start: float
    tiling_end: float
    image: ImageLike
    mask: ImageLike
    strength: float
    resize_mode: str
    mask_blur: int
    mask_fill: str
    only_masked: bool
    mask_padding: int
    model: str
    vae: str


_WIRE = {
    "steps": "num_inference_steps",
    "guidance": "guidance_scale",
    "width": "img_width",
    "height": "img_height",
}


@dataclass(frozen=True)
class Progress:
    """How far a request is. ``position`` counts from 1 while it waits in the queue.

    ``index`` is the picture's; ``step`` of ``steps`` and ``fraction`` (0 to 1) are its own.
    ``preview`` is a small PNG of what it will be, or None.
    """

    request_id: str
    index: int = 0
    step: int = 0
    steps: int = 0
    fraction: float = 0.0
    preview: bytes | None = field(default=None, repr=False)
    position: int | None = None
    estimate_s: float | None = None


class Upscale(TypedDict, total=False):
    """How a picture is made larger.

    ``upscaler``: ``"Lanczos"`` (where it is left out), ``"Nearest"``, ``"Scale2x"``, or a file of
    the server's library. ``scale``: the factor, 1 to 16 (2); or ``width`` and ``height`` in pixels,
    of which one alone keeps the proportions.
    """

    upscaler: str
    scale: float
    width: int
    height: int


OnProgress = Callable[[Progress], None]


@dataclass(frozen=True)
class Quote:
    """A price before it is charged, in credits; ``adjustments`` says what would be changed."""

    credits: Decimal
    micro_credits: int
    samples: int
    adjustments: tuple[str, ...]


@dataclass(frozen=True)
class Credits:
    """A balance, in credits."""

    available: Decimal


def to_body(prompt: str, options: Options) -> dict[str, Any]:
    """The JSON of a drawing request. Raises ``TypeError`` for an option nobody knows."""
    unknown = set(options) - Options.__annotations__.keys()
    if unknown:
        known = ", ".join(Options.__annotations__)
        raise TypeError(f"{', '.join(sorted(unknown))}: no such option; there are {known}")
    body: dict[str, Any] = {"prompt": prompt}
    for name, value in options.items():
        if value is not None:
            body[_WIRE.get(name, name)] = _sent(name, value)
    return body


def _sent(name: str, value: Any) -> Any:
    """An option as the wire takes it, pictures as text; those of its objects as well."""
    if name in ("image", "mask"):
        return to_text(value)
    if name in ("controls", "regions"):
        return [{n: _sent(n, each) for n, each in one.items()} for one in value]
    return value


def to_text(image: Any) -> str:
    """A picture as the wire takes it: base64, or a URL as it is."""
    if isinstance(image, str) and image.startswith(("http://", "https://", "data:")):
        return image
    return base64.b64encode(_to_bytes(image)).decode()


def _to_bytes(image: Any) -> bytes:
    if isinstance(image, bytes):
        return image
    if isinstance(image, str | PathLike):
        return Path(image).read_bytes()
    if isinstance(image, Picture):
        return image.png
    if hasattr(image, "save"):
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        return buffer.getvalue()
    raise TypeError(
        f"{type(image).__name__} is no picture; give a path, bytes, a URL, or a Pillow image"
    )

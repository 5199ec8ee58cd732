"""Making a caller's picture larger, the same on every surface, and what the result says of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from starlette.requests import Request

from limner import imaging, pools
from limner.domain.upscalers import Upscaler
from limner.engine.batching.ticket import Pixels
from limner.usecases.upscaling import Wish, size_of
from limner.web.drawing import Api, unless_gone


@dataclass(frozen=True)
class Larger:
    """A picture that was made larger: as PNG, with what it was made of, and notes."""

    pixels: Pixels
    png: bytes
    record: Mapping[str, Any]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Layers:
    """A caller's picture as it came: RGB (h, w, 3), alpha (h, w) or None, and what it says."""

    pixels: Pixels
    alpha: Pixels | None
    sha256: str
    metadata: imaging.Metadata
    notes: tuple[str, ...]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.pixels.shape[1], self.pixels.shape[0]

    @property
    def whole(self) -> Pixels:
        """With its transparency: (h, w, 3), or 4 channels."""
        return self.pixels if self.alpha is None else np.dstack([self.pixels, self.alpha])


async def read(request: Request, api: Api, field: str, value: str | bytes) -> Layers:
    """The picture of a field. Raises ``InvalidInput`` for what is none."""
    intake = api.intake(request)
    data = await intake.fetch(field, value)
    found = await intake.run("layers", field, data)
    told = await intake.run("metadata", field, data)
    pixels, *alpha = found.arrays
    notes = tuple(dict.fromkeys((*found.notes, *told.notes)))
    own = alpha[0] if alpha else None
    return Layers(pixels, own, found.digests[0], told.metadata, notes)


async def make(
    request: Request, api: Api, layers: Layers, upscaler: Upscaler, values: dict[str, Any]
) -> Larger:
    """The picture at the size that ``values`` ask for, as ``upscaling.size_of`` reads them."""
    field = next((name for name in ("width", "height") if name in values), "scale")
    size = size_of(values, layers.size)
    made = await grown(request, api, layers, upscaler, size, field)
    return await written(layers, made, upscaler)


async def grown(
    request: Request,
    api: Api,
    layers: Layers,
    upscaler: Upscaler,
    size: tuple[int, int],
    field: str,
) -> Pixels:
    """The picture at ``size`` (width, height), for which ``field`` asked."""
    wish = Wish(layers.pixels, layers.alpha, upscaler, *size, field)
    running = api.services.upscaling.run(request.state.caller.id, wish)
    return await unless_gone(request, running)


async def written(layers: Layers, made: Pixels, upscaler: Upscaler, **more: Any) -> Larger:
    """The finished picture with its record, as PNG."""
    was = layers.metadata
    record = {
        "upscale": 1,
        "upscaler": upscaler.model_dump(exclude_defaults=True),
        "from": {"sha256": layers.sha256, "width": layers.size[0], "height": layers.size[1]},
        "width": made.shape[1],
        "height": made.shape[0],
        **more,
    }
    kept = {**record, "receipt": was.receipt} if was.receipt else record
    own = imaging.Metadata(was.parameters, kept)
    png = await pools.FILES.run(imaging.to_png, made, own)
    return Larger(made, png, record, layers.notes)

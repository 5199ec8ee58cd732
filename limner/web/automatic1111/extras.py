"""AUTOMATIC1111's "extras": pictures made larger by themselves, free of charge, one or several."""

from __future__ import annotations

import base64
import html
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from limner import imaging, pools
from limner.domain.upscalers import FACTOR_MAX, PICTURE_BYTES_MAX, Upscaler
from limner.errors import InvalidInput
from limner.imaging.enlarging import blended
from limner.usecases.upscaling import SIDE_MAX
from limner.web import enlarging
from limner.web.answers import Json, adjustments
from limner.web.application import Application
from limner.web.automatic1111 import docs, options
from limner.web.automatic1111.options import ROOT
from limner.web.drawing import Api, unless_gone
from limner.web.reading.fields import Blob, Flag, Number, Reader, Text, Whole, read
from limner.web.reading.intake import Intake
from limner.web.reading.naming import named
from limner.web.reading.objects import Objects

IMAGES_MAX = 16
NONE = "None"
_COMMON: Mapping[str, Reader] = {
    "resize_mode": Whole(0, 1),
    "show_extras_results": Flag(),
    "gfpgan_visibility": Number(0, 1),
    "codeformer_visibility": Number(0, 1),
    "codeformer_weight": Number(0, 1),
    "upscaling_resize": Number(1, FACTOR_MAX),
    "upscaling_resize_w": Whole(1, SIDE_MAX),
    "upscaling_resize_h": Whole(1, SIDE_MAX),
    "upscaling_crop": Flag(),
    "upscaler_1": Text(0, 500),
    "upscaler_2": Text(0, 500),
    "extras_upscaler_2_visibility": Number(0, 1),
    "upscale_first": Flag(),  # before faces are restored, which are not restored here
}
_LIST, _WIDTH, _HEIGHT = "imageList", "upscaling_resize_w", "upscaling_resize_h"
DEFAULTS: Mapping[str, Any] = {
    "resize_mode": 0,
    "upscaling_resize": 2.0,
    _WIDTH: 512,
    _HEIGHT: 512,
    "upscaling_crop": True,
    "upscaler_1": NONE,
    "upscaler_2": NONE,
    "extras_upscaler_2_visibility": 0.0,
}


def _data(field: str, given: dict[str, Any]) -> tuple[str, str | bytes]:
    """The field of a picture of the list, and what it holds."""
    if "data" not in given:
        raise InvalidInput(f"{field}.data", f"{field}.data is missing; it must be a picture")
    return f"{field}.data", given["data"]


_PICTURES = Objects(
    {"data": Blob(), "name": Text(0, 500)},
    IMAGES_MAX,
    _data,
    like='{"data": "...", "name": "..."}',
    check=lambda _, given: given,
)
SINGLE: Mapping[str, Reader] = {"image": Blob(), **_COMMON}
BATCH: Mapping[str, Reader] = {_LIST: _PICTURES, **_COMMON}


@dataclass(frozen=True)
class Way:
    """How pictures are made larger: with ``first`` (None leaves them as they are), and ``second``
    laid over that by its ``share``; ``values`` say how large."""

    first: Upscaler | None
    second: Upscaler | None
    share: float
    values: Mapping[str, Any]

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Of what becomes of a picture of this size."""
        if self.first is None:
            return width, height
        if self.values["resize_mode"] == 0:
            scale = self.values["upscaling_resize"]
        else:
            to = self.values[_WIDTH], self.values[_HEIGHT]
            if self.values["upscaling_crop"]:
                return to
            scale = max(to[0] / width, to[1] / height)
        return max(1, round(width * scale)), max(1, round(height * scale))

    @property
    def field(self) -> str:
        """Which says the size."""
        return "upscaling_resize" if self.values["resize_mode"] == 0 else _WIDTH

    @property
    def told(self) -> str:
        """What was done, as AUTOMATIC1111 writes it into a picture's text."""
        if self.first is None:
            return f"upscaler_1 is {NONE}: the picture kept its size"
        by = f"by: {self.values['upscaling_resize']:g}"
        if self.values["resize_mode"] == 1:
            by = f"to: {self.values[_WIDTH]}x{self.values[_HEIGHT]}"
        second = "" if self.second is None else f", Postprocess upscaler 2: {self.second.name}"
        return f"Postprocess upscale {by}, Postprocess upscaler: {self.first.name}{second}"


def install(app: Application, api: Api) -> None:
    """Add the routes."""
    for name, readers, make in (
        ("extra-single-image", SINGLE, _single),
        ("extra-batch-images", BATCH, _batch),
    ):
        app.add_api_route(
            f"{ROOT}/{name}",
            _handler(api, readers, make),
            methods=["POST"],
            **docs.extras_operation(name, readers, DEFAULTS),
        )


Make = Callable[[Request, Api, dict[str, Any], Way], Awaitable[tuple[dict[str, Any], list[str]]]]


def _handler(
    api: Api, readers: Mapping[str, Reader], make: Make
) -> Callable[[Request], Awaitable[Response]]:
    async def extras(request: Request) -> Response:
        request.state.free = True
        given, ignored = read(readers, {}, await options.read_body(request, api))
        values = {**DEFAULTS, **given}
        way = await _way(api, values)
        answer, notes = await make(request, api, values, way)
        notes = list(dict.fromkeys([*ignored, *notes]))
        said = "".join(f"<p>{html.escape(line)}</p>" for line in (way.told, *notes))
        headers = {"x-adjustments": adjustments(notes)} if notes else None
        return await pools.FILES.run(lambda: Json({"html_info": said, **answer}, headers=headers))

    return extras


async def _way(api: Api, values: Mapping[str, Any]) -> Way:
    for field in ("gfpgan_visibility", "codeformer_visibility"):
        if values.get(field):
            raise InvalidInput(
                field, f"{field} is {values[field]:g}; faces are not restored here: it must be 0"
            )
    share = values["extras_upscaler_2_visibility"]
    first = await _upscaler(api, values, "upscaler_1")
    second = await _upscaler(api, values, "upscaler_2") if share and first else None
    return Way(first, second, share, values)


async def _upscaler(api: Api, values: Mapping[str, Any], field: str) -> Upscaler | None:
    name = values[field]
    if name.casefold() in ("", NONE.casefold()):
        return None
    return await api.services.upscaling.bind(name, field)


async def _single(
    request: Request, api: Api, values: dict[str, Any], way: Way
) -> tuple[dict[str, Any], list[str]]:
    if "image" not in values:
        raise InvalidInput("image", "image is missing; send a picture")
    image, notes = await _made(request, api, way, "image", values.pop("image"))
    return {"image": image}, notes


async def _batch(
    request: Request, api: Api, values: dict[str, Any], way: Way
) -> tuple[dict[str, Any], list[str]]:
    pictures = values.pop(_LIST, ())
    if not pictures:
        raise InvalidInput(_LIST, f"{_LIST} is missing; send a list of pictures")
    await unless_gone(request, _check_all(api.intake(request), way, pictures))
    images, notes = [], []
    for field, data in pictures:
        image, told = await _made(request, api, way, field, data)
        images.append(image)
        notes += told
    return {"images": images}, notes


async def _check_all(intake: Intake, way: Way, pictures: Sequence[tuple[str, str | bytes]]) -> None:
    """Whether all of a call's pictures together have the size that one may have."""
    large = 0
    for field, data in pictures:
        found = await intake.run("size", field, data)
        width, height = way.size(*found.told["size"])
        large += 3 * width * height
    if large > PICTURE_BYTES_MAX:
        raise InvalidInput(
            _LIST,
            f"{_LIST}: its {len(pictures)} pictures would become {large >> 20} MiB; those of a "
            f"call may have {PICTURE_BYTES_MAX >> 20} MiB together",
        )


async def _made(
    request: Request, api: Api, way: Way, field: str, data: str | bytes
) -> tuple[str, list[str]]:
    """A picture made larger, as base64 of a PNG, and notes."""
    layers = await enlarging.read(request, api, field, data)
    notes = list(layers.notes)
    if way.first is None:
        kept = imaging.Metadata(layers.metadata.parameters, layers.metadata.receipt)
        png = await pools.FILES.run(imaging.to_png, layers.whole, kept)
        return base64.b64encode(png).decode(), notes
    size = way.size(*layers.size)
    with named({"upscaler": "upscaler_1"}):
        made = await enlarging.grown(request, api, layers, way.first, size, way.field)
    more: dict[str, Any] = {}
    if way.second is not None:
        with named({"upscaler": "upscaler_2"}):
            other = await enlarging.grown(request, api, layers, way.second, size, way.field)
        made = await pools.FILES.run(blended, made, other, way.share)
        more = {"second": {**way.second.model_dump(exclude_defaults=True), "share": way.share}}
    larger = await enlarging.written(layers, made, way.first, **more)
    return base64.b64encode(larger.png).decode(), notes

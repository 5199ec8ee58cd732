"""Stored pictures: as files of three formats, as sprites, their receipts, and deleting them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from limner import imaging, pools
from limner.errors import InvalidInput
from limner.usecases.drawing.orders import StoredPicture
from limner.web import openapi, pictures
from limner.web.answers import Handler, Json
from limner.web.application import Application
from limner.web.drawing import Api
from limner.web.native.thumbnails import SIDES, Name, Thumbnails
from limner.web.reading.fields import Flag, Reader, Whole, read
from limner.web.stored import SUFFIXES


class Side(Whole):
    """The longest side of a thumbnail; one of a few."""

    def read(self, field: str, value: Any) -> int:
        side = super().read(field, value)
        if side not in SIDES:
            raise InvalidInput(field, f"{field} is {side}; it must be one of {_SIDES_TEXT}")
        return side

    def schema(self) -> dict[str, Any]:
        return {"type": "integer", "enum": list(SIDES)}


_SIDES_TEXT = ", ".join(map(str, SIDES))
_WISHES: Mapping[str, Reader] = {"metadata": Flag(), "size": Side(SIDES[0], SIDES[-1])}
_ERRORS = (400, 401, 403, 404, 500)
_LINK = {302: {"description": "Where the file is, for some minutes."}}
_KEPT = {"Cache-Control": "private, max-age=86400", "X-Content-Type-Options": "nosniff"}
PATH = "/api/pictures/{id}"
PICTURE_ID = openapi.in_path("id", "A picture's id, `pic_...`.")


def install(app: Application, api: Api) -> None:
    """Add the routes."""

    async def receipt(request: Request) -> Response:
        gallery, id = api.services.gallery, request.path_params["id"]
        return Json(await gallery.receipt(request.state.caller, id))

    async def source(request: Request) -> Response:
        sha256 = request.path_params["sha256"]
        pixels = await api.services.gallery.source(request.state.caller, sha256)
        data = await pools.FILES.run(imaging.to_png, pixels)
        return Response(data, headers=_KEPT, media_type="image/png")

    async def delete(request: Request) -> Response:
        await api.services.gallery.delete(request.state.caller, request.path_params["id"])
        return Json({"deleted": 1})

    async def delete_all(request: Request) -> Response:
        return Json({"deleted": await api.services.gallery.delete_all(request.state.caller)})

    _install_files(app, api)
    app.add_api_route(
        PATH, delete, methods=["DELETE"], **_delete_operation("picture", "Delete a picture.", True)
    )
    app.add_api_route(
        "/api/pictures",
        delete_all,
        methods=["DELETE"],
        **_delete_operation(
            "pictures", "Delete all finished requests: pictures, sources and prompts.", False
        ),
    )
    app.add_api_route("/api/sources/{sha256}", source, methods=["GET"], **_source_operation())
    app.add_api_route("/api/receipts/{id}", receipt, methods=["GET"], **_receipt_operation())


def _install_files(app: Application, api: Api) -> None:
    # The longer names first: a parameter takes dots as well.
    sprite = _file_operation("sprite", "image/png", "The true small pixels of a sprite.")
    app.add_api_route(f"{PATH}.sprite.png", _sprites(api), methods=["GET"], **sprite)
    for format, suffix in SUFFIXES.items():
        operation = _file_operation(f"picture-{suffix}", f"image/{format}", f"As {format}.")
        if format == "png":
            operation["responses"] |= _LINK
        app.add_api_route(f"{PATH}.{suffix}", _files(api, format), methods=["GET"], **operation)
    own = _file_operation("picture", "image/png", "The stored picture, lossless.")
    own["responses"] |= _LINK
    app.add_api_route(PATH, _files(api, "png"), methods=["GET"], **own)


async def _find(request: Request, api: Api) -> StoredPicture:
    found: StoredPicture = await api.services.gallery.picture(
        request.state.caller, request.path_params["id"]
    )
    return found


async def _link(request: Request, api: Api) -> str | None:
    link: str | None = await api.services.gallery.link(
        request.state.caller, request.path_params["id"]
    )
    return link


def _files(api: Api, format: imaging.Format) -> Handler:
    thumbnails = Thumbnails()

    async def thumbnail(request: Request, side: int) -> Response:
        await _link(request, api)  # a picture of somebody else is not found, kept or not
        name = Name(request.path_params["id"], format, side)
        if (data := thumbnails.get(name)) is None:
            picture = await _find(request, api)
            data = await pools.FILES.run(pictures.thumbnail, picture, format, side)
            thumbnails.put(name, data)
        return Response(data, headers=_KEPT, media_type=imaging.MEDIA_TYPES[format])

    async def show(request: Request) -> Response:
        wishes, _ = read(_WISHES, {}, request.query_params)
        if "size" in wishes:
            return await thumbnail(request, wishes["size"])
        metadata = _metadata(request, api)
        if format == "png" and metadata and (link := await _link(request, api)):
            return RedirectResponse(link, 302, headers={"Cache-Control": "private, no-store"})
        picture = await _find(request, api)
        data = await pools.FILES.run(pictures.encode_one, picture, format, metadata=metadata)
        return Response(data, headers=_KEPT, media_type=imaging.MEDIA_TYPES[format])

    return show


def _sprites(api: Api) -> Handler:
    async def show(request: Request) -> Response:
        picture, metadata = await _find(request, api), _metadata(request, api)
        size = await api.sprite_pixels(picture.receipt)
        if size is None:
            raise InvalidInput("id", f"Picture {picture.id} is not of a sprite painter")
        data = await pools.FILES.run(
            pictures.encode_one, picture, "png", metadata=metadata, sprite_pixels=size
        )
        return Response(data, headers=_KEPT, media_type="image/png")

    return show


def _metadata(request: Request, api: Api) -> bool:
    wishes, _ = read(_WISHES, {}, request.query_params)
    return bool(wishes.get("metadata", api.settings.embed_metadata))


def _file_operation(id: str, media_type: str, summary: str) -> dict[str, Any]:
    schema = {"schema": {"type": "string", "format": "binary"}}
    wish = openapi.in_query(
        "metadata", "Write parameters and receipt into the file.", Flag().schema()
    )
    small = openapi.in_query(
        "size", "A thumbnail, at most so long and high, without metadata.", _WISHES["size"].schema()
    )
    return openapi.operation(
        id,
        summary,
        {"description": "The file.", "content": {media_type: schema}},
        errors=_ERRORS,
        parameters=[PICTURE_ID, wish] if id == "sprite" else [PICTURE_ID, wish, small],
    )


def _source_operation() -> dict[str, Any]:
    schema = {"schema": {"type": "string", "format": "binary"}}
    return openapi.operation(
        "source",
        "A picture or mask that a kept request of the account started from, lossless.",
        {"description": "The file.", "content": {"image/png": schema}},
        errors=(*_ERRORS, 410),
        parameters=[openapi.in_path("sha256", "`sha256` or `mask_sha256` of a `source`.")],
    )


def _delete_operation(id: str, summary: str, one: bool) -> dict[str, Any]:
    answer = openapi.json_answer("How many are gone.", {"deleted": {"type": "integer"}})
    parameters = {"parameters": [PICTURE_ID]} if one else {}
    return openapi.operation(f"delete-{id}", summary, answer, errors=_ERRORS, **parameters)


def _receipt_operation() -> dict[str, Any]:
    fields: dict[str, Any] = {
        name: {} for name in ("receipt", "parameters", "prompts", "model", "drawing", "rgb_sha256")
    }
    return openapi.operation(
        "receipt",
        "The receipt of a picture: the record from which it can be drawn again.",
        openapi.json_answer("The receipt.", fields),
        errors=_ERRORS,
        parameters=[PICTURE_ID],
    )

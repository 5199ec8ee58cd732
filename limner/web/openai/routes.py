"""OpenAI's images surface: ``/v1/images/generations``, ``/v1/images/edits``, ``/v1/models``."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from limner import pools
from limner.domain.params import SAMPLES_MAX, SIDE_MAX, SIDE_MIN, SIDE_MULTIPLE
from limner.errors import InvalidInput, NotFound, UnknownModel
from limner.settings import Settings
from limner.usecases.drawing.choosing import Models
from limner.usecases.drawing.orders import Order, Outcome
from limner.web import pictures
from limner.web.answers import Json, adjustments
from limner.web.application import Application
from limner.web.drawing import Api
from limner.web.openai import docs, edits
from limner.web.reading import body, inputs, ranges
from limner.web.reading import form as wire
from limner.web.reading.fields import Choice, Flag, Reader, Text, Whole, cut, read, shown
from limner.web.reading.intake import Intake
from limner.web.segmind import routes as segmind
from limner.web.stored import SUFFIXES, picture_url

SURFACE = "openai"
N_MAX = 10
AUTO = (512, 512)
_SIZE = re.compile(r"(\d{1,5})x(\d{1,5})")


@dataclass(frozen=True)
class Size:
    """``WIDTHxHEIGHT`` in pixels, or ``auto``, which is read as None."""

    def read(self, field: str, value: Any) -> tuple[int, int] | None:
        text = value.strip().lower() if isinstance(value, str) else ""
        match = _SIZE.fullmatch(text)
        if text == "auto":
            return None
        sides = (int(match[1]), int(match[2])) if match else (0, 0)
        if not all(SIDE_MIN <= side <= SIDE_MAX for side in sides):
            raise InvalidInput(
                field,
                f"{field} is {shown(value)}; it must be auto, or WIDTHxHEIGHT such as 512x768, "
                f"each {SIDE_MIN} to {SIDE_MAX}",
            )
        return sides

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": r"^(auto|\d+x\d+)$"}


# What the surface has by names of its own; the rest is read as on the vendor's route.
OWN: Mapping[str, Reader] = {
    "model": Text(0, 200),
    "n": Whole(1, min(N_MAX, SAMPLES_MAX)),
    "size": Size(),
    "response_format": Choice(("b64_json", "url")),
    "stream": Flag(),
}
_NOT_HERE = ("base64", "output", "image", *inputs.WITH_IMAGE)
_PLAIN = {name: reader for name, reader in wire.READERS.items() if name not in (*_NOT_HERE, *OWN)}
_READERS: Mapping[str, Reader] = {
    **_PLAIN,
    "output_format": Choice(tuple(SUFFIXES)),
    "samples": ranges.SAMPLES,
    "img_width": ranges.ANY_SIDE,
    "img_height": ranges.ANY_SIDE,
}
_FILLED_IN = ("samples", "img_width", "img_height")
_DEFAULTS = {**wire.DEFAULTS, "output_format": "png"}
GENERATION = wire.Form(_READERS, _DEFAULTS)
_WISHES = {name: _READERS[name] for name in ("output_format", "metadata")}
_VAE = {"vae": _READERS["vae"]}
_SOURCE = {name: wire.READERS[name] for name in _NOT_HERE[2:]}
EDIT = wire.Form({**_READERS, **_SOURCE}, _DEFAULTS, ("image", "prompt"))


def install(app: Application, api: Api) -> None:
    """Add the routes."""
    began = int(time.time())
    found = Models(lambda: api.services.engine.status().model, library=api.services.models)

    def describe(id: str) -> dict[str, Any]:
        return {"id": id, "object": "model", "created": began, "owned_by": "limner"}

    def listed(allowed: Sequence[str]) -> list[str]:
        bound = {id: api.settings.slugs.get(id, "") for id in names(api.settings)}
        ids = [id for id, model in bound.items() if found.allows(allowed, model)]
        return list(dict.fromkeys((*ids, *found.nameable(allowed))))

    async def models(request: Request) -> Response:
        ids = await pools.MODELS.run(listed, request.state.caller.models)
        return Json({"object": "list", "data": [describe(id) for id in ids]})

    async def model(request: Request) -> Response:
        id = request.path_params["id"]
        if id not in await pools.MODELS.run(listed, request.state.caller.models):
            raise NotFound(f"There is no model {cut(ascii(id))}; GET /v1/models lists them")
        return Json(describe(id))

    for path, form in (("generations", GENERATION), ("edits", EDIT)):
        app.add_api_route(
            f"/v1/images/{path}",
            _drawer(api, form),
            methods=["POST"],
            **docs.draw_operation(path, form, OWN, _FILLED_IN),
        )
    app.add_api_route("/v1/models", models, methods=["GET"], **docs.models_operation())
    app.add_api_route("/v1/models/{id:path}", model, methods=["GET"], **docs.model_operation())


def names(settings: Settings) -> tuple[str, ...]:
    """The ids that are the operator's choice."""
    return tuple(dict.fromkeys((settings.slug, *settings.aliases, *settings.slugs)))


def _drawer(api: Api, form: wire.Form) -> Callable[[Request], Awaitable[Response]]:
    async def draw(request: Request) -> Response:
        async with api.account(request):
            settings = api.settings
            fields = await body.read_object(
                request, max_bytes=settings.body_max_bytes, max_s=settings.body_max_s
            )
            own = _read_own(fields)
            digest = await body.digest_of(request, fields)
            wishes, _ = read(_WISHES, {}, {n: v for n, v in fields.items() if n in _WISHES})

            async def make() -> Order:
                call = await _to_call(fields, own, api.intake(request), form)
                fields.clear()  # or its pictures would stay until it is answered
                return Order(
                    lines=call.lines,
                    surface=SURFACE,
                    slug=settings.slug,
                    body_sha256=digest,
                    pixels=call.pixels,
                    adjustments=call.notes,
                    choice=call.choice,
                )

            outcome = await api.draw(request, digest, make)
        return await _answer(settings, {**own, **wishes}, outcome)

    return draw


def _read_own(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that only this surface has. Raises ``InvalidInput``."""
    own, _ = read(OWN, {}, {name: value for name, value in fields.items() if name in OWN})
    if own.get("stream"):
        raise InvalidInput("stream", "stream is true; this server answers at once, leave it out")
    return own


async def _to_call(
    fields: Mapping[str, Any], own: Mapping[str, Any], intake: Intake, form: wire.Form
) -> wire.Call:
    rest = {name: value for name, value in fields.items() if name not in OWN}
    notes = [f"{cut(name)} was ignored" for name in _FILLED_IN if name in rest]
    vae, _ = read(_VAE, {}, {name: rest[name] for name in _VAE if name in rest})
    model, told = await _model(own.get("model", "").strip(), vae.get("vae", ""), intake)
    notes += told
    auto = AUTO
    if form is EDIT:
        rest, auto, told = await edits.prepare(rest, intake)
        notes += told
    width, height = _floored(own.get("size") or auto, notes)
    filled = {"samples": own.get("n", 1), "img_width": width, "img_height": height}
    asked = wire.ask({**rest, **filled}, intake.settings, mixed=True, form=form)
    asked.values["model"] = model
    call = await wire.to_call(asked, intake)
    return replace(call, notes=(*notes, *call.notes))


async def _model(asked: str, vae: str, intake: Intake) -> tuple[str, list[str]]:
    """The name of the model to draw with; one that nobody knows is replaced, and told."""
    settings = intake.settings
    asked = asked or settings.slug
    if asked in names(settings):
        return settings.slugs.get(asked, ""), []
    try:
        await intake.choose(asked, vae.strip())
    except UnknownModel as error:
        if error.field != "model":
            raise
        told = f"model {cut(asked)} is not served here; {settings.slug} was used"
        return settings.slugs.get(settings.slug, ""), [told]
    return asked, []


def _floored(size: tuple[int, int], notes: list[str]) -> tuple[int, int]:
    """``size`` in whole latent pixels."""
    width, height = (side - side % SIDE_MULTIPLE for side in size)
    if (width, height) != size:
        notes.append(f"size {size[0]}x{size[1]} was floored to {width}x{height}")
    return width, height


def _as_base64(file: bytes) -> dict[str, str]:
    return {"b64_json": base64.b64encode(file).decode()}


async def _answer(settings: Settings, wishes: Mapping[str, Any], outcome: Outcome) -> Response:
    format = wishes.get("output_format", _DEFAULTS["output_format"])
    metadata = wishes.get("metadata", settings.embed_metadata)
    files = await pools.FILES.run(pictures.encode, outcome, format, metadata=metadata)
    firsts = await pools.FILES.run(pictures.first_passes, outcome, format, metadata=metadata)
    data = [_as_base64(file) for file in files.data]
    first_data = [_as_base64(file) for file in firsts]
    if wishes.get("response_format") == "url":
        kept = metadata == settings.embed_metadata
        query = "" if kept else f"?metadata={str(metadata).lower()}"
        data, first_data = (
            [{"url": picture_url(settings, each.id, SUFFIXES[format]) + query} for each in those]
            for those in (outcome.pictures, outcome.first_passes)
        )
    answer = Json(
        {
            "created": int(time.time()),
            "data": data,
            **({"first_passes": first_data} if first_data else {}),
            "output_format": format,
            "size": f"{files.width}x{files.height}",
        }
    )
    answer.headers.update(segmind.result_headers(format, outcome, files))
    if notes := tuple(dict.fromkeys((*outcome.adjustments, *files.notes))):
        answer.headers["x-adjustments"] = adjustments(notes)
    return answer

"""``POST /api/replay``: draw a receipt again, and say whether it is the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from limner.domain.pricing import as_credits
from limner.errors import Gone, InvalidInput, NotFound
from limner.usecases.drawing.orders import Order
from limner.usecases.pictures.replay import Replayed
from limner.web import openapi
from limner.web.answers import Json
from limner.web.application import Application
from limner.web.drawing import Api, unless_gone
from limner.web.native import foreign
from limner.web.reading import body
from limner.web.reading.fields import Flag, shown

_WAYS = ("picture_id", "receipt", "picture", "text")
_WANTED = (
    'send {"picture_id": "pic_..."} of a stored picture, {"receipt": {...}}, {"picture": "..."} '
    'of any program, or {"text": "..."} of its settings'
)


def install(app: Application, api: Api) -> None:
    """Add the route."""

    async def replay(request: Request) -> Response:
        settings = api.settings
        async with api.account(request):
            fields = await body.read_object(
                request, max_bytes=settings.body_max_bytes, max_s=settings.body_max_s
            )
            _check(fields)
            digest = await body.digest_of(request, fields)
            dry = Flag().read("dry_run", fields.get("dry_run") or False)
            request.state.free = dry
            if any(fields.get(name) is not None for name in ("picture", "text")):
                found = await foreign.metadata(request, api, fields)
                if not found.receipt:
                    return Json(await _foreign(request, api, fields, digest, found.parameters))
                fields = {"receipt": found.receipt, "dry_run": dry}
            if dry:
                return Json(await _dry(request, api, fields))
            replayed = await _replay(request, api, fields, digest)
        return Json(_told(replayed))

    app.add_api_route("/api/replay", replay, methods=["POST"], **_operation())


async def _foreign(
    request: Request, api: Api, fields: Mapping[str, Any], digest: str, text: str
) -> dict[str, Any]:
    """Draw what another program's text asks for, or say what would be drawn."""
    found = await foreign.read(api, fields, text)
    if request.state.free:
        return await foreign.price(api, request.state.caller, found)
    return foreign.told(found, await foreign.draw(request, api, found, digest))


async def _dry(request: Request, api: Api, fields: Mapping[str, Any]) -> dict[str, Any]:
    """What a replay of a receipt would draw; raises what keeps it from being drawn."""
    record = await _record(request, api, fields)
    caller = request.state.caller
    order = await api.services.replay.order(caller, record)
    quoted = await api.services.generate.quote(order.generation, order.choice, caller)
    return {
        "settings": order.generation.model_dump(mode="json"),
        "missing": [],
        "differs": [],
        "credits": as_credits(quoted.total_micro),
        "adjustments": [],
    }


async def _replay(request: Request, api: Api, fields: Mapping[str, Any], digest: str) -> Replayed:
    """Draw, which is billed, and compare, which costs nothing more whatever comes of it."""
    caller, services = request.state.caller, api.services
    found: list[Mapping[str, Any]] = []

    async def make() -> Order:
        found.append(await _record(request, api, fields))
        return await services.replay.order(caller, found[0])

    outcome = await api.draw(request, digest, make)
    try:
        record = found[0] if found else await _record(request, api, fields)
    except NotFound as error:
        raise Gone(
            f"Picture {fields['picture_id']}, which was drawn again, is no longer kept, so that "
            f"nothing can be compared; picture {outcome.pictures[0].id} is what was drawn"
        ) from error
    return await unless_gone(request, services.replay.compare(caller, record, outcome))


def _check(fields: Mapping[str, Any]) -> None:
    """Raises ``InvalidInput`` where a body neither holds nor names what is to be drawn again."""
    given = [name for name in _WAYS if fields.get(name) is not None]
    if len(given) != 1:
        raise InvalidInput("receipt", f"receipt: {_WANTED}, and one of them")
    kind = Mapping if given == ["receipt"] else (str, bytes)
    if not isinstance(fields[given[0]], kind):
        raise InvalidInput(given[0], f"{given[0]} is {shown(fields[given[0]])}; {_WANTED}")


async def _record(request: Request, api: Api, fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """The receipt that a body holds or names. Raises ``NotFound``."""
    picture_id = fields.get("picture_id")
    if picture_id is None:
        record: Mapping[str, Any] = fields["receipt"]
        return record
    return await api.services.gallery.receipt(request.state.caller, picture_id)


def _told(replayed: Replayed) -> dict[str, Any]:
    outcome, compared = replayed.outcome, replayed.comparison
    return {
        "identical": compared.identical,
        "different_pixels": compared.different_pixels,
        "of": compared.of,
        "largest_difference": compared.largest_difference,
        "text": compared.sentence(),
        "changed": list(replayed.changed),
        "request_id": outcome.request_id,
        "picture_id": outcome.pictures[0].id,
        "cost": as_credits(outcome.taken_micro),
        "adjustments": list(outcome.adjustments),
    }


def _told_too() -> dict[str, Any]:
    sentences = {"type": "array", "items": {"type": "string"}}
    told = {"missing": sentences, "differs": sentences, "credits": {"type": "number"}}
    return {"settings": {"type": "object"}, **told}


def _operation() -> dict[str, Any]:
    text: dict[str, Any] = {"type": "string"}
    number: dict[str, Any] = {"type": ["integer", "null"]}
    fields = {
        "identical": {"type": "boolean"},
        "different_pixels": number,
        "of": {"type": "integer"},
        "largest_difference": number,
        "text": text,
        "changed": {"type": "array", "items": text},
        "request_id": text,
        "picture_id": text,
        "cost": {"type": "number"},
        "adjustments": {"type": "array", "items": text},
    }
    schema = {
        "type": "object",
        "properties": {
            "picture_id": text,
            "receipt": {"type": "object"},
            "picture": text,
            "text": text,
            "image": text,
            "mask": text,
            "dry_run": {"type": "boolean"},
        },
    }
    answer = openapi.json_answer(
        "`different_pixels` and `largest_difference` (in 255ths) are null where the first picture "
        "is not stored. `picture_id` is the new picture's. Of another program's picture there is "
        "nothing to compare: `settings` are what was read, `missing` what is not here, `differs` "
        "what cannot be the same; with `dry_run` the price, `credits`.",
        fields | _told_too(),
    )
    del answer["content"]["application/json"]["schema"]["required"]
    return openapi.operation(
        "replay",
        "Draw a picture again: one of Limner's, which is compared pixel by pixel, or another "
        "program's. It is billed like any drawing, unless `dry_run` only asks.",
        answer,
        errors=(*openapi.DRAW_ERRORS, 404, 410),
        parameters=[openapi.IDEMPOTENCY_KEY],
        **openapi.body(schema, form=False),
    )

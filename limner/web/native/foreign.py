"""Pictures and texts of other programs, drawn again by ``POST /api/replay``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from starlette.requests import Request

from limner import imaging, pools
from limner.domain.pricing import as_credits
from limner.errors import InvalidInput
from limner.settings import Settings
from limner.usecases.drawing.orders import Order, Outcome
from limner.usecases.pictures.foreign import FileFinder, Settled, settle
from limner.web.drawing import Api, unless_gone
from limner.web.native.form import FOREIGN
from limner.web.reading import form
from limner.web.reading.fields import Blob, Text
from limner.web.services import Caller

SURFACE = "replay"
TEXT_MAX = 100_000
SOURCES = ("image", "mask")
_TEXT, _PICTURE = Text(1, TEXT_MAX), Blob()


@dataclass(frozen=True)
class Read:
    """A settled text, and the body that it makes, which was read."""

    settled: Settled
    asked: form.Asked

    def told(self) -> dict[str, Any]:
        """What an answer says of it: ``settings`` are typed, without pictures."""
        values, body = self.asked.values, self.settled.body
        said = {name: values[name] for name in body if name not in ("loras", *SOURCES)}
        if "loras" in body:
            said["loras"] = body["loras"]
        named = {name: _plain(value) for name, value in said.items() if value is not None}
        return {
            "settings": named,
            "missing": list(self.settled.missing),
            "differs": list(self.settled.differs),
        }


def _plain(value: Any) -> Any:
    """What JSON can hold: some fields are read as objects."""
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else value


async def metadata(request: Request, api: Api, fields: Mapping[str, Any]) -> imaging.Metadata:
    """What a body's ``picture`` says of itself, or its ``text``."""
    if fields.get("text") is not None:
        return imaging.Metadata(_TEXT.read("text", fields["text"]))
    picture = _PICTURE.read("picture", fields["picture"])
    reading = api.intake(request).run("metadata", "picture", picture)
    found = (await unless_gone(request, reading)).metadata
    if not (found.parameters or found.receipt):
        raise InvalidInput(
            "picture", "picture says nothing of how it was made; send its settings as text"
        )
    return found


async def read(api: Api, fields: Mapping[str, Any], text: str) -> Read:
    """The request that ``text`` makes, with the sources of the body. Raises ``InvalidInput``."""
    sources = {name: fields[name] for name in SOURCES if fields.get(name) is not None}
    finder = FileFinder(api.services.models, api.services.engine.status().model)
    settled = await pools.MODELS.run(settle, text, finder, from_picture="image" in sources)
    return as_read(settled, sources, api.settings)


def as_read(settled: Settled, sources: Mapping[str, Any], settings: Settings) -> Read:
    """A settled text as a body. Raises ``InvalidInput`` for what is beyond the engine's limits."""
    asked = form.ask({**settled.body, **sources}, settings, mixed=True, form=FOREIGN)
    return Read(settled, asked)


async def price(api: Api, caller: Caller, found: Read) -> dict[str, Any]:
    """What drawing it would cost ``caller``; nothing is drawn, fetched or held."""
    choice = await api.services.generate.choose(*form.named(found.asked.values))
    call = await form.plan(form.fitted(found.asked, choice, api.settings), api.settings)
    quotes = [await api.services.generate.quote(line, choice, caller) for line in call.lines]
    total_micro = sum(each.total_micro for each in quotes)
    return {**found.told(), "credits": as_credits(total_micro), "adjustments": list(call.notes)}


async def draw(request: Request, api: Api, found: Read, digest: str) -> Outcome:
    """Draw it, which is billed."""

    async def make() -> Order:
        call = await form.to_call(found.asked, api.intake(request))
        return Order(
            lines=call.lines,
            surface=SURFACE,
            slug=api.settings.slug,
            body_sha256=digest,
            pixels=call.pixels,
            adjustments=call.notes,
            choice=call.choice,
        )

    return await api.draw(request, digest, make)


def told(found: Read, outcome: Outcome) -> dict[str, Any]:
    """The answer to a drawing."""
    return {
        **found.told(),
        "request_id": outcome.request_id,
        "picture_id": outcome.pictures[0].id,
        "cost": as_credits(outcome.taken_micro),
        "adjustments": list(outcome.adjustments),
    }

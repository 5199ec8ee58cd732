"""The services behind the web, in memory: keys, balances, and pictures made of arithmetic."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from limner import imaging
from limner.domain import pricing
from limner.domain.infotext.writing import parameters_text
from limner.domain.params import Generation
from limner.domain.receipt import receipt
from limner.engine.batching.client import EngineStatus
from limner.engine.batching.fake import FAKE_MODEL, fake_pixels
from limner.engine.batching.ticket import Facts
from limner.errors import (
    Gone,
    IdempotencyMismatch,
    InsufficientCredits,
    InvalidInput,
    InvalidKey,
    NotFound,
)
from limner.store.jobs import Job, Line
from limner.store.keys import Key
from limner.store.ledger import Balance
from limner.store.usage import Day, Figures, Usage
from limner.usecases.accounts import Standing
from limner.usecases.drawing.choosing import Models
from limner.usecases.drawing.orders import Order, Outcome, StoredPicture
from limner.usecases.queueing.queue import Status
from limner.web.services import Services

KEY = "SG_" + "0123456789abcdef" * 2
READER = "SG_" + "f" * 32
ADMIN = "SG_" + "a" * 32
RAIL_MODEL = replace(
    FAKE_MODEL,
    name="RPG V4",
    path="/srv/secret/RPG-v4.safetensors",
    licence="creativeml-openrail-m",
    licence_needs_acceptance=True,
    attribution=("RPG V4 by Anashel",),
    conversions=("float16 read as float32",),
)


@dataclass
class FakeKey:
    id: str
    scopes: frozenset[str]
    micro: int = 10_000_000
    models: tuple[str, ...] = ()
    adapters: tuple[str, ...] = ()
    account_id: str = "acc_1"
    name: str = "me"
    hint: str = "SG_0123"
    created_at: float = 1.5
    expires_at: float | None = None
    revoked_at: float | None = None
    spend_cap_micro: int | None = None
    spent_micro: int = 0
    requests_per_minute: int | None = None
    concurrency: int | None = None


@dataclass
class FakeAccounts:
    keys: dict[str, FakeKey] = field(
        default_factory=lambda: {
            KEY: FakeKey("key_1", frozenset({"draw", "read"})),
            READER: FakeKey("key_2", frozenset({"read"})),
            ADMIN: FakeKey("key_3", frozenset({"admin"})),
        }
    )
    accepted: set[tuple[str, str]] = field(default_factory=set)

    async def authenticate(self, plain):
        if plain not in self.keys:
            raise InvalidKey("bad")
        return self.keys[plain]

    async def local(self):
        return self.keys[KEY]

    async def standing(self, caller):
        return Standing(caller.micro, 59, datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC))

    async def options(self, caller):
        return {}

    async def accept(self, caller, licence):
        self.accepted.add((caller.id, licence))


@dataclass
class FakeEngineClient:
    current: EngineStatus = field(default_factory=lambda: EngineStatus(True, "", FAKE_MODEL))

    def status(self):
        return self.current


@dataclass
class FakeGenerate:
    """Draws at once, bills, remembers; ``error`` is raised, ``wait`` waited for.

    ``side`` replaces the pictures' size where their pixels do not matter.
    """

    orders: list[Order] = field(default_factory=list)
    stored: dict[str, tuple[str, Outcome]] = field(default_factory=dict)
    adjustments: tuple[str, ...] = ()
    error: Exception | None = None
    wait: asyncio.Event | None = None
    cancelled: int = 0
    side: int | None = None
    troubled: str | None = None
    engine: FakeEngineClient = field(default_factory=FakeEngineClient)

    def trouble(self):
        return self.troubled

    async def choose(self, model="", vae="", loras=()):
        return Models(lambda: self.engine.current.model).choose(model, vae)

    async def recognize(self, record):
        return Models(lambda: self.engine.current.model).own()

    async def with_words(self, generation):
        return generation

    async def quote(self, generation, _choice=None, _caller=None):
        return pricing.quote(generation, [1.0])

    async def afford(self, caller, lines, beside_micro=0, *, waits):
        price = beside_micro + sum([(await self.quote(line)).total_micro for line in lines])
        self._check(caller, price)
        return price

    async def admit(self, caller, idempotency_key):
        if idempotency_key not in self.stored:
            self._check(caller, 1)

    async def recall(self, caller, idempotency_key, body_sha256):
        if idempotency_key not in self.stored:
            return None
        digest, outcome = self.stored[idempotency_key]
        if digest != body_sha256:
            raise IdempotencyMismatch("used with another body")
        return replace(outcome, replayed=True)

    async def run(self, caller, order):
        self.orders.append(order)
        if self.error:
            raise self.error
        try:
            if self.wait:
                await self.wait.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        quotes = [await self.quote(line) for line in order.lines]
        outcome = self._draw(caller, order, sum(quote.total_micro for quote in quotes))
        if order.idempotency_key:
            self.stored[order.idempotency_key] = (order.body_sha256, outcome)
        return outcome

    def _check(self, caller, price):
        if caller.micro < price:
            raise InsufficientCredits(
                f"Insufficient credits: balance {pricing.as_text(caller.micro)}, "
                f"price {pricing.as_text(price)}",
                available_micro=caller.micro,
                price_micro=price,
            )

    def _draw(self, caller, order, price):
        self._check(caller, price)
        caller.micro -= price
        alone = [line.alone(i) for line in order.lines for i in range(line.samples)]
        pictures = tuple(_picture(g, index, self.side) for index, g in enumerate(alone))
        told = tuple(dict.fromkeys((*order.adjustments, *self.adjustments)))
        return Outcome("req_stored", pictures, price, caller.micro, 1.25, told, False, order.lines)


def _picture(g: Generation, index: int, side: int | None) -> StoredPicture:
    seed = g.seed
    pixels = fake_pixels(g.prompt, seed, side or g.width, side or g.height)
    record = receipt(
        g,
        Facts(seed, 20, 40, "float32", "shared", RAIL_MODEL),
        RAIL_MODEL,
        {"limner": "0"},
        (g.prompt, g.negative_prompt),
        hashlib.sha256(pixels.tobytes()).hexdigest(),
    )
    png = imaging.to_png(pixels, imaging.Metadata(parameters_text(record), record))
    return StoredPicture(f"pic_{index}", index, seed, g.width, g.height, png, record)


class FakeWorker:
    """Draws nothing, and its store knows of nothing drawn elsewhere."""

    running = ()
    models = Models(lambda: FAKE_MODEL)

    async def look(self, work, *arguments):
        return []


class FakeQueue:
    """Accepts, and never draws: the real queue is tested in test_queue.py."""

    def __init__(self):
        self.kept: dict[str, Status] = {}
        self.worker = FakeWorker()

    async def submit(self, caller, order):
        return (await self.submit_all(caller, [order]))[0]

    async def submit_all(self, caller, orders):
        made = [Status(_job(order, f"req_{len(self.kept)}{n}"), (), 1, 1, 2.5)
                for n, order in enumerate(orders)]  # fmt: skip
        self.kept |= {status.job.id: status for status in made}
        return made

    async def recall(self, caller, idempotency_keys, body_sha256):
        return [None] * len(idempotency_keys)

    async def status(self, caller, request_id):
        if request_id not in self.kept:
            raise NotFound(f"Request {request_id} not found")
        return self.kept[request_id]

    async def remove(self, caller, request_id):
        return await self.status(caller, request_id)

    async def move(self, caller, request_id, side, other_id):
        return await self.status(caller, request_id)

    async def recent(self, caller, *, before=None, number=50, only="kept"):
        kept = [s for s in self.kept.values() if s.job.open or only != "unfinished"]
        return kept[:number]

    def running(self, caller, surface):
        return []


def _job(order, request_id):
    return Job(
        **dict.fromkeys(Job.__dataclass_fields__)
        | {
            "id": request_id,
            "slug": order.slug,
            "surface": order.surface,
            "adjustments": order.adjustments,
            "lines": tuple(Line(line.model_dump(mode="json"), 1) for line in order.lines),
            "status": "QUEUED",
            "tries": 0,
            "price_micro": 5,
            "cost_micro": 0,
            "created_at": 1.5,
        }
    )


class FakeGallery:
    """Holds nothing."""

    async def picture(self, caller, picture_id):
        raise NotFound(f"Picture {picture_id} not found")

    async def receipt(self, caller, picture_id):
        raise NotFound(f"Picture {picture_id} not found")

    async def link(self, caller, picture_id):
        return None

    async def source(self, caller, sha256):
        raise Gone(f"The picture {sha256} is no longer kept")

    async def delete(self, caller, picture_id):
        raise NotFound(f"Picture {picture_id} not found")

    async def delete_all(self, caller):
        return 0

    async def pictures(self, caller, wanted, *, after=None, number=50):
        return []

    async def folders(self, caller):
        return {}

    async def mark(self, caller, picture_ids, marks):
        raise NotFound(f"Picture {picture_ids[0]} not found")

    async def lineage(self, caller, picture_id):
        raise NotFound(f"Picture {picture_id} not found")


class FakeReplay:
    """Knows no receipt."""

    async def order(self, caller, record):
        raise InvalidInput("receipt", "receipt: unknown")


class FakeOffice:
    """One key, which every call is about."""

    key = Key(
        "key_1", "acc_1", "me", "SG_0123", frozenset({"draw"}), 1.5, None, None, None, 7, 5, 2
    )
    balance = Balance(9_999_993, 0)

    async def keys(self):
        return [(self.key, self.balance)]

    async def create_key(self, wanted):
        return KEY, replace(self.key, name=wanted.name, scopes=frozenset(wanted.scopes))

    async def limit_key(self, key_id, **limits):
        return self._known(key_id)

    async def rotate_key(self, key_id, grace_s=0.0):
        return KEY, self._known(key_id)

    async def revoke_key(self, key_id):
        return replace(self._known(key_id), revoked_at=2.5)

    async def grant(self, key_id, micro, id=None):
        return replace(self.balance, held_micro=self._known(key_id).spent_micro)

    async def totals(self):
        return {"issued": -10_000_000, "available": 9_999_993, "held": 0, "income": 7}

    async def check(self):
        return []

    async def usage(self, days):
        return [Usage("key_1", "me", 3, 1, 1, 1, 2, 7, 1.25, 1.5)]

    async def days(self, number):
        return [Day("1970-01-01", 3, 1, 1, 2, 7, 1.25)]

    async def figures(self):
        return Figures(3, 2, 5, 500, 9_999_993, 0, 7)

    def _known(self, key_id):
        if key_id != self.key.id:
            raise NotFound(f"Key {key_id} not found")
        return self.key


def services() -> Services:
    generate = FakeGenerate()
    return Services(
        generate,
        FakeAccounts(),
        FakeOffice(),
        generate.engine,
        FakeQueue(),
        FakeGallery(),
        FakeReplay(),
    )

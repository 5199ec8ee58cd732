"""What the surfaces need from the rest: small protocols, so that the web knows no store.

``usecases`` implements them; the tests have fakes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from limner.domain.params import Generation
from limner.domain.pricing import Quote
from limner.engine.batching.client import EngineStatus
from limner.engine.batching.ticket import Pixels
from limner.imaging.budget import Budget
from limner.imaging.pool import Decoder, Here
from limner.models.listing import Library
from limner.store.finding import Cursor, Found, Marks, Wanted
from limner.usecases.accounts import Standing
from limner.usecases.administration import Administration
from limner.usecases.drawing.choosing import Chosen
from limner.usecases.drawing.orders import Order, Outcome, StoredPicture
from limner.usecases.pictures.replay import Replayed
from limner.usecases.preprocessing import Preprocessing
from limner.usecases.queueing.queue import Queue
from limner.usecases.upscaling import Upscaling

# An authenticated API key. The surfaces read its ``scopes`` and hand it on.
Caller = Any


class Accounts(Protocol):
    """Keys, balances and licence acceptances: ``usecases.accounts.Accounts``."""

    async def authenticate(self, plain: str) -> Caller:
        """The key whose plain text this is; raises ``InvalidKey``."""

    async def local(self) -> Caller:
        """The key of those who need none; raises ``InvalidKey`` where there is none."""

    async def standing(self, caller: Caller) -> Standing:
        """Balance and rate of a key."""

    async def options(self, caller: Caller) -> dict[str, Any]:
        """What the key's holder has set over AUTOMATIC1111's calls."""

    async def set_options(self, caller: Caller, values: Mapping[str, Any]) -> None:
        """Add to that; what is None is forgotten."""

    async def accept(self, caller: Caller, licence: str) -> None:
        """Record that the key accepts ``licence`` in its present version."""


class Generate(Protocol):
    """``usecases.drawing.generate.Generate``."""

    def trouble(self) -> str | None:
        """Why nothing that is drawn could be kept now, in a sentence; asks nobody."""

    async def choose(
        self, model: str = "", vae: str = "", loras: Sequence[str] = ()
    ) -> Chosen | None:
        """What draws a request that names these; raises ``InvalidInput``."""

    async def recognize(self, record: Mapping[str, Any]) -> Chosen | None:
        """The model that a receipt names, if this server has it."""

    async def with_words(self, generation: Generation) -> Generation:
        """The same with the embeddings that its prompts name; raises ``InvalidInput``."""

    async def quote(
        self, generation: Generation, choice: Chosen | None = None, caller: Caller | None = None
    ) -> Quote:
        """The price, before anything is charged.

        With ``choice`` also what cannot be drawn, with ``caller`` what that one may not.
        """

    async def afford(
        self, caller: Caller, lines: Sequence[Generation], beside_micro: int = 0, *, waits: bool
    ) -> int:
        """The price of ``lines`` and ``beside_micro``; raises what limits and credits forbid."""

    async def admit(self, caller: Caller, idempotency_key: str | None) -> None:
        """Raises what limits and credits forbid, whatever is to be drawn; not for a retry."""

    async def recall(
        self, caller: Caller, idempotency_key: str, body_sha256: str
    ) -> Outcome | None:
        """What an idempotency key has drawn or is drawing; raises ``IdempotencyMismatch``."""

    async def run(self, caller: Caller, order: Order) -> Outcome:
        """Draw, store and bill. Cancelling the awaiting task means that the client left."""


class Gallery(Protocol):
    """``usecases.pictures.gallery.Gallery``."""

    async def picture(self, caller: Caller, picture_id: str) -> StoredPicture:
        """A picture with its file; raises ``NotFound``."""

    async def receipt(self, caller: Caller, picture_id: str) -> dict[str, Any]:
        """A picture's receipt; raises ``NotFound``."""

    async def link(self, caller: Caller, picture_id: str) -> str | None:
        """Where its file may be fetched without the server, if anywhere; raises ``NotFound``."""

    async def source(self, caller: Caller, sha256: str) -> Pixels:
        """A picture or mask that a kept request started from; raises ``Gone``."""

    async def pictures(
        self, caller: Caller, wanted: Wanted, *, after: Cursor | None, number: int
    ) -> Sequence[Found]:
        """Those that are wanted, newest first."""

    async def lineage(
        self, caller: Caller, picture_id: str
    ) -> tuple[Sequence[Found], Sequence[Found]]:
        """What one was drawn from, and what was drawn from it; raises ``NotFound``."""

    async def folders(self, caller: Caller) -> Mapping[str, int]:
        """Folders by name, with how many pictures each holds."""

    async def mark(self, caller: Caller, picture_ids: Sequence[str], marks: Marks) -> None:
        """Say something of pictures; raises ``NotFound``."""

    async def delete(self, caller: Caller, picture_id: str) -> None:
        """Delete a picture for good; raises ``NotFound``."""

    async def delete_all(self, caller: Caller) -> int:
        """Forget all finished requests; how many there were."""


class Replay(Protocol):
    """``usecases.pictures.replay.Replay``."""

    async def order(self, caller: Caller, record: Mapping[str, Any]) -> Order:
        """What draws a receipt again; raises ``InvalidInput`` and ``Gone``."""

    async def compare(
        self, caller: Caller, record: Mapping[str, Any], outcome: Outcome
    ) -> Replayed:
        """What was drawn, held against the receipt."""


class Engine(Protocol):
    """The part of ``engine.batching.client.EngineClient`` that surfaces look at."""

    def status(self) -> EngineStatus:
        """A snapshot."""


@dataclass(frozen=True)
class Services:
    """Everything ``create_app`` needs beside the settings."""

    generate: Generate
    accounts: Accounts
    administration: Administration
    engine: Engine
    queue: Queue
    gallery: Gallery
    replay: Replay
    decoder: Decoder = field(default_factory=Here)
    budget: Budget = field(default_factory=lambda: Budget(2**30))
    models: Library = field(default_factory=Library)
    upscaling: Upscaling = field(default_factory=Upscaling)
    preprocessing: Preprocessing = field(default_factory=Preprocessing)

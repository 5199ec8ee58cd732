"""What callers hand to the use cases, and what they get back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from limner.domain.params import Generation
from limner.engine.batching.ticket import Event, Pixels
from limner.usecases.drawing.choosing import Chosen

Listener = Callable[[Event], None]


@dataclass(frozen=True)
class Order:
    """One call: what to draw, and how it came in.

    Its ``lines`` (one at least, all from the same ``pixels``) are stored as one request, paid for
    by one hold and settled together. ``body_sha256``, of the body as it was sent, tells whether two
    calls with one ``idempotency_key`` are the same. ``adjustments`` are sentences about what the
    surface changed. Both callbacks are called on the event loop and must not block: ``on_stored``
    with the id of the request that was made of this order, ``on_event`` with each engine event.
    ``choice``: the model; None: the server's own.
    """

    lines: tuple[Generation, ...]
    surface: str
    slug: str
    body_sha256: str
    pixels: Mapping[str, Pixels] = field(default_factory=dict)
    adjustments: tuple[str, ...] = ()
    idempotency_key: str | None = None
    on_stored: Callable[[str], None] | None = None
    on_event: Listener | None = None
    choice: Chosen | None = None

    @property
    def generation(self) -> Generation:
        """The first line's."""
        return self.lines[0]

    @property
    def samples(self) -> int:
        """Pictures of all lines together."""
        return sum(line.samples for line in self.lines)


@dataclass(frozen=True)
class Priced:
    """An order whose lines cost ``each_micro`` micro-credits a picture."""

    order: Order
    each_micro: tuple[int, ...]

    @property
    def total_micro(self) -> int:
        """What is held for the order."""
        return sum(each * line.samples for each, line in self.lines)

    @property
    def lines(self) -> list[tuple[int, Generation]]:
        """The lines, each behind the price of a picture of it."""
        return list(zip(self.each_micro, self.order.lines, strict=True))


@dataclass(frozen=True)
class StoredPicture:
    """A picture that can be fetched again by its ``id``; ``png`` is the lossless file."""

    id: str
    index: int
    seed: int
    width: int
    height: int
    png: bytes = field(repr=False)
    receipt: dict[str, Any] = field(repr=False)


@dataclass(frozen=True)
class Outcome:
    """What came of an order; amounts in micro-credits.

    ``lines`` are what was asked for, as it was stored: with the seeds and choices that were drawn.
    ``replayed`` says that another call with the same idempotency key had it drawn, and paid
    ``cost_micro``: this one took nothing. ``first_passes`` are those of ``pictures`` whose requests
    want them, numbered on after these.
    ``infer_seconds`` is from the engine's acceptance to the last picture.
    """

    request_id: str
    pictures: tuple[StoredPicture, ...]
    cost_micro: int
    remaining_micro: int
    infer_seconds: float
    adjustments: tuple[str, ...]
    replayed: bool
    lines: tuple[Generation, ...]
    first_passes: tuple[StoredPicture, ...] = ()

    @property
    def samples(self) -> int:
        """How many pictures were asked for."""
        return sum(line.samples for line in self.lines)

    @property
    def taken_micro(self) -> int:
        """What this call took from the account."""
        return 0 if self.replayed else self.cost_micro

"""What callers hand to the use cases, and what they get back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from limner.domain.params import Generation
from limner.engine.request import Event, Pixels


@dataclass(frozen=True)
class Order:
    """One call: what to draw, and how it came in.

    ``body_sha256`` tells whether two calls with one ``idempotency_key`` are the same.
    ``adjustments`` are sentences about what the surface changed. Both callbacks are called on the
    event loop and must not block: ``on_stored`` with the id of the request that was made of this
    order, ``on_event`` with each engine event.
    """

    generation: Generation
    surface: str
    slug: str
    body_sha256: str
    pixels: Mapping[str, Pixels] = field(default_factory=dict)
    adjustments: tuple[str, ...] = ()
    idempotency_key: str | None = None
    on_stored: Callable[[str], None] | None = None
    on_event: Callable[[Event], None] | None = None


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

    ``replayed`` says that another call with the same idempotency key had it drawn and paid for.
    ``infer_seconds`` is from the engine's acceptance to the last picture.
    """

    request_id: str
    pictures: tuple[StoredPicture, ...]
    cost_micro: int
    remaining_micro: int
    infer_seconds: float
    adjustments: tuple[str, ...]
    replayed: bool

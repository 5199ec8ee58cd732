"""A ticket on the engine's side; the engine makes an ``Image`` of each of its samples."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from limner.domain.params import Generation
from limner.engine.batching.ticket import Event, Pixels, Reader, Sink, Ticket

log = logging.getLogger(__name__)


class Choice(NamedTuple):
    """A checkpoint and a VAE by their SHA-256s.

    Empty are the engine's first model, and the VAE that it was loaded with or that a model has.
    """

    model: str = ""
    vae: str = ""


FIRST = Choice()


@dataclass(eq=False)
class Request:
    """A ticket that an engine has taken, with the pictures it starts from and its sink.

    ``pixels`` are by their SHA-256. ``sink`` is called on the engine's thread and must not block.
    ``choice`` says with which model it is drawn; ``waits_since`` where its owner stood in the order
    of turns (``Service``) when it began to wait for that model, if it had to.
    """

    id: str
    generation: Generation
    owner: str
    sink: Sink
    pixels: Mapping[str, Pixels] = field(default_factory=dict)
    first: int = 0
    watched: bool = False
    choice: Choice = FIRST
    waits_since: int | None = None

    @classmethod
    def of(cls, ticket: Ticket, sink: Sink, read: Reader) -> Request:
        """Reads what the ticket starts from; raises what ``read`` raises."""
        names, pixels = ticket.generation.pictures, dict[str, Pixels]()
        if names and ticket.sources is not None:
            pixels = dict(read(ticket.sources, names))
        own = (ticket.id, ticket.generation, ticket.owner, sink, pixels)
        return cls(*own, ticket.first, ticket.watched, Choice(ticket.model, ticket.vae))

    def tell(self, event: Event) -> None:
        """A sink that fails is its caller's trouble, not the other callers'."""
        try:
            self.sink(event)
        except Exception:
            log.exception("nobody took %s of %s", type(event).__name__, self.id)

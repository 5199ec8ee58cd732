"""Which replica a ticket goes to: one that draws such pictures already, unless it has too much.

A forward pass holds pictures of one model and size, so those should meet in one replica; and a
model or a LoRA that is in a replica's memory need not be loaded by another. Each kind of ticket has
a home among the replicas (rendezvous hashing); where that has more to do than another, the ticket
goes to the one that has least.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from limner.engine.batching.ticket import Ticket

SPARE = 2  # tickets that the home may have more than the least loaded


def route_of(ticket: Ticket) -> str:
    """What should meet in one replica: model, size, and what is drawn with beside the model."""
    g = ticket.generation
    beside = sorted([each.sha256 for each in g.loras] + [each.sha256 for each in g.controls])
    return "/".join([ticket.model, ticket.vae, f"{g.width}x{g.height}", *beside])


def ranked(route: str, loads: Mapping[str, int]) -> list[str]:
    """Replicas, best first, by the tickets that each has: the home, then the least loaded."""
    by_load = sorted(loads, key=lambda name: (loads[name], _weight(route, name)))
    home = max(loads, key=lambda name: _weight(route, name))
    if loads[home] > min(loads.values()) + SPARE:
        return by_load
    return [home, *(name for name in by_load if name != home)]


def _weight(route: str, name: str) -> bytes:
    return hashlib.sha256(f"{route} {name}".encode()).digest()

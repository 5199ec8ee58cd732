"""A client for a Limner server: ``Client`` waits, ``AsyncClient`` awaits; both do the same."""

from __future__ import annotations

from limner.client.awaiting import AsyncClient
from limner.client.pictures import Larger, Picture, Replayed
from limner.client.waiting import Client
from limner.client.words import Credits, Options, Progress, Quote

__all__ = [
    "AsyncClient",
    "Client",
    "Credits",
    "Larger",
    "Options",
    "Picture",
    "Progress",
    "Quote",
    "Replayed",
]

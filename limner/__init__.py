"""Limner: a self-hosted image server, and ``Client`` and ``AsyncClient`` to draw with one.

Nothing heavy is imported before it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from limner.client import AsyncClient as AsyncClient
    from limner.client import Client as Client
    from limner.client import Picture as Picture

__version__ = "0.1.0"
_EXPORTS = ("AsyncClient", "Client", "Picture")


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'limner' has no attribute {name!r}")
    from limner import client

    return getattr(client, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_EXPORTS})

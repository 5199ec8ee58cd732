"""Who has the connections of a server: how many there may be, and who makes room for others.

One address may have half of them, so that the others always find a place. Where a newcomer finds
none, a connection that waits for its own client goes: an idle one, one whose head has not come,
one whose answer nobody reads; those of callers without a key first, the longest waiting first. A
call of a key that is being answered never goes. Where nobody waits, the newcomer is told so.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Protocol
from weakref import WeakKeyDictionary

SHARE = 2  # one address may have one in so many
TOLD_SHARE = 8  # and one in so many more may wait to be told that there is no place


class Placed(Protocol):
    """A connection."""

    @property
    def waits(self) -> bool:
        """Whether the server owes it nothing until its client does something."""

    @property
    def known(self) -> bool:
        """Whether its last call had a good key."""

    def leave(self) -> None:
        """Close it at once."""


class Places:
    """The connections of one server, by the address they come from; ``most`` None: no limit."""

    def __init__(self, most: int | None) -> None:
        self.most = most
        self._of_peer: dict[str, dict[Placed, None]] = {}
        self._number = 0
        self._told: dict[Placed, None] = {}

    def come(self, connection: Placed, peer: str) -> bool:
        """Whether a newcomer has a place; else it may only stay to be told that it has none."""
        crowded = self._crowded(peer)
        if crowded is not None and not _make_room(crowded):
            self._tell(connection)
            return False
        self._of_peer.setdefault(peer, {})[connection] = None
        self._number += 1
        return True

    def rest(self, connection: Placed, peer: str) -> None:
        """It has begun to wait: of those of its address it is now the last to go."""
        own = self._of_peer.get(peer, {})
        if connection in own:
            del own[connection]
            own[connection] = None

    def go(self, connection: Placed, peer: str) -> None:
        """It has gone; also told twice."""
        self._told.pop(connection, None)
        own = self._of_peer.get(peer, {})
        if connection in own:
            del own[connection]
            self._number -= 1
            if not own:
                del self._of_peer[peer]

    def _crowded(self, peer: str) -> dict[Placed, None] | None:
        """Where somebody must go before one more of this address comes."""
        if self.most is None:
            return None
        own = self._of_peer.get(peer, {})
        if len(own) >= max(1, self.most // SHARE):
            return own
        return max(self._of_peer.values(), key=len) if self._number >= self.most else None

    def _tell(self, connection: Placed) -> None:
        self._told[connection] = None
        if len(self._told) > max(1, (self.most or 0) // TOLD_SHARE):
            next(iter(self._told)).leave()


def _make_room(crowded: Iterable[Placed]) -> bool:
    """Send away who has waited longest, strangers first; whether there was one."""
    known: Placed | None = None
    for connection in crowded:
        if connection.waits and not connection.known:
            connection.leave()
            return True
        if known is None and connection.waits:
            known = connection
    if known is not None:
        known.leave()
    return known is not None


def peer_of(address: str) -> str:
    """Whom an address stands for: of IPv6 a network of 64 bits, which is what one host has."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((found, 64), strict=False))
    return address


_of_server: WeakKeyDictionary[object, Places] = WeakKeyDictionary()


def of_server(server: object, most: int | None) -> Places:
    """The places of a running server, the same for all its connections."""
    return _of_server.setdefault(server, Places(most))

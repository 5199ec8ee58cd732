"""How much UNet work each owner received: from it follows whose turn it is."""

from __future__ import annotations

from collections.abc import Collection

from limner.engine.batching.request import Request


class Service(dict[str, int]):
    """Counters by owner, in rows times latent pixels.

    ``now`` is the least of those who ran; it only grows. Who begins, or comes back, starts there,
    or at its own counter where that is more. Who had to wait for a model starts behind it by what
    the others got meanwhile, at most a full step of that model.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = 0

    def ran(self, owners: Collection[str]) -> None:
        """A step begins, in which these take part."""
        self.now = max(self.now, min(self[owner] for owner in owners))

    def wait(self, request: Request) -> None:
        """The request begins to wait for its model."""
        if request.waits_since is None:
            request.waits_since = max(self.now, self.get(request.owner, self.now))

    def enter(self, request: Request, full_step: int) -> None:
        """Its owner begins, or comes back, to take part."""
        least = self.now
        if request.waits_since is not None:
            least = min(least, max(request.waits_since, least - full_step))
        self[request.owner] = max(self.get(request.owner, least), least)

    def forget(self, here: Collection[str]) -> None:
        """Keep the counters of those who are here, and of those who left ahead of the others."""
        gone = [owner for owner, got in self.items() if owner not in here and got <= self.now]
        for owner in gone:
            del self[owner]

"""The batching scheduler: which images share the next forward pass.

It holds no tensors and runs no model. Three rules, in this order:

1. *Turns by service.* Each owner (API key) has a counter of the UNet work it received. The image
   of the least-served owner leads; its latent size and context bucket are those of the step, so
   sizes take turns without anyone planning them.
2. *Mates by service.* Places beside the lead go, one by one, to the least-served owner with an
   image of the same key. An owner who would get further ahead of the lead than one of the lead's
   own evaluations costs is left out, so that a flood cannot slow a single picture by filling the
   batch around it.
3. *Memory.* An image enters only when its history fits; the rest wait in the order of service.

This is start-time fair queueing (Goyal, Vin and Cheng, 1996) over UNet rows: a newcomer starts
at the least service of those present, so that nobody saves up a claim by being away.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from limner.engine.request import Image


class Scheduler:
    """Images waiting, in preparation and running.

    ``max_rows`` UNet rows run together at ``native_area`` latent pixels, proportionally fewer
    at larger sizes and always at least one image; ``max_bytes`` bounds the histories in flight.
    """

    def __init__(self, *, max_rows: int, native_area: int, max_bytes: int) -> None:
        self.max_rows = max_rows
        self.native_area = native_area
        self.max_bytes = max_bytes
        self.bytes = 0
        self._waiting: dict[str, deque[Image]] = {}
        self._preparing: list[Image] = []
        self._running: list[Image] = []
        self._service: dict[str, float] = {}

    @property
    def waiting(self) -> int:
        """Images that have not entered yet."""
        return sum(map(len, self._waiting.values()))

    @property
    def in_flight(self) -> int:
        """Images in preparation or running."""
        return len(self._preparing) + len(self._running)

    def add(self, image: Image) -> None:
        """Put an image at the end of its owner's line."""
        owner = image.request.owner
        if owner not in self._service:
            self._service[owner] = min(self._service.values(), default=0.0)
        self._waiting.setdefault(owner, deque()).append(image)

    def admit(self) -> list[Image]:
        """Let in what memory allows, least-served owner first; each must now be prepared."""
        admitted = []
        while (owner := self._next_to_admit()) is not None:
            image = self._waiting[owner].popleft()
            if not self._waiting[owner]:
                del self._waiting[owner]
            self.bytes += image.bytes
            self._preparing.append(image)
            admitted.append(image)
        return admitted

    def start(self, image: Image) -> None:
        """A prepared image takes part from the next step on."""
        self._preparing.remove(image)
        self._running.append(image)

    def schedule(self) -> list[Image]:
        """The images of the next forward pass: one key, the lead first; empty when idle."""
        if not self._running:
            return []
        lead = min(self._running, key=self._turn)
        batch: list[Image] = []
        rows = 0
        for image in self._mates(lead):
            if batch and rows + image.rows > self._rows_at(lead.key):
                break
            batch.append(image)
            rows += image.rows
        for image in batch:
            self._service[image.request.owner] += image.cost
        return batch

    def remove(self, image: Image) -> None:
        """Forget an image in flight (finished, failed or dropped)."""
        (self._running if image in self._running else self._preparing).remove(image)
        self.bytes -= image.bytes
        self._forget_idle_owners()

    def drop(self, request_id: str) -> list[Image]:
        """Remove every image of a request that has not finished, and return them."""
        dropped = [i for i in (*self._preparing, *self._running) if i.request.id == request_id]
        for image in dropped:
            self.remove(image)
        for owner, line in list(self._waiting.items()):
            dropped += [image for image in line if image.request.id == request_id]
            kept = deque(image for image in line if image.request.id != request_id)
            if kept:
                self._waiting[owner] = kept
            else:
                del self._waiting[owner]
        self._forget_idle_owners()
        return dropped

    def all(self) -> list[Image]:
        """Every image known, in no particular order."""
        lines = [image for line in self._waiting.values() for image in line]
        return [*self._running, *self._preparing, *lines]

    def _turn(self, image: Image) -> tuple[bool, float]:
        # Where only one image fits a step, sharing would only make everybody last: it is finished
        # before another owner's turn.
        alone = image.rows >= self._rows_at(image.key)
        return (alone and image.evaluation == 0, self._service[image.request.owner])

    def _mates(self, lead: Image) -> Iterator[Image]:
        """The lead, then images of its key by least service, none too far ahead of the lead."""
        service = dict(self._service)
        lines: dict[str, deque[Image]] = {}
        for image in self._running:
            if image.key == lead.key and image is not lead:
                lines.setdefault(image.request.owner, deque()).append(image)
        service[lead.request.owner] += lead.cost
        yield lead
        while lines:
            owner = min(lines, key=lambda name: service[name])
            if service[owner] > service[lead.request.owner] + lead.cost:
                return
            image = lines[owner].popleft()
            if not lines[owner]:
                del lines[owner]
            service[owner] += image.cost
            yield image

    def _next_to_admit(self) -> str | None:
        """The owner with the fewest rows in flight whose next image fits."""
        rows: dict[str, int] = {}
        for image in (*self._preparing, *self._running):
            rows[image.request.owner] = rows.get(image.request.owner, 0) + image.rows
        fitting = [
            owner
            for owner, line in self._waiting.items()
            if rows.get(owner, 0) < 2 * self.max_rows
            and (self.bytes + line[0].bytes <= self.max_bytes or not self.in_flight)
        ]
        return min(fitting, key=lambda o: (rows.get(o, 0), self._service[o]), default=None)

    def _rows_at(self, key: tuple[int, int, int]) -> int:
        height, width, _ = key
        return max(1, self.max_rows * self.native_area // max(1, height * width))

    def _forget_idle_owners(self) -> None:
        active = {image.request.owner for image in self.all()}
        self._service = {owner: s for owner, s in self._service.items() if owner in active}

"""The batching scheduler: which images share the next forward pass.

It holds no tensors and runs no model. Its rules, in this order:

1. *Turns by service.* Each owner (API key) has a counter of the UNet work it received. The image
   of the least-served owner leads, and its group is the step's: so sizes take turns unplanned.
2. *Finish what has begun, among equals.* Where pictures fill a step each, turns would only make
   everybody last. There the one begun first leads, until its owner is a ``TURN`` ahead.
3. *Mates by service.* Places beside the lead go, one by one, to the least-served owner with an
   image of the same group. An owner who would get further ahead of the lead than one of the lead's
   own evaluations costs is left out, so that a flood cannot slow a single picture by filling the
   batch around it; and so is one whose oldest image, of another group, was long passed over.
4. *Memory.* The image of the owner with the fewest rows in flight enters next; while it does not
   fit, nobody passes it.

This is start-time fair queueing (Goyal, Vin and Cheng, 1996) over UNet rows; ``service`` counts it.
ADR 0001 has the bound that follows.
"""

from __future__ import annotations

from bisect import insort
from collections import Counter, deque
from collections.abc import Iterator
from itertools import count

from limner.engine.batching.admission import Admission
from limner.engine.batching.image import Image
from limner.engine.batching.knees import Knees
from limner.engine.batching.request import Choice
from limner.engine.batching.seniority import Seniority
from limner.engine.batching.service import Service

TURN = 64
"""Full steps of work by which an owner may get ahead to finish a picture that fills a step."""


class Scheduler:
    """Images waiting, in preparation (before their first phase or between two) and running.

    ``max_rows`` UNet rows run together at ``native_area`` latent pixels, proportionally fewer
    at larger sizes and always at least one image, where ``knees`` says nothing else of a model;
    ``max_bytes`` bounds what is in flight.
    """

    def __init__(self, *, max_rows: int, native_area: int, max_bytes: int) -> None:
        self.knees = Knees((max_rows, native_area))
        self.turn = TURN
        self._admission = Admission(max_bytes=max_bytes, max_rows=self.knees.owner_max)
        self._preparing: list[Image] = []
        self._running: list[Image] = []  # in the order in which they first began to take part
        self._places = count(1)  # of images, as they first take part
        self.service = Service()
        self._seniority = Seniority()

    @property
    def waiting(self) -> int:
        """Images that have not entered yet."""
        return len(self._admission)

    @property
    def bytes(self) -> int:
        """What those in flight take in memory."""
        return self._admission.bytes

    @property
    def in_flight(self) -> Counter[Choice]:
        """Images in preparation or running, by what draws them."""
        return Counter(image.request.choice for image in (*self._preparing, *self._running))

    def add(self, image: Image) -> None:
        """Put an image at the end of its owner's line."""
        if image.request.owner not in self.service:
            self.service.enter(image.request, self.knees.work(image))
        self._admission.add(image)

    def admit(self) -> list[Image]:
        """Let in what memory allows, least-served owner first; each must now be prepared."""
        rows: Counter[str] = Counter()
        for image in (*self._preparing, *self._running):
            rows[image.request.owner] += image.rows
        admitted = []
        while (following := self._admission.next(rows, self.service)) is not None:
            rows[following.request.owner] += following.rows
            admitted.append(following)
        self._preparing += admitted
        return admitted

    def start(self, image: Image) -> None:
        """A prepared image takes part from the next step on, at its old place if it had one."""
        self._preparing.remove(image)
        image.place = image.place or next(self._places)
        if image.request.owner not in self._owners():
            self.service.enter(image.request, self.knees.work(image))
        insort(self._running, image, key=lambda one: one.place)

    def rest(self, image: Image) -> None:
        """Between two phases an image keeps its place and memory, and takes no part."""
        self._running.remove(image)
        self._preparing.append(image)

    def schedule(self) -> list[Image]:
        """The images of the next forward pass: one group, the lead first; empty when idle."""
        if not self._running:
            return []
        self.service.ran(self._owners())
        lead = self._lead()
        batch: list[Image] = []
        rows = 0
        for image in self._mates(lead):
            if batch and rows + image.rows > self.knees.rows(lead):
                break
            batch.append(image)
            rows += image.rows
        for image in batch:
            self.service[image.request.owner] += image.cost
        self._seniority.count(self._running, batch)
        return batch

    def remove(self, image: Image) -> None:
        """Forget an image in flight (finished, failed or dropped)."""
        (self._running if image in self._running else self._preparing).remove(image)
        self._admission.leave(image)
        self._forget_owners()

    def drop(self, request_id: str) -> list[Image]:
        """Remove every image of a request that has not finished, and return them."""
        dropped = [i for i in (*self._preparing, *self._running) if i.request.id == request_id]
        for image in dropped:
            self.remove(image)
        dropped += self._admission.take(lambda image: image.request.id == request_id)
        self._forget_owners()
        return dropped

    def withdraw(self, choice: Choice) -> list[Image]:
        """Take out what has not entered and is drawn with this model."""
        return self._admission.take(lambda image: image.request.choice == choice)

    def all(self) -> list[Image]:
        """Every image known, in no particular order."""
        return [*self._running, *self._preparing, *self._admission.images()]

    def _owners(self) -> set[str]:
        """Those who have images running."""
        return {image.request.owner for image in self._running}

    def _lead(self) -> Image:
        lead = min(self._running, key=lambda image: self.service[image.request.owner])
        if not self.knees.fills(lead):
            return lead
        equal = self.service[lead.request.owner] + self.turn * self.knees.work(lead)
        for image in self._running:
            begun = image.evaluation and self.knees.fills(image)
            if begun and self.service[image.request.owner] <= equal:
                return image
        return lead

    def _mates(self, lead: Image) -> Iterator[Image]:
        """The lead, then images of its group by least service, none too far ahead of the lead."""
        service = dict(self.service)
        lines: dict[str, deque[Image]] = {}
        held_back = self._seniority.held_back(self._running, lead.group)
        for image in self._running:
            owner = image.request.owner
            if image.group == lead.group and image is not lead and owner not in held_back:
                lines.setdefault(owner, deque()).append(image)
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

    def _forget_owners(self) -> None:
        self.service.forget({image.request.owner for image in self.all()})
        self._seniority.forget_absent(self._running)

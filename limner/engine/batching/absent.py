"""Images whose model is not in memory, in the order in which they came."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from limner.engine.batching.image import Group, Image
from limner.engine.batching.request import Choice, Request


class Absent:
    """Also decides whose model comes next: owners take turns by the loads made for them.

    Who comes begins at the least number of those who wait; who has left owes nothing.
    """

    def __init__(self) -> None:
        self.images: list[Image] = []
        self._loads: dict[str, int] = {}

    def add(self, images: Iterable[Image]) -> None:
        """Have these wait, behind the others."""
        for image in images:
            least = min(self._loads.values(), default=0)
            self._loads.setdefault(image.request.owner, least)
            self.images.append(image)

    def take(self, wanted: Callable[[Image], bool]) -> list[Image]:
        """Remove and give those that are wanted."""
        taken = [image for image in self.images if wanted(image)]
        if taken:
            self.images = [image for image in self.images if not wanted(image)]
            here = {image.request.owner for image in self.images}
            self._loads = {o: n for o, n in self._loads.items() if o in here}
        return taken

    def choices(self) -> list[Choice]:
        """The models waited for, the most urgent first."""
        order = sorted(self.images, key=self._turn)
        return list(dict.fromkeys(image.request.choice for image in order))

    def charge(self, choice: Choice) -> None:
        """A load begins, on the account of the one for whom it does."""
        waiting = [image for image in self.images if image.request.choice == choice]
        owner = min(waiting, key=self._turn).request.owner
        self._loads[owner] += 1

    def _turn(self, image: Image) -> int:
        return self._loads[image.request.owner]


def unplanned(request: Request) -> list[Image]:
    """The request's images while its model is not there: their requests and numbers alone.

    They are told by having no evaluations.
    """
    nothing = (Group("", 0, 0), 0, 0, 0, range(0), 0)
    return [Image(request, index, *nothing) for index in range(request.generation.samples)]

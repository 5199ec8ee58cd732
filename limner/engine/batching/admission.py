"""Who waits to enter the engine, and who is next when memory allows."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence

from limner.engine.batching.image import Image
from limner.errors import InvalidInput


class Admission:
    """A line of images for each owner.

    ``max_bytes`` bounds what is in flight, except that one image always enters. An owner who has
    ``max_rows`` of the image in flight does not let it in; what has entered stays, though its rows
    may grow.
    """

    def __init__(self, *, max_bytes: int, max_rows: Callable[[Image], int]) -> None:
        self.max_bytes = max_bytes
        self._max_rows = max_rows
        self.bytes = 0
        self._lines: dict[str, deque[Image]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._lines.values()))

    def images(self) -> list[Image]:
        """Everything that waits."""
        return [image for line in self._lines.values() for image in line]

    def add(self, image: Image) -> None:
        """Put an image at the end of its owner's line."""
        self._lines.setdefault(image.request.owner, deque()).append(image)

    def next(self, rows: Mapping[str, int], served: Mapping[str, int]) -> Image | None:
        """Let in the next image of the owner with the fewest ``rows`` in flight.

        Among these the least ``served`` comes first. None when nobody waits, and while it does
        not fit: were others let past it, a large picture would never enter beside a flood of
        small ones.
        """
        wanting = [
            owner
            for owner, line in self._lines.items()
            if rows.get(owner, 0) < self._max_rows(line[0])
        ]
        if not wanting:
            return None
        owner = min(wanting, key=lambda name: (rows.get(name, 0), served[name]))
        line = self._lines[owner]
        if rows and self.bytes + line[0].bytes > self.max_bytes:
            return None
        image = line.popleft()
        if not line:
            del self._lines[owner]
        self.bytes += image.bytes
        return image

    def leave(self, image: Image) -> None:
        """An image that had entered is gone, and its memory free."""
        self.bytes -= image.bytes

    def take(self, wanted: Callable[[Image], bool]) -> list[Image]:
        """Take those that are wanted out of their lines."""
        dropped = [image for image in self.images() if wanted(image)]
        for image in dropped:
            owner = image.request.owner
            self._lines[owner].remove(image)
            if not self._lines[owner]:
                del self._lines[owner]
        return dropped


def expect_fits(images: Sequence[Image], max_bytes: int) -> None:
    """Raises ``InvalidInput`` when a request's image could never enter."""
    needed = max((image.bytes for image in images), default=0)
    if needed > max_bytes:
        generation = images[0].request.generation
        field, asked = "steps", f"A picture of {generation.steps} steps at this size"
        if larger := generation.hires or generation.sd_upscale:
            field = "hires" if generation.hires else "sd_upscale"
            asked = f"{field} to {larger.width}x{larger.height}"
        raise InvalidInput(
            field,
            f"{asked} needs {needed >> 20} MiB while it is drawn; the limit is "
            f"{max_bytes >> 20} MiB. Fewer steps or a smaller size fit.",
        )

"""How many UNet rows run well together: the knee of throughput, of each model its own."""

from __future__ import annotations

from limner.engine.batching.image import Image
from limner.engine.batching.request import Choice

Knee = tuple[int, int]
"""So many rows at so many latent pixels; proportionally fewer at larger sizes."""


class Knees:
    """``first`` holds for a model of which ``known`` says nothing else."""

    def __init__(self, first: Knee) -> None:
        self.known: dict[Choice, Knee] = {}
        self._first = first

    def of(self, image: Image) -> Knee:
        """The knee of the image's model."""
        return self.known.get(image.request.choice, self._first)

    def owner_max(self, image: Image) -> int:
        """With so many rows in flight an owner does not let the image in."""
        return 2 * self.of(image)[0]

    def rows(self, image: Image) -> int:
        """The most rows in a step that the image leads, unless it has more itself."""
        max_rows, area = self.of(image)
        return max(1, max_rows * area // image.group.area)

    def work(self, image: Image) -> int:
        """What a full step of the image's model costs."""
        max_rows, area = self.of(image)
        return max_rows * area

    def fills(self, image: Image) -> bool:
        """Whether no other image fits beside it."""
        return image.rows >= self.rows(image)

"""An owner's own pictures begin in their order, however the steps' sizes fall."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from limner.engine.batching.image import Group, Image

PATIENCE = 16
"""Steps in a row that may serve an owner but not its oldest image."""


class Seniority:
    """Keeps an owner's younger images from passing over its oldest, of another group, for ever.

    ``running`` is always in the order in which images began to take part.
    """

    def __init__(self) -> None:
        self._passed: dict[str, int] = {}  # steps in a row that passed an owner's oldest image

    def held_back(self, running: Sequence[Image], group: Group) -> set[str]:
        """The owners who may not join a step of ``group`` before their oldest image has led one."""
        oldest = _oldest(running)
        return {o for o, n in self._passed.items() if n >= PATIENCE and oldest[o].group != group}

    def count(self, running: Sequence[Image], batch: Collection[Image]) -> None:
        """Note who was served in a step."""
        oldest = _oldest(running)
        for owner in {image.request.owner for image in batch}:
            self._passed[owner] = 0 if oldest[owner] in batch else self._passed.get(owner, 0) + 1

    def forget_absent(self, running: Sequence[Image]) -> None:
        """Forget owners who no longer run."""
        present = _oldest(running)
        self._passed = {o: n for o, n in self._passed.items() if o in present}


def _oldest(running: Sequence[Image]) -> dict[str, Image]:
    return {image.request.owner: image for image in reversed(running)}

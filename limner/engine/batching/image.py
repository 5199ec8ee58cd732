"""One picture on its way through the engine, and what it must share to run beside others.

An image owns *branches* (UNet rows): the unconditional one and one for each ``AND``-composed
prompt. No torch here: tensors live in ``Image.state``, which only the runner opens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from limner.engine.batching.request import Request


@dataclass(frozen=True)
class Group:
    """What must be equal in one forward pass: images of one group may run together.

    ``model`` names what draws: its SHA-256, and that of a VAE in place of its own. ``height`` and
    ``width`` are in latent pixels, ``bucket`` counts the chunks of 77 tokens that a row's context
    is padded to, and ``features`` names whatever else changes the shape of the pass; none does yet.
    """

    model: str
    height: int
    width: int
    bucket: int = 1
    features: frozenset[str] = frozenset()

    @property
    def area(self) -> int:
        """Latent pixels."""
        return self.height * self.width

    def cost(self, rows: int) -> int:
        """Relative cost of an evaluation of so many UNet rows: rows times latent pixels."""
        return rows * self.area


@dataclass(eq=False)
class Image:
    """One picture on its way; the scheduler reads it, the runner alone writes ``state``.

    It is drawn in one phase or several, of at least one evaluation each (ADR 0013). ``evaluation``
    counts finished evaluations, of ``evaluations`` in all phases; ``phase`` are those of the
    phase under way. ``group``, ``rows`` and ``cost`` are those of the next evaluation: the runner
    sets them in ``plan``, at the end of each step and between phases. ``bytes`` is the most that
    the image holds in memory in any phase; it never changes. ``place`` is the scheduler's: where
    it stands among all that ever began, from 1. ``enlarges``: a network begins the phase, for long.
    """

    request: Request
    index: int
    group: Group
    rows: int
    cost: int
    bytes: int
    phase: range
    evaluations: int
    evaluation: int = 0
    place: int = 0
    state: Any = None
    enlarges: bool = False

    @property
    def number(self) -> int:
        """Its place among all pictures of its request, in events."""
        return self.request.first + self.index

    @property
    def seed(self) -> int:
        return self.request.generation.seed_of(self.index)

    @property
    def exact(self) -> bool:
        return self.request.generation.exact

    @property
    def k(self) -> int:
        """The number of its next evaluation in its phase, from 0."""
        return self.evaluation - self.phase.start

    @property
    def phase_over(self) -> bool:
        return self.evaluation >= self.phase.stop

    @property
    def finished(self) -> bool:
        """No evaluation is left, in any phase."""
        return self.evaluation >= self.evaluations

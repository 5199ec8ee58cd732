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

    ``model`` is the checkpoint's SHA-256, ``height`` and ``width`` are in latent pixels,
    ``bucket`` counts the chunks of 77 tokens that a row's context is padded to, and ``features``
    names whatever else changes the shape of the pass or what it runs; none does yet.
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

    ``group``, ``rows`` and ``cost`` are those of its next evaluation: the runner sets them in
    ``plan`` and may set others at the end of each step. ``bytes`` is the most that the image holds
    in memory from its entering to its end; it never changes. ``evaluation`` counts finished
    evaluations, of ``evaluations`` in all.
    """

    request: Request
    index: int
    group: Group
    rows: int
    cost: int
    bytes: int
    evaluations: int
    evaluation: int = 0
    state: Any = None

    @property
    def seed(self) -> int:
        return self.request.generation.seed_of(self.index)

    @property
    def exact(self) -> bool:
        return self.request.generation.exact

    @property
    def finished(self) -> bool:
        return self.evaluation >= self.evaluations

"""What one image draws side by side: tiles of its picture, each with a history of its own."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from limner.domain.model import ModelInfo
from limner.engine.adapters.resident import Adapters
from limner.engine.batching.image import Image
from limner.engine.batching.ticket import Facts
from limner.engine.checkpoints.weights import Checkpoint
from limner.engine.controls.resident import Controls
from limner.engine.sampling import history
from limner.engine.sampling.conditioning import Conditioner
from limner.engine.sampling.guidance import Guidance
from limner.engine.sampling.history import History
from limner.engine.sampling.matrices import Trace
from limner.engine.sampling.passes import Course
from limner.errors import Aborted


@dataclass(eq=False)
class Strands:
    """Histories that differ in what they start from, in noise and in pixels, and in nothing else.

    To the runner they are one, whose flat latent (n L,) has theirs one after the other.
    """

    strands: tuple[History, ...]

    @property
    def course(self) -> Course:
        return self.strands[0].course

    @property
    def trace(self) -> Trace:
        return self.strands[0].trace

    @property
    def guidance(self) -> Guidance:
        return self.strands[0].guidance

    def rows(self, k: int) -> int:
        """UNet rows of evaluation k."""
        return sum(each.rows(k) for each in self.strands)

    def at(self, k: int) -> Tensor:
        """The UNet's inputs at evaluation k, or after the last one the finished latents."""
        return torch.cat([each.at(k) for each in self.strands])

    def guided(self, k: int, E: Tensor) -> Tensor:
        """The guided outputs of evaluation k, of those of all rows: (rows, C, n)."""
        parts = torch.split(E, [each.rows(k) for each in self.strands])
        return torch.cat([s.guided(k, e) for s, e in zip(self.strands, parts, strict=True)])

    def add(self, k: int, eps: Tensor) -> None:
        """Remember the guided outputs of evaluation k."""
        for each, own in zip(self.strands, eps.chunk(len(self.strands)), strict=True):
            each.add(k, own)

    def denoised(self, k: int) -> Tensor:
        """The estimate of the first one's latent: what is shown of a picture under way."""
        return self.strands[0].denoised(k)


@dataclass(frozen=True, eq=False)
class Done:
    """An image that turns out to be finished between two passes."""

    course: Course


def begin(
    image: Image,
    checkpoint: Checkpoint,
    conditioner: Conditioner,
    adapters: Adapters,
    controls: Controls,
) -> History | Strands | Done:
    """Everything an image needs before the first evaluation of a pass; see ``history.begin``."""
    course: Course = image.state.begin(checkpoint)
    course.enter(image)
    if course.finished is not None:
        return Done(course)
    using = (checkpoint, conditioner, adapters, controls)
    made = tuple(history.begin(image, course, part, *using) for part in course.parts)
    return Strands(made) if len(made) > 1 else made[0]


@torch.inference_mode()
def enlarge(checkpoint: Checkpoint, image: Image) -> None:
    """Have the pass begin, which takes long; ``begin`` does the rest.

    Raises ``Aborted`` soon after the image's state is taken away.
    """

    def proceed() -> None:
        if image.state is None:
            raise Aborted("The picture is no longer wanted.")

    begun: Course = image.state.begin(checkpoint, proceed)
    proceed()
    image.state = begun


def facts_of(image: Image, model: ModelInfo) -> Facts:
    """What the receipt says about how an image of ``model`` was computed."""
    course: Course = image.state.course
    last = course.rows_seen if isinstance(image.state, Done) else image.state.guidance.rows_max
    mode = "exact" if image.exact else "shared"
    rows = max(course.rows_max, last)
    return Facts(image.seed, image.evaluations, rows, model.dtype, mode, model, *course.told)

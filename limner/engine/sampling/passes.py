"""A picture of several passes: how each begins with what the one before it drew.

To the loop a pass is a phase (docs/adr/0013-phases.md). Each is a request of its own, with the same
seeds, from a picture like any other; ``starts`` says how that picture comes to be.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from torch import Tensor

from limner.domain.parts import Detail
from limner.engine.batching.image import Group, Image
from limner.engine.batching.request import Request
from limner.engine.batching.ticket import FirstPass, Pixels
from limner.engine.checkpoints.weights import Checkpoint
from limner.engine.sampling.details import Once, settled
from limner.engine.sampling.starts import Before, Begun, Larger, Start, decoded
from limner.engine.upscaling.tiles import nothing


@dataclass(frozen=True)
class Pass:
    """What is known of a pass before anything is drawn.

    ``request`` is what is drawn in it, ``start`` how it begins, ``evaluations`` are counted within
    the picture, ``rows`` the UNet rows of the first of them, ``bytes`` the most that it holds in
    memory.
    """

    request: Request
    start: Start
    group: Group
    rows: int
    evaluations: range
    bytes: int

    @property
    def steps(self) -> int:
        """User's steps that it runs."""
        return self.request.generation.steps_run


@dataclass(frozen=True, eq=False)
class Course:
    """The passes of a picture: ``number`` is the one under way, or about to begin.

    ``begun`` is the last that began, ``drawn`` (C, h, w) the latent that it left, None while it is
    under way, and ``rows_seen`` the most UNet rows of an evaluation of those before. ``first``:
    what the first drew, where it was asked for. ``found``: the details that are drawn, once a
    detector has looked for them; ``finished``: the picture, where it found nothing more to draw.
    """

    passes: tuple[Pass, ...]
    number: int = 0
    begun: Begun | None = None
    drawn: Tensor | None = None
    rows_seen: int = 0
    first: FirstPass | None = None
    found: tuple[Detail, ...] | None = None
    finished: Pixels | None = field(default=None, repr=False)

    @property
    def parts(self) -> tuple[Request, ...]:
        """What the pass under way draws side by side, with their pixels."""
        return self._begun.parts

    @property
    def latent(self) -> Tensor | None:
        """What it starts from, where that is no picture."""
        return self._begun.latent

    @property
    def _begun(self) -> Begun:
        assert self.begun is not None, "nothing is drawn before it begins"
        return self.begun

    @property
    def told(self) -> tuple[int | None, FirstPass | None, tuple[Detail, ...] | None]:
        """In which pieces the VAE takes its pictures, what the first pass drew, what was found."""
        return self.passes[0].request.generation.vae_tile, self.first, self.found

    @property
    def steps_before(self) -> int:
        """User's steps of the passes that are over."""
        return sum(each.steps for each in self.passes[: self.number])

    @property
    def rows_max(self) -> int:
        """The most UNet rows that a pass begins with, of those so far."""
        return max(each.rows for each in self.passes[: self.number + 1])

    def next(self, image: Image, drawn: Tensor, rows: int) -> Course:
        """Set ``image`` up for the next pass, and tell where that begins; an evaluation of the
        one that is over had ``rows`` at most."""
        seen = max(self.rows_max, self.rows_seen, rows)
        coming = replace(self, number=self.number + 1, drawn=drawn, rows_seen=seen)
        coming.enter(image)
        return coming

    def enter(self, image: Image) -> None:
        """Set ``image`` up for the pass under way, or about to begin."""
        own = self.passes[self.number]
        image.phase, image.group, image.rows = own.evaluations, own.group, own.rows
        image.cost, image.enlarges = own.group.cost(own.rows), own.start.enlarges
        image.evaluations = self.passes[-1].evaluations.stop

    def begin(self, checkpoint: Checkpoint, proceed: Callable[[], None] = nothing) -> Course:
        """The same with its pass begun, or finished where a detector finds nothing.

        ``proceed`` is called now and then where that takes long; what it raises ends it.
        """
        before = None
        if self.begun is not None:
            if self.drawn is None:
                return self  # it was made larger before
            before = Before(self.begun, self.drawn, checkpoint, proceed)
            coming = self.passes[self.number :]
            if isinstance(coming[0].start, Once) and any(map(_is_sought, coming)):
                return self._settled(before)._begun_after(before)
        return self._begun_after(before)

    def _settled(self, before: Before) -> Course:
        """With the boxes that are found in the picture, which is whole by now: passes for which
        none was are left out."""
        coming, passes = self.passes[self.number :], list(self.passes[: self.number])
        starts = [each.start for each in coming if isinstance(each.start, Once)]
        for each, start in zip(coming, settled(starts, before.picture), strict=True):
            if start is not None:
                at = passes[-1].evaluations.stop
                evaluations = range(at, at + len(each.evaluations))
                passes.append(replace(each, start=start, evaluations=evaluations))
        found = tuple(p.start.detail for p in passes if isinstance(p.start, Once))
        return replace(self, passes=tuple(passes), found=found)

    def _begun_after(self, before: Before | None) -> Course:
        if self.number == len(self.passes):
            assert before is not None, "a picture has a pass"
            return replace(self, number=self.number - 1, drawn=None, finished=before.picture)
        coming, first = self.passes[self.number], self.first
        if before is not None and isinstance(coming.start, Larger) and coming.start.keeps:
            first = FirstPass(before.picture, len(self.passes[0].evaluations), self.rows_seen)
        begun = coming.start.begin(coming.request, before)
        return replace(self, begun=begun, drawn=None, first=first)

    def decoded(self, checkpoint: Checkpoint, latent: Tensor) -> list[Pixels]:
        """What the parts of the pass under way drew; ``latent`` has one below the other."""
        return decoded(self._begun, checkpoint, latent)

    def picture(self, drawn: Sequence[Pixels]) -> Pixels:
        """What it makes of what they drew: the picture so far."""
        return self._begun.lay(drawn)


def _is_sought(coming: Pass) -> bool:
    """Whether it draws a box that is yet to be found."""
    return isinstance(coming.start, Once) and coming.start.detail.file is not None

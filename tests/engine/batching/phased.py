"""A runner without tensors whose pictures of prompts with ``!phases`` come in two phases.

The first has two evaluations at the picture's size; the second, one more at twice the sides. The
picture depends on what the first phase left, so that a phase that is lost or mixed up shows.
"""

from __future__ import annotations

from dataclasses import replace

from limner.engine.batching.fake import FakeRunner
from limner.engine.batching.image import Image
from limner.engine.batching.request import Request
from limner.engine.batching.ticket import Pixels

FIRST, SECOND = range(2), range(2, 3)


class PhasedRunner(FakeRunner):
    """``!again`` in the prompt fails in the second phase's preparation, ``!between`` before it."""

    def plan(self, request: Request) -> list[Image]:
        images = super().plan(request)
        if "!phases" in request.generation.prompt:
            for image in images:
                image.phase, image.evaluations = FIRST, SECOND.stop
        return images

    def prepare(self, image: Image) -> None:
        if image.phase != SECOND:
            image.state = "first"
            return
        if "!again" in image.request.generation.prompt:
            raise RuntimeError("a planted fault between two phases")
        assert image.state == "left by the first"
        image.state = "second"

    def advance(self, image: Image) -> Pixels | None:
        assert image.evaluation == image.phase.stop
        if image.finished:
            if image.phase == SECOND:
                assert image.state == "second", "it was prepared twice"
            return super().advance(image)
        if "!between" in image.request.generation.prompt:
            raise RuntimeError("a planted fault at the end of a phase")
        wide = replace(image.group, height=2 * image.group.height, width=2 * image.group.width)
        image.phase, image.group, image.rows = SECOND, wide, 1
        image.cost, image.state = wide.cost(1), "left by the first"
        return None

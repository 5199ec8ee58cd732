"""Is it the picture or the engine? What to make of a failure while drawing.

A picture that fails where others come through is itself at fault. Where none came through, the
engine draws a plain picture of its own, from its prompt to its pixels: when not even that works,
nothing will (a broken CUDA context, memory that others took), and no request is to blame.
"""

from __future__ import annotations

import logging
import time

from limner.domain.params import Generation
from limner.engine.batching.client import Runner
from limner.engine.batching.image import Image
from limner.engine.batching.request import Request
from limner.engine.batching.ticket import Event
from limner.errors import EngineBroken, LimnerError

log = logging.getLogger(__name__)

TRIES = 3
PAUSE_S = 0.5
PLAIN = Generation(prompt="", seed=0, steps=1)  # of the usual size, with both rows


Failures = list[tuple[Image, Exception]]


def run(runner: Runner, batch: list[Image]) -> tuple[list[Image], Failures]:
    """One step: the images that came through it, and those at fault, each with its error.

    When it fails, each image runs alone, so that only the culprit is lost. Raises
    ``EngineBroken`` as ``expect_working``.
    """
    came, failed = _try(runner, batch)
    if failed and len(batch) > 1:
        log.error("a step of %d images failed; running them one by one", len(batch))
        tried = [_try(runner, [image]) for image in batch]
        came = [image for through, _ in tried for image in through]
        failed = [failure for _, failures in tried for failure in failures]
    if failed and not came:
        expect_working(runner, failed[0][1])
    return came, failed


def _try(runner: Runner, batch: list[Image]) -> tuple[list[Image], Failures]:
    try:
        runner.step(batch)
    except Exception as error:
        return [], [(image, error) for image in batch]
    return batch, []


def expect_working(runner: Runner, cause: Exception) -> None:
    """Raises ``EngineBroken``, by ``cause``, when ``runner`` fails at a plain picture as well.

    On the engine's thread. A failure may pass (memory that comes back): it is tried ``TRIES``
    times.
    """
    for attempt in range(TRIES):
        if attempt:
            time.sleep(PAUSE_S)
        try:
            _draw_plain(runner)
        except LimnerError:
            return  # the model's own numbers, told in words: the engine works
        except Exception:
            log.exception("a plain picture failed as well, %d of %d times", attempt + 1, TRIES)
        else:
            return
    raise EngineBroken() from cause


def _draw_plain(runner: Runner) -> None:
    [image] = runner.plan(Request("plain", PLAIN, "engine", _to_nobody))
    pixels = None
    while pixels is None:
        runner.prepare(image)
        while not image.phase_over:
            runner.step([image])
        pixels = runner.advance(image)


def _to_nobody(event: Event) -> None:
    """A plain picture is for nobody."""

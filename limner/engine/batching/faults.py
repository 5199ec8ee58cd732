"""Is it the picture or the engine? What to make of a failure while drawing.

A picture that fails where others come through is itself at fault. Where none came through, the
engine draws a plain picture of its own, from its prompt to its pixels: when not even that works,
nothing will (a broken CUDA context, memory that others took), and no request is to blame.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection

from limner.domain.params import Generation
from limner.engine.batching.client import Runner
from limner.engine.batching.image import Image
from limner.engine.batching.request import Request
from limner.engine.batching.ticket import End, Event, Failed, Lost
from limner.errors import EngineBroken, EngineFault, LimnerError, NotFinite

log = logging.getLogger(__name__)

FAULT = "Drawing failed inside the engine."
ADDED = "It was drawn with {}: see whether it comes without, or with less weight."
TRIES = 3
PAUSE_S = 0.5
PLAIN = Generation(prompt="", seed=0, steps=1)  # of the usual size, with both rows
FIRST = PLAIN.model_copy(update={"width": 256, "height": 256})  # quick, at a start


Failures = list[tuple[Image, Exception]]
Ending = Callable[[Image], End]


def fail(error: LimnerError) -> Ending:
    """How images end that fail by ``error``."""
    return lambda image: Failed(image.number, error)


def lose(error: EngineBroken, suspects: Collection[Image]) -> Ending:
    """How they end when the engine breaks, ``suspects`` being drawn at that moment."""
    return lambda image: Lost(image.number, str(error), suspect=image in suspects)


def told(error: Exception, image: Image) -> LimnerError:
    """What the caller of an image hears of an error, of which the log has the whole."""
    if isinstance(error, NotFinite) and (names := _added(image.request.generation)):
        return NotFinite(f"{error} {ADDED.format(', '.join(names))}")
    if isinstance(error, LimnerError):
        return error
    log.error("image %d of %s failed", image.number, image.request.id, exc_info=error)
    return EngineFault(FAULT)


def _added(g: Generation) -> list[str]:
    """What a picture is drawn with beside its checkpoint; that may be what spoils it."""
    added = [f"LoRA {lora.name}" for lora in g.loras]
    added += [f"control {control.name}" for control in g.controls]
    return added + [f"embedding {embedding.name}" for embedding in g.embeddings or ()]


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


def prove(runner: Runner, *, draw: bool) -> None:
    """Have a runner that was loaded measured, and with ``draw`` a plain picture drawn by it.

    Raises ``EngineBroken`` where it cannot draw.
    """
    runner.begin()
    if draw:
        expect_working(runner, plain=FIRST)


def expect_working(
    runner: Runner, cause: Exception | None = None, plain: Generation | None = None
) -> None:
    """Raises ``EngineBroken``, by ``cause``, when ``runner`` fails at a plain picture as well.

    On the engine's thread. A failure may pass (memory that comes back): it is tried ``TRIES``
    times.
    """
    for attempt in range(TRIES):
        if attempt:
            time.sleep(PAUSE_S)
        try:
            _draw(runner, plain or PLAIN)
        except LimnerError:
            return  # the model's own numbers, told in words: the engine works
        except Exception as error:
            log.exception("a plain picture failed, %d of %d times", attempt + 1, TRIES)
            cause = cause or error
        else:
            return
    raise EngineBroken() from cause


def _draw(runner: Runner, plain: Generation) -> None:
    [image] = runner.plan(Request("plain", plain, "engine", _to_nobody))
    pixels = None
    while pixels is None:
        runner.prepare(image)
        while not image.phase_over:
            runner.step([image])
        pixels = runner.advance(image)


def _to_nobody(event: Event) -> None:
    """A plain picture is for nobody."""

"""An engine of a benchmark's own, and pictures from it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any

import numpy as np

from limner.domain.params import Generation
from limner.engine.batching.loop import ThreadEngine
from limner.engine.batching.ticket import Drawn, Failed, Lost, Ticket
from limner.engine.checkpoints.weights import Checkpoint
from limner.engine.sampling.runner import Runner
from limner.errors import EngineBroken


@contextmanager
def engine(checkpoint: Checkpoint, max_rows: int) -> Iterator[ThreadEngine]:
    """An engine that draws with the checkpoint, up to ``max_rows`` UNet rows a step."""
    made = ThreadEngine(lambda _say, _choice: Runner(checkpoint, max_rows=max_rows), max_queue=1024)
    while not made.status().ready:
        if made.failure is not None:
            raise made.failure
        time.sleep(0.02)
    try:
        yield made
    finally:
        made.close()


def draw(running: ThreadEngine, generations: Sequence[Generation]) -> list[np.ndarray]:
    """The pictures of all of them, submitted together; each has an owner of its own."""
    events: SimpleQueue[tuple[int, Any]] = SimpleQueue()
    for number, generation in enumerate(generations):
        sink = (lambda n: lambda event: events.put((n, event)))(number)
        running.submit(Ticket(f"bench-{number}", generation, f"key-{number}"), sink)
    pictures: dict[int, np.ndarray] = {}
    while len(pictures) < len(generations):
        number, event = events.get()
        if isinstance(event, Failed):
            raise event.error
        if isinstance(event, Lost):
            raise EngineBroken(event.reason)
        if isinstance(event, Drawn):
            pictures[number] = event.pixels
    return [pictures[number] for number in range(len(generations))]

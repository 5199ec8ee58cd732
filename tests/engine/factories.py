"""Requests and images with every knob defaulted."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Collection, Mapping
from typing import Any

from limner.domain.params import Generation
from limner.engine.batching.client import EngineClient
from limner.engine.batching.image import Group, Image
from limner.engine.batching.request import Choice, Request
from limner.engine.batching.ticket import End, Event, Pixels, Ticket

_ids = itertools.count()


class Collector:
    """A sink that remembers events and can be waited for."""

    def __init__(self, images: int = 1) -> None:
        self.events: list[Event] = []
        self._open = images
        self._done = threading.Event()

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, End):
            self._open -= 1
            if self._open == 0:
                self._done.set()

    def wait(self, timeout_s: float = 60.0) -> list[End]:
        assert self._done.wait(timeout_s), "the engine did not finish in time"
        ends = [e for e in self.events if isinstance(e, End)]
        return sorted(ends, key=lambda e: e.index)


def make_generation(prompt: str = "a knight", **fields: Any) -> Generation:
    return Generation(prompt=prompt, **{"seed": 7, **fields})


_given: dict[str, Mapping[str, Pixels]] = {}  # what requests being submitted start from


def read_given(reference: str, names: Collection[str]) -> Mapping[str, Pixels]:
    """The reader of an engine that is given requests by ``submit``."""
    return {name: _given[reference][name] for name in names}


def submit(engine: EngineClient, request: Request) -> None:
    """Hand a request over as the use cases do: as a ticket."""
    _given[request.id] = request.pixels
    reference = request.id if request.pixels else None
    own = (request.id, request.generation, request.owner)
    try:
        engine.submit(
            Ticket(*own, request.first, reference, request.watched, *request.choice), request.sink
        )
    finally:
        del _given[request.id]


def make_request(
    prompt: str = "a knight", *, owner: str = "a", sink: Any = None, **fields: Any
) -> Request:
    generation = make_generation(prompt, **fields)
    sink = Collector(generation.samples) if sink is None else sink
    return Request(f"req_{next(_ids)}", generation, owner, sink)


def make_image(
    *,
    owner: str = "a",
    size: tuple[int, int] = (64, 64),
    bucket: int = 1,
    rows: int = 2,
    evaluations: int = 20,
    memory: int = 1,
    model: str = "",
) -> Image:
    group = Group(f"model {model}", *size, bucket)
    cost = group.cost(rows)
    phase = range(evaluations)
    request = make_request(owner=owner)
    request.choice = Choice(model)
    return Image(request, 0, group, rows, cost, memory, phase, evaluations)

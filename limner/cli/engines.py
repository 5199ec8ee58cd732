"""Drawing in the terminal: the server's own engine, without the server.

Everything a command wants drawn goes in at once, so that it shares forward passes.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from queue import SimpleQueue

from limner.cli import checks, choosing, loading, terminal
from limner.domain.model import ModelInfo
from limner.domain.params import SAMPLES_MAX, Generation
from limner.engine.batching.loop import ThreadEngine
from limner.engine.batching.models import Load
from limner.engine.batching.ticket import Drawn, Event, Failed, Lost, Pixels, Progress, Sink, Ticket
from limner.errors import EngineBroken, EngineFault, LimnerError
from limner.models.listing import Library
from limner.settings import Settings
from limner.usecases.drawing.adapters import AdapterFiles
from limner.usecases.drawing.choosing import Chosen
from limner.usecases.drawing.pictures import Picture, first_pass_of, picture_of

WORKS_MAX = 100_000
OWNER = "terminal"
FEW = 4


@dataclass(frozen=True)
class Work:
    """Something to draw; ``on_event`` hears of its progress, previews included.

    ``choice``: the model; None: that of the settings.
    """

    generation: Generation
    pixels: Mapping[str, Pixels] = field(default_factory=dict)
    on_event: Callable[[Event], None] | None = None
    choice: Chosen | None = None


@dataclass(frozen=True)
class Made:
    """What came of the work at ``place`` among several, and what drew it, if it could be loaded."""

    place: int
    picture: Picture | Failed
    model: ModelInfo | None


class Engine(ThreadEngine):
    """An engine of this process alone, whose tickets start from pictures in its memory."""

    def __init__(self, load: Load, max_queue: int) -> None:
        self._given: Mapping[str, Pixels] = {}
        super().__init__(load, read=lambda _reference, _names: self._given, max_queue=max_queue)

    def give(self, place: int, work: Work, sink: Sink) -> None:
        """Submit a work; its pictures are read before this returns."""
        self._given = work.pixels
        # Unlike for every drawing, so that one engine can be given works again and again.
        name = f"draw-{time.monotonic_ns()}-{place}"
        watched = work.on_event is not None
        self.submit(Ticket(name, work.generation, OWNER, 0, "given", watched), sink)


@contextmanager
def opened(settings: Settings, pictures: int) -> Iterator[Engine]:
    """An engine that is ready; how many rows run together is measured only for many pictures.

    Raises before PyTorch is imported what can be known without it.
    """
    checks.model(settings)
    rows = None if pictures > FEW else 2 * FEW
    load = loading.loader(settings, adapter_files(settings).find, rows).load
    engine = Engine(load, max_queue=WORKS_MAX * SAMPLES_MAX)
    try:
        with terminal.waiting("starting") as status:
            while not engine.status().ready:
                if engine.failure is not None:
                    raise engine.failure
                status.update(terminal.shown(engine.status().message))
                time.sleep(0.05)
        yield engine
    finally:
        engine.close()


def adapter_files(settings: Settings) -> AdapterFiles:
    """Those that requests in the terminal may name."""
    return _adapter_files(settings.data_dir, tuple(settings.models_dirs))


@lru_cache(maxsize=1)
def _adapter_files(data_dir: Path, models_dirs: tuple[Path, ...]) -> AdapterFiles:
    return AdapterFiles(Library(data_dir, models_dirs, fresh_s=60.0))


def drawn(settings: Settings, works: Sequence[Work]) -> Iterator[Made]:
    """Each picture as it comes, of one model after another, in an engine for each.

    One is in memory at a time. Of several, one that cannot be drawn with keeps none of the others:
    only its own pictures fail.
    """
    groups = choosing.groups(work.choice for work in works)
    for places in groups:
        try:
            yield from _of_one_model(settings, works, places)
        except LimnerError as error:
            if len(groups) == 1:
                raise
            for place in places:
                failed = [Failed(i, error) for i in range(works[place].generation.samples)]
                yield from (Made(place, each, None) for each in failed)
        gc.collect()  # models hold themselves in circles


def _of_one_model(
    settings: Settings, works: Sequence[Work], places: Sequence[int]
) -> Iterator[Made]:
    """What is drawn with the model of the first of these places."""
    mine = [works[place] for place in places]
    chosen = choosing.with_choice(settings, mine[0].choice)
    with opened(chosen, sum(work.generation.samples for work in mine)) as engine:
        model = engine.status().loaded()
        for place, picture in draw(engine, mine):
            yield Made(places[place], picture, model)


def draw(engine: Engine, works: Sequence[Work]) -> Iterator[tuple[int, Picture | Failed]]:
    """Each picture, or what kept it from coming, as it comes: with its place in ``works``."""
    events: SimpleQueue[tuple[int, Event]] = SimpleQueue()
    for place, work in enumerate(works):
        engine.give(place, work, _sink(place, work, events))
    pictures = sum(work.generation.samples for work in works)
    open_pictures = pictures
    with terminal.progress() as bar:
        task = bar.add_task("drawing", total=None)
        done: dict[tuple[int, int], int] = {}
        while open_pictures:
            place, event = events.get()
            if isinstance(event, Progress):
                done[place, event.index] = event.evaluation
                total = event.evaluations * pictures
                bar.update(task, completed=sum(done.values()), total=total)
            elif isinstance(event, Drawn):
                open_pictures -= 1
                yield place, picture_of(works[place].generation, event)
                if (first := first_pass_of(works[place].generation, event)) is not None:
                    yield place, first
            elif isinstance(event, Failed):
                open_pictures -= 1
                yield place, event
            elif isinstance(event, Lost):
                open_pictures -= 1
                yield place, Failed(event.index, EngineBroken(event.reason))


def draw_all(engine: Engine, works: Sequence[Work]) -> list[Picture]:
    """One picture of each work, in order. Raises ``EngineFault`` when one did not come."""
    return _in_order(draw(engine, works))


def all_drawn(settings: Settings, works: Sequence[Work]) -> list[Picture]:
    """The same in engines of the models that are chosen."""
    return _in_order((made.place, made.picture) for made in drawn(settings, works))


def _in_order(pictures: Iterable[tuple[int, Picture | Failed]]) -> list[Picture]:
    made: dict[int, Picture] = {}
    for place, picture in pictures:
        if isinstance(picture, Failed):
            raise EngineFault(f"Picture {place + 1} could not be drawn: {picture.error}")
        made.setdefault(place, picture)
    return [made[place] for place in sorted(made)]


def _sink(place: int, work: Work, events: SimpleQueue[tuple[int, Event]]) -> Sink:
    def sink(event: Event) -> None:
        if work.on_event is not None:
            work.on_event(event)
        events.put((place, event))

    return sink

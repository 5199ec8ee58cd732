"""An engine on the other side of a pipe does what one in this process does."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limner.domain.params import Source
from limner.engine.batching.client import EngineClient
from limner.engine.batching.ticket import Drawn, Event, Failed, Lost, Progress, Started, Ticket
from limner.errors import Aborted, EngineBroken, LimnerError
from tests.engine.batching.piped import GONE, PipedEngine, echo_engine, read_from, squire_engine
from tests.engine.factories import Collector, make_generation
from tests.waiting import wait_until

PICTURE = np.random.default_rng(5).integers(0, 256, (64, 64, 3), np.uint8)
NAME = hashlib.sha256(PICTURE.tobytes()).hexdigest()
SMALL = {"width": 64, "height": 64, "scheduler": "Euler"}
LONG = {**SMALL, "steps": 150, "scheduler": "Heun"}


class Listener(Collector):
    """Calls ``then`` once, at the first progress."""

    def __init__(self, images: int, then: Any) -> None:
        super().__init__(images)
        self._then: Any = then

    def __call__(self, event: Event) -> None:
        super().__call__(event)
        if isinstance(event, Progress) and self._then is not None:
            then, self._then = self._then, None
            threading.Thread(target=then).start()  # a sink must not block


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made: Path = tmp_path_factory.mktemp("sources")
    np.savez(made / "kept.npz", **{NAME: PICTURE})
    return made


@pytest.fixture(scope="module")
def here(folder: Path) -> Iterator[EngineClient]:
    engine = echo_engine(partial(read_from, folder))
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def piped(folder: Path) -> Iterator[PipedEngine]:
    engine = PipedEngine(echo_engine, folder)
    wait_until(lambda: engine.status().ready)
    yield engine
    engine.close()


def plain(value: Any) -> Any:
    """Something to compare: arrays by content, errors by what they say."""
    if isinstance(value, np.ndarray):
        return value.shape, hashlib.sha256(value.tobytes()).hexdigest()
    if isinstance(value, LimnerError):
        return type(value), str(value), sorted(vars(value).items())
    if isinstance(value, Event):
        return type(value).__name__, {name: plain(each) for name, each in vars(value).items()}
    return value


def of_each(sink: Collector) -> dict[int, list[Any]]:
    """What was told of each image, in order."""
    sink.wait()
    found: dict[int, list[Any]] = {}
    for event in sink.events:
        found.setdefault(event.index, []).append(plain(event))
    return found


def lines(id: str, owner: str, *generations: Any, **more: Any) -> tuple[list[Ticket], Collector]:
    tickets, first = [], 0
    for generation in generations:
        tickets.append(Ticket(id, generation, owner, first, **more))
        first += generation.samples
    return tickets, Collector(first)


def drawings() -> list[tuple[list[Ticket], Collector]]:
    source = Source(sha256=NAME, strength=0.5)
    wide = {**SMALL, "width": 128}
    return [
        lines("several", "a", make_generation(seed=2**40, samples=2, **SMALL),
              make_generation("a mage", scheduler="Heun", steps=7),
              make_generation("a rogue", samples=3, guidance=1.0, **wide)),
        lines("started", "b", make_generation(source=source, **SMALL), sources="kept.npz"),
        lines("watched", "b", make_generation(samples=2, **SMALL), watched=True),
        lines("black", "c", make_generation("!black", **SMALL)),
        lines("faulty", "c", make_generation("!fault", samples=2, **SMALL)),
    ]  # fmt: skip


def drawn_by(engine: EngineClient) -> dict[str, dict[int, list[Any]]]:
    orders = drawings()
    for tickets, sink in orders:
        for ticket in tickets:
            engine.submit(ticket, sink)
    return {tickets[0].id: of_each(sink) for tickets, sink in orders}


def test_the_same_tickets_give_the_same_events(here: EngineClient, piped: PipedEngine) -> None:
    expected, told = drawn_by(here), drawn_by(piped)
    assert told == expected
    assert [len(told[name]) for name in told] == [6, 1, 2, 1, 2]
    assert told["started"][0][-1][1]["pixels"] == plain(PICTURE[::-1])
    assert told["watched"][0][1][1]["preview"] is not None
    assert told["several"][0][1][1]["preview"] is None


@pytest.mark.parametrize(
    "ticket",
    [
        Ticket("missing", make_generation(source=Source(sha256=NAME)), "a", sources="gone.npz"),
        Ticket("many", make_generation(samples=13), "a"),
    ],
)
def test_what_is_refused_is_refused_in_the_same_words(
    here: EngineClient, piped: PipedEngine, ticket: Ticket
) -> None:
    refusals = []
    for engine in (here, piped):
        with pytest.raises(LimnerError) as refused:
            engine.submit(ticket, Collector())
        refusals.append(plain(refused.value))
    assert refusals[0] == refusals[1]


def test_an_abort_ends_all_lines(here: EngineClient, piped: PipedEngine) -> None:
    for engine in (here, piped):
        tickets, _ = lines("stop", "a", *[make_generation(samples=2, **LONG)] * 2)
        sink = Listener(4, partial(engine.abort, "stop"))
        for ticket in tickets:
            engine.submit(ticket, sink)
        error = Aborted("The request was cancelled.")
        assert [plain(end) for end in sink.wait()] == [plain(Failed(n, error)) for n in range(4)]


def test_who_begins_to_watch_sees_the_same_previews(here: EngineClient, piped: PipedEngine) -> None:
    seen = []
    for engine in (here, piped):
        sink = Listener(1, partial(engine.watch, "watch"))
        engine.submit(Ticket("watch", make_generation(steps=60, **SMALL), "a"), sink)
        sink.wait()
        steps = [event for event in sink.events if isinstance(event, Progress)]
        previews = [plain(event.preview) for event in steps[:-1]]
        begun = next(n for n, preview in enumerate(previews) if preview is not None)
        assert begun > 0
        seen.append(set(previews[begun:]))
    assert seen[0] == seen[1]
    assert None not in seen[0]


def test_the_snapshot_is_never_behind_an_end(here: EngineClient, piped: PipedEngine) -> None:
    before = piped.status()
    assert before.model == here.status().model
    drawing = lines("counted", "a", make_generation(samples=3, **SMALL))
    for ticket in drawing[0]:
        piped.submit(ticket, drawing[1])
    drawing[1].wait()
    after = piped.status()
    assert after.stats.images == before.stats.images + 3
    assert (after.waiting, after.running) == (0, 0)


def test_what_a_killed_engine_had_is_lost(folder: Path) -> None:
    engine = PipedEngine(echo_engine, folder)
    sinks = [Collector(2), Collector()]
    for number, sink in enumerate(sinks):
        drawing = make_generation(samples=2 - number, **LONG)
        engine.submit(Ticket(f"lost-{number}", drawing, "a"), sink)
    wait_until(lambda: any(isinstance(event, Progress) for event in sinks[0].events))
    engine.process.kill()
    ends = [end for sink in sinks for end in sink.wait()]
    assert ends == [Lost(0, GONE), Lost(1, GONE), Lost(0, GONE)]
    assert {type(event) for event in sinks[0].events} == {Started, Progress, Lost}
    assert not engine.status().ready
    with pytest.raises(EngineBroken):
        engine.submit(Ticket("late", make_generation(), "a"), Collector())
    assert not any(isinstance(event, Drawn) for sink in sinks for event in sink.events)


@pytest.mark.slow
def test_a_model_in_another_process_draws_the_same(folder: Path) -> None:
    far, near = PipedEngine(squire_engine, folder), squire_engine(partial(read_from, folder))
    wait_until(lambda: far.status().ready)
    told = []
    for engine in (near, far):
        # Alone, since previews learn from each picture that ends beside them.
        watched, told_watched = lines("watched", "a", make_generation(**SMALL), watched=True)
        engine.submit(watched[0], told_watched)
        told_watched.wait()
        first = make_generation(samples=2, steps=6, width=64, height=64)
        drawn_over = make_generation(source=Source(sha256=NAME, strength=0.5), **SMALL)
        tickets, sink = lines("real", "a", first, drawn_over, sources="kept.npz")
        for ticket in tickets:
            engine.submit(ticket, sink)
        told.append({**of_each(sink), "watched": of_each(told_watched)})
        engine.close()
    assert told[0] == told[1]
    alone = told[0].pop("watched")[0]
    assert [events[-1][0] for events in [alone, *told[0].values()]] == ["Drawn"] * 4
    progress = [shown for name, shown in alone if name == "Progress"]
    assert len(progress) > 1
    assert all(shown["preview"] for shown in progress[:-1])

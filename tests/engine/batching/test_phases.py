"""Pictures in two phases of different sizes: among others, failing and stopped between them."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from limner.engine.batching import faults
from limner.engine.batching.fake import fake_pixels
from limner.engine.batching.image import Image
from limner.engine.batching.loop import ThreadEngine
from limner.engine.batching.request import Request
from limner.engine.batching.scheduler import Scheduler
from limner.engine.batching.ticket import Drawn, Failed, Pixels, Progress, Started
from limner.errors import Aborted, EngineBroken, EngineFault
from tests.engine.batching.by_hand import EngineByHand
from tests.engine.batching.phased import SECOND, PhasedRunner
from tests.engine.factories import make_generation, make_image, make_request, submit
from tests.waiting import LONG_S, wait_until


class Watched(PhasedRunner):
    """Notes each step as (sides, images), and holds second phases in preparation until ``go``."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[tuple[int, int], list[Image]]] = []
        self.go = threading.Event()
        self.go.set()
        self.between: list[Image] = []

    def prepare(self, image: Image) -> None:
        if image.phase == SECOND:
            self.between.append(image)
            assert self.go.wait(LONG_S)
        super().prepare(image)

    def step(self, images: list[Image]) -> None:
        [group] = {image.group for image in images}
        self.seen.append(((group.height, group.width), list(images)))
        super().step(images)


@pytest.fixture
def runner() -> Watched:
    return Watched()


@pytest.fixture
def engine(runner: Watched) -> Iterator[ThreadEngine]:
    made = ThreadEngine(lambda say, _: runner)
    wait_until(lambda: made.status().ready)
    yield made
    runner.go.set()
    made.close()


def draw(engine: ThreadEngine, *requests: Request) -> list[list[Drawn | Failed]]:
    for request in requests:
        submit(engine, request)
    return [request.sink.wait() for request in requests]  # type: ignore[attr-defined]


def test_one_picture_tells_of_both_phases_as_one(engine: ThreadEngine, runner: Watched) -> None:
    request = make_request("a !phases", width=512, height=768)
    request.watched = True
    [[end]] = draw(engine, request)
    assert isinstance(end, Drawn)
    kinds = [type(event) for event in request.sink.events]
    assert kinds == [Started, Progress, Progress, Progress, Drawn]
    told = [event for event in request.sink.events if isinstance(event, Progress)]
    assert [(e.evaluation, e.evaluations) for e in told] == [(1, 3), (2, 3), (3, 3)]
    assert [e.preview is not None for e in told] == [True, True, False]
    assert [sides for sides, _ in runner.seen] == [(96, 64), (96, 64), (192, 128)]
    assert engine.status().stats.rows == 2 + 2 + 1
    assert end.facts.evaluations == 3


def test_phases_run_beside_others_of_their_size(runner: Watched) -> None:
    engine = EngineByHand(runner, max_bytes=1 << 20)
    phased = [
        make_request(f"p{n} !phases", owner=f"k{n}", seed=n, width=128, height=128)
        for n in range(6)
    ]
    plain = [
        make_request(f"q{n}", owner=f"k{n}", seed=n, width=side, height=side, steps=12)
        for n in range(6)
        for side in (128, 256)
    ]
    for request in (*phased, *plain):
        submit(engine, request)
    while engine.turn():
        pass
    engine.let_go()
    for request in (*phased, *plain):
        [end], g = request.sink.wait(), request.generation
        assert isinstance(end, Drawn)
        np.testing.assert_array_equal(end.pixels, fake_pixels(g.prompt, g.seed, g.width, g.height))
    for sides in ((16, 16), (32, 32)):
        companies = [{i.evaluations for i in images} for at, images in runner.seen if at == sides]
        assert {3, 12} in companies


@pytest.mark.parametrize("fault", ["!again", "!between"])
def test_a_fault_between_phases_loses_only_its_picture(engine: ThreadEngine, fault: str) -> None:
    bad, good = make_request(f"a !phases {fault}"), make_request("b !phases", owner="b")
    [[failed], [drawn]] = draw(engine, bad, good)
    assert isinstance(drawn, Drawn)
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, EngineFault)
    assert (engine._scheduler.bytes, engine.status().running) == (0, 0)


def test_a_picture_stopped_between_phases_is_prepared_no_further(
    engine: ThreadEngine, runner: Watched
) -> None:
    runner.go.clear()
    first, waiting = (make_request("a !phases", owner=name) for name in "ab")
    for request in (first, waiting):
        submit(engine, request)
    wait_until(lambda: runner.between and len(engine._preparer.plain._waiting) == 1)
    [held] = runner.between
    assert held.state == "left by the first"
    assert engine._scheduler.bytes == 2 * held.bytes, "both keep their memory"
    for request in (first, waiting):
        engine.abort(request.id)
        [end] = request.sink.wait()
        assert isinstance(end, Failed)
        assert isinstance(end.error, Aborted)
    runner.go.set()
    [[other]] = draw(engine, make_request("c !phases"))
    assert isinstance(other, Drawn)
    assert len(runner.between) == 2, "the one at hand, and the other picture's"
    assert engine._scheduler.bytes == 0


def test_the_engines_own_plain_picture_goes_through_its_phases(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(faults, "PLAIN", make_generation("!phases"))
    faults.expect_working(PhasedRunner(), RuntimeError("what made it ask"))
    monkeypatch.setattr(faults, "PLAIN", make_generation("!phases !between"))
    monkeypatch.setattr(faults, "PAUSE_S", 0.0)
    with pytest.raises(EngineBroken):
        faults.expect_working(PhasedRunner(), RuntimeError("what made it ask"))


def test_between_phases_an_image_keeps_its_place_and_its_memory() -> None:
    scheduler = Scheduler(max_rows=2, native_area=64 * 64, max_bytes=10)
    first, second, waits = (make_image(memory=5, size=(128, 128)) for _ in range(3))
    for image in (first, second, waits):
        scheduler.add(image)
    for image in scheduler.admit():
        scheduler.start(image)
    assert scheduler.schedule() == [first]
    first.evaluation = 1
    scheduler.rest(first)
    assert scheduler.schedule() == [second]
    assert (scheduler.in_flight.total(), scheduler.waiting, scheduler.bytes) == (2, 1, 10)
    assert scheduler.admit() == []
    scheduler.start(first)
    assert scheduler.schedule() == [first]


class Enlarging(Watched):
    """Second phases begin with a network, which is at work until ``made`` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.made, self.begun = threading.Event(), threading.Event()
        self.states: list[object] = []

    def advance(self, image: Image) -> Pixels | None:
        pixels = super().advance(image)
        image.enlarges = pixels is None
        return pixels

    def enlarge(self, image: Image) -> None:
        assert image.phase == SECOND
        self.begun.set()
        assert self.made.wait(LONG_S)
        self.states.append(image.state)


@pytest.fixture
def enlarging() -> Iterator[tuple[ThreadEngine, Enlarging]]:
    runner = Enlarging()
    made = ThreadEngine(lambda say, _: runner)
    wait_until(lambda: made.status().ready)
    yield made, runner
    runner.made.set()
    made.close()


def test_nobody_waits_for_a_network_that_makes_a_picture_larger(
    enlarging: tuple[ThreadEngine, Enlarging],
) -> None:
    engine, runner = enlarging
    large = make_request("a !phases")
    submit(engine, large)
    assert runner.begun.wait(LONG_S)
    for end in draw(engine, make_request("b", owner="b"), make_request("c")):
        assert isinstance(end[0], Drawn)
    assert engine.status().ready
    assert not runner.between  # the other is still at work
    runner.made.set()
    [end] = large.sink.wait()
    assert isinstance(end, Drawn)
    assert runner.states == ["left by the first"]


def test_one_that_is_cancelled_meanwhile_ends_at_once(
    enlarging: tuple[ThreadEngine, Enlarging],
) -> None:
    engine, runner = enlarging
    large = make_request("a !phases")
    submit(engine, large)
    assert runner.begun.wait(LONG_S)
    engine.abort(large.id)
    [end] = large.sink.wait()
    assert isinstance(end, Failed)
    assert isinstance(end.error, Aborted)
    runner.made.set()
    wait_until(lambda: runner.states)
    assert runner.states == [None]  # by which the work ends

"""Whose picture is prepared next."""

from __future__ import annotations

import threading

import pytest

from limner.engine.batching import preparing
from limner.engine.batching.fake import FakeRunner
from limner.engine.batching.image import Image
from limner.engine.batching.loop import ThreadEngine
from limner.engine.batching.preparing import Preparer
from limner.engine.batching.ticket import Drawn
from tests.engine.factories import make_image, make_request, submit


class Clock:
    """Time that passes while images are prepared, a second each unless it is told otherwise."""

    def __init__(self) -> None:
        self.now, self.each = 0.0, 1.0

    def perf_counter(self) -> float:
        return self.now

    def prepare(self, _: Image) -> None:
        self.now += self.each


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(preparing, "time", made)
    return made


def preparer_of(clock: Clock) -> Preparer:
    return Preparer(clock.prepare, lambda image, error: None)


def owners_prepared(preparer: Preparer, number: int) -> str:
    order = []
    while len(order) < number and (image := preparer.next()) is not None:
        preparer.run(image)
        order.append(image.request.owner)
    return "".join(order)


def test_a_flood_waits_behind_its_own(clock: Clock) -> None:
    preparer = preparer_of(clock)
    preparer.add([make_image(owner="a") for _ in range(20)])
    assert owners_prepared(preparer, 3) == "aaa"
    preparer.add([make_image(owner="b"), make_image(owner="b")])
    assert owners_prepared(preparer, 5) == "babaa"


def test_the_seconds_count_and_not_the_pictures(clock: Clock) -> None:
    preparer = preparer_of(clock)
    preparer.add([make_image(owner="a"), *(make_image(owner="b") for _ in range(9))])
    clock.each = 3.0
    assert owners_prepared(preparer, 1) == "a"
    preparer.add([make_image(owner="a")])
    clock.each = 1.0
    assert owners_prepared(preparer, 9) == "bbbbabbbb"


def test_what_has_gone_is_not_prepared(clock: Clock) -> None:
    preparer = preparer_of(clock)
    gone, kept = [make_image(owner="a") for _ in range(50)], make_image(owner="b")
    preparer.add([*gone, kept])
    preparer.drop(gone)
    assert preparer.next() is kept
    assert preparer.next() is None


def test_between_two_phases_an_image_passes_its_owners_beginnings_and_nobody_else(
    clock: Clock,
) -> None:
    preparer = preparer_of(clock)
    preparer.add([make_image(owner="a"), make_image(owner="b")])
    assert owners_prepared(preparer, 1) == "a"
    new, between = make_image(owner="a"), make_image(owner="a")
    between.evaluation = 1
    preparer.add([new, between])
    assert owners_prepared(preparer, 1) == "b"
    assert preparer.next() is between
    assert preparer.next() is new


def test_going_away_cancels_no_debt(clock: Clock) -> None:
    """Submit and cancel, again and again: what was begun for it is on its owner's account."""
    preparer = preparer_of(clock)
    preparer.add([make_image(owner="b") for _ in range(4)])
    order = ""
    for _ in range(4):
        image = make_image(owner="a")
        preparer.add([image])
        order += owners_prepared(preparer, 1)
        preparer.drop([image])
    assert order.count("a") <= 2
    assert len(preparer._spent) <= 2


def test_a_flood_of_cancelled_requests_delays_nobody_else() -> None:
    begun, go, prepared = threading.Event(), threading.Event(), []

    class Slow(FakeRunner):
        def prepare(self, image: Image) -> None:
            prepared.append(image.request.owner)
            begun.set()
            assert go.wait(60)
            super().prepare(image)

    engine = ThreadEngine(lambda say, _: Slow())
    while not engine.status().ready:
        pass
    flood = [make_request(owner="flood", steps=2) for _ in range(50)]
    submit(engine, flood[0])
    assert begun.wait(60)
    for request in flood[1:]:
        submit(engine, request)
    for request in flood:
        engine.abort(request.id)
    other = make_request(owner="other", steps=2)
    for request in flood:
        request.sink.wait()
    submit(engine, other)
    go.set()
    assert isinstance(other.sink.wait()[0], Drawn)
    engine.close()
    assert prepared == ["flood", "other"]


def test_after_the_end_no_thread_holds_a_model(clock: Clock) -> None:
    begun, prepared = threading.Event(), list[Image]()

    def prepare(image: Image) -> None:
        begun.set()
        threading.Event().wait(0.01)  # still at it when the end comes
        prepared.append(image)

    preparer = Preparer(prepare, lambda image, error: None)
    preparer.start()
    preparer.add([make_image()])
    begun.wait(60)
    preparer.close()
    assert not preparer._thread.is_alive()
    assert len(prepared) == 1


def test_what_never_began_ends() -> None:
    Preparer(lambda _: None, lambda image, error: None).close()

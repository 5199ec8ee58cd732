"""The whole loop, driven by the fake runner."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Collection, Iterator
from dataclasses import replace

import numpy as np
import pytest

from limner.domain.params import Source
from limner.engine.batching.fake import FAKE_MODEL, FakeEngine, FakeRunner, fake_pixels
from limner.engine.batching.image import Image
from limner.engine.batching.loop import ThreadEngine
from limner.engine.batching.request import Choice
from limner.engine.batching.ticket import Drawn, Failed, Progress, Started, Ticket
from limner.errors import (
    Aborted,
    EngineFault,
    InvalidInput,
    ModelLoading,
    NotFinite,
    QueueFull,
    Unavailable,
)
from tests.engine.factories import Collector, make_generation, make_request, read_given, submit
from tests.waiting import LONG_S, HeldEngine, wait_until


@pytest.fixture
def engine() -> Iterator[FakeEngine]:
    fake = FakeEngine(max_queue=64).wait_ready()
    yield fake
    fake.close()


def test_every_image_gets_its_own_pixels(engine: FakeEngine) -> None:
    requests = [make_request(f"prompt {n}", seed=n, samples=1 + n % 3) for n in range(20)]
    for request in requests:
        submit(engine, request)
    for request in requests:
        for end in request.sink.wait():
            assert isinstance(end, Drawn)
            g = request.generation
            expected = fake_pixels(g.prompt, g.seed + end.index, g.width, g.height)
            np.testing.assert_array_equal(end.pixels, expected)


def test_events_come_in_order(engine: FakeEngine) -> None:
    request = make_request(steps=5)
    submit(engine, request)
    request.sink.wait()
    kinds = [type(event) for event in request.sink.events]
    assert kinds == [Started, *[Progress] * 5, Drawn]
    assert [e.step for e in request.sink.events if isinstance(e, Progress)] == [1, 2, 3, 4, 5]


def test_previews_are_made_while_somebody_watches(engine: FakeEngine) -> None:
    request = make_request(steps=4)
    request.watched = True
    submit(engine, request)
    request.sink.wait()
    previews = [e.preview is not None for e in request.sink.events if isinstance(e, Progress)]
    assert previews == [True, True, True, False]


def test_previews_are_made_from_when_somebody_begins_to_watch() -> None:
    engine = HeldEngine().wait_ready()
    watched, other = make_request(steps=4), make_request(steps=4)
    for request in (watched, other):
        submit(engine, request)
    wait_until(lambda: engine.gate.images)
    engine.watch(watched.id)
    engine.watch("nobody knows it")
    engine.release()
    for request, expected in ((watched, {True, False}), (other, {False})):
        request.sink.wait()
        seen = [e.preview is not None for e in request.sink.events if isinstance(e, Progress)]
        assert set(seen) == expected
    engine.close()


def test_lines_of_a_request_are_numbered_on() -> None:
    engine = FakeEngine().wait_ready()
    sink = Collector(5)
    for first, samples in ((0, 2), (2, 3)):
        drawing = make_generation(seed=10 * first, samples=samples, steps=2)
        engine.submit(Ticket("both", drawing, "a", first), sink)
    ends = sink.wait()
    engine.close()
    assert [end.index for end in ends] == [0, 1, 2, 3, 4]
    assert [end.facts.seed for end in ends if isinstance(end, Drawn)] == [0, 1, 20, 21, 22]


def test_what_a_ticket_starts_from_is_read_by_its_names() -> None:
    asked, picture = [], np.zeros((8, 8, 3), np.uint8)

    def read(reference: str, names: Collection[str]) -> dict:
        asked.append((reference, *names))
        return {names[0]: picture}

    engine = FakeEngine(read=read).wait_ready()
    planned, plan = [], engine.fake.plan
    engine.fake.plan = lambda request: planned.append(request) or plan(request)
    sink = Collector(2)
    source = Source(sha256="a" * 64, mask_sha256="b" * 64)
    engine.submit(Ticket("one", make_generation(source=source), "a", sources="a file"), sink)
    engine.submit(Ticket("two", make_generation(), "a", 1, sources="a file"), sink)
    sink.wait()
    engine.close()
    assert asked == [("a file", "a" * 64, "b" * 64)]
    assert [dict(request.pixels) for request in planned] == [{"a" * 64: picture}, {}]


@pytest.mark.parametrize("aborted", [False, True])
def test_an_idle_engine_holds_nothing_of_what_it_drew(aborted: bool) -> None:
    """Pictures that came in count against the server's memory until they are let go."""
    engine = HeldEngine(read=read_given).wait_ready()
    drawn, source = make_request(steps=2), Source(sha256="a" * 64)
    drawn.generation = drawn.generation.model_copy(update={"source": source})
    picture = np.zeros((8, 8, 3), np.uint8)
    drawn.pixels, alive = {"a" * 64: picture}, weakref.ref(picture)
    submit(engine, drawn)
    wait_until(lambda: engine.gate.images)
    if aborted:
        engine.abort(drawn.id)
    engine.release()
    drawn.sink.wait()
    del picture, drawn
    try:
        wait_until(lambda: alive() is None)
    finally:
        engine.close()


def test_requests_share_steps() -> None:
    engine = HeldEngine().wait_ready()
    requests = [make_request(owner=f"k{n}", steps=20 + n) for n in range(8)]
    for request in requests:
        submit(engine, request)
    engine.release()
    for request in requests:
        request.sink.wait()
    engine.close()
    assert max(engine.fake.batches) == 8
    stats = engine.status().stats
    assert stats.images == 8
    assert stats.rows == 2 * sum(request.generation.steps for request in requests)


def test_a_fault_loses_only_the_culprit() -> None:
    engine = FakeEngine().wait_ready()
    good, bad = make_request("a knight"), make_request("a !fault")
    submit(engine, good)
    submit(engine, bad)
    (drawn,), (failed,) = good.sink.wait(), bad.sink.wait()
    engine.close()
    assert isinstance(drawn, Drawn)
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, EngineFault)
    assert "planted" not in str(failed.error)


def test_a_picture_that_is_not_finite_fails(engine: FakeEngine) -> None:
    request = make_request("!black")
    submit(engine, request)
    (end,) = request.sink.wait()
    assert isinstance(end, Failed)
    assert isinstance(end.error, NotFinite)


def test_abort_between_steps() -> None:
    engine = HeldEngine().wait_ready()
    request = make_request(samples=3)
    submit(engine, request)
    wait_until(lambda: engine.gate.images)
    engine.abort(request.id)
    engine.release()
    ends = request.sink.wait()
    assert [type(end.error) for end in ends if isinstance(end, Failed)] == [Aborted] * 3
    assert engine.status().running == 0
    other = make_request(steps=2)
    submit(engine, other)
    assert isinstance(other.sink.wait()[0], Drawn)
    engine.close()


def test_the_queue_is_bounded_and_frees_its_places() -> None:
    engine = HeldEngine(max_queue=3).wait_ready()
    first = make_request(samples=3)
    submit(engine, first)
    with pytest.raises(QueueFull, match="3 of 3"):
        submit(engine, make_request())
    engine.release()
    first.sink.wait()
    second = make_request()
    submit(engine, second)
    second.sink.wait()
    engine.close()


def test_a_picture_larger_than_the_memory_bound_is_refused() -> None:
    engine = FakeEngine(max_bytes=1000).wait_ready()
    with pytest.raises(InvalidInput, match="limit is 0 MiB"):
        submit(engine, make_request())


def test_while_the_model_loads() -> None:
    hold = threading.Event()
    engine = FakeEngine(hold=hold)
    with pytest.raises(ModelLoading):
        submit(engine, make_request())
    assert not engine.status().ready
    hold.set()
    engine.wait_ready()
    engine.close()


@pytest.mark.parametrize(("drain_s", "end"), [(LONG_S, Drawn), (0.05, Failed)])
def test_close_drains_then_aborts(drain_s: float, end: type) -> None:
    engine = HeldEngine().wait_ready()
    request = make_request(steps=3)
    submit(engine, request)
    wait_until(lambda: engine.gate.images)
    closing = threading.Thread(target=FakeEngine.close, args=(engine, drain_s))
    closing.start()
    wait_until(lambda: not engine.status().ready)
    with pytest.raises(Unavailable):
        submit(engine, make_request())
    if end is Failed:
        wait_until(lambda: not engine._inbox.empty())  # the time to drain is over
    engine.release()
    assert isinstance(request.sink.wait()[0], end)
    closing.join(LONG_S)


@pytest.mark.slow
def test_two_hundred_mixed_pictures_reach_their_callers() -> None:
    engine = FakeEngine(max_queue=1000).wait_ready()
    requests = [
        make_request(f"p{n}", owner=f"k{n % 7}", seed=n * 2**33, steps=6 + n % 5,
                     width=512 + 64 * (n % 3), scheduler=("Heun", "DDIM", "UniPC")[n % 3])
        for n in range(200)
    ]  # fmt: skip
    threads = [
        threading.Thread(target=lambda part=requests[n::10]: [submit(engine, r) for r in part])
        for n in range(10)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for request in requests:
        (end,) = request.sink.wait()
        g = request.generation
        assert isinstance(end, Drawn)
        assert end.facts.seed == g.seed
        assert (end.pixels[0, 0] == fake_pixels(g.prompt, g.seed, g.width, g.height)[0, 0]).all()
    engine.close()


def test_a_sink_that_fails_harms_nobody_else(engine: FakeEngine) -> None:
    def sink(event: object) -> None:
        raise RuntimeError("a planted fault in the sink")

    submit(engine, make_request(sink=sink, steps=3))
    other = make_request(steps=3)
    submit(engine, other)
    (end,) = other.sink.wait()
    assert isinstance(end, Drawn)


def test_a_fault_of_the_loop_ends_its_images_and_not_the_engine(engine: FakeEngine) -> None:
    schedule = engine._scheduler.schedule

    def broken() -> list:
        if not engine._scheduler.all():
            return schedule()
        engine._scheduler.schedule = schedule
        raise RuntimeError("a planted fault in the scheduler")

    lost = make_request(steps=3, samples=2)
    engine._scheduler.schedule = broken
    submit(engine, lost)
    ends = lost.sink.wait()
    assert [type(end) for end in ends] == [Failed, Failed]
    later = make_request(steps=3)
    submit(engine, later)
    assert isinstance(later.sink.wait()[0], Drawn)
    assert engine.status().running == engine.status().waiting == 0


def test_rows_that_change_are_counted_as_they_ran() -> None:
    """Three evaluations of 2, 1 and 1 rows, as guidance that ends early would ask for."""

    class Changing(FakeRunner):
        def step(self, images: list[Image]) -> None:
            super().step(images)
            for image in images:
                image.rows = 1

    engine = ThreadEngine(lambda say, _: Changing())
    wait_until(lambda: engine.status().ready)
    request = make_request(steps=3, scheduler="Euler")
    submit(engine, request)
    assert isinstance(request.sink.wait()[0], Drawn)
    engine.close()
    assert engine.status().stats.rows == 4


OTHER = replace(FAKE_MODEL, name="other", sha256="1" * 64)
BAKED = replace(OTHER, vae="baked.vae.safetensors", vae_sha256="2" * 64)


def test_a_ticket_names_the_model_and_the_vae_it_is_drawn_with() -> None:
    engine = FakeEngine(others=(OTHER, BAKED)).wait_ready()
    named = {("", ""): FAKE_MODEL, (OTHER.sha256, ""): OTHER, (OTHER.sha256, "2" * 64): BAKED}
    for (model, vae), expected in named.items():
        request = make_request(steps=2)
        request.choice = Choice(model, vae)
        submit(engine, request)
        [end] = request.sink.wait()
        assert isinstance(end, Drawn)
        assert end.facts.model == expected
        g = request.generation
        pixels = fake_pixels(g.prompt, g.seed, g.width, g.height, model + vae)
        np.testing.assert_array_equal(end.pixels, pixels)
    status = engine.status()
    engine.close()
    assert status.model == FAKE_MODEL
    assert status.resident == (FAKE_MODEL, OTHER, BAKED)
    assert engine.loads == [Choice(OTHER.sha256), Choice(OTHER.sha256, "2" * 64)]


@pytest.mark.parametrize(
    ("model", "vae", "field"), [("9" * 64, "", "model"), (OTHER.sha256, "9" * 64, "vae")]
)
def test_a_model_that_is_not_there_is_refused(model: str, vae: str, field: str) -> None:
    engine = FakeEngine(others=(OTHER,)).wait_ready()
    request = make_request()
    request.choice = Choice(model, vae)
    with pytest.raises(InvalidInput, match="9" * 64) as told:
        submit(engine, request)
    assert told.value.field == field
    with pytest.raises(InvalidInput, match="9" * 64):
        engine.expect_model(model, vae)
    engine.expect_model(OTHER.sha256)
    assert engine.status().waiting == 0
    engine.close()

"""A fault of the engine is told from a request's own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any, NoReturn

import pytest

from limner.domain.loras import Lora
from limner.engine.batching import faults
from limner.engine.batching.fake import FakeEngine
from limner.engine.batching.request import Request
from limner.engine.batching.ticket import Drawn, End, Failed, Lost
from limner.errors import EngineBroken, EngineFault, ModelLoading, NotFinite
from tests.engine.factories import make_request, submit


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, "PAUSE_S", 0.0)


@pytest.fixture
def engine() -> Iterator[FakeEngine]:
    made = FakeEngine().wait_ready()
    yield made
    made.close()


def dead(_: object) -> NoReturn:
    raise RuntimeError("CUDA error: an illegal memory access was encountered")


def errors_of(*requests: Request) -> list[type[Exception]]:
    ends = [end for request in requests for end in request.sink.wait()]  # type: ignore[attr-defined]
    return [type(end.error) for end in ends if isinstance(end, Failed)]


@pytest.mark.parametrize("part", ["prepare", "step", "decode"])
def test_an_engine_that_fails_at_everything_takes_no_more(engine: FakeEngine, part: str) -> None:
    setattr(engine.fake, part, dead)
    request = make_request(samples=5)
    submit(engine, request)
    reason = "The engine cannot draw any more and is started anew."
    began = part == "decode"  # then steps have come through, and the first picture is suspected
    assert request.sink.wait() == [Lost(n, reason, began and n == 0) for n in range(5)]
    engine._thread.join(60)
    status = engine.status()
    assert not status.ready
    assert status.model is not None, "what is being stored still needs it"
    assert (status.waiting, status.running) == (0, 0)
    assert str(engine.failure) == status.message
    assert "CUDA" in str(engine.failure and engine.failure.__cause__)
    with pytest.raises(EngineBroken, match="started anew"):
        submit(engine, make_request())


def test_an_engine_that_cannot_draw_its_first_picture_takes_none() -> None:
    hold = threading.Event()
    engine = FakeEngine(hold=hold, prove=True)
    engine.fake.step = dead  # type: ignore[method-assign]
    hold.set()
    engine._thread.join(60)
    assert isinstance(engine.failure, EngineBroken)
    assert "CUDA" in str(engine.failure.__cause__)
    with pytest.raises(ModelLoading, match="cannot draw any more"):
        submit(engine, make_request())


def test_what_was_drawn_when_a_proved_engine_broke_is_suspected() -> None:
    engine, batches = FakeEngine(max_rows=4, prove=True).wait_ready(), []

    def dead_step(images: Any) -> None:
        batches.append([image.number for image in images])
        dead(images)

    engine.fake.step = dead_step  # type: ignore[method-assign]
    request = make_request(samples=5)
    submit(engine, request)
    lost = {end.index: end.suspect for end in request.sink.wait()}  # type: ignore[attr-defined]
    assert 0 < len(batches[0]) < 5
    assert lost == {number: number in batches[0] for number in range(5)}
    engine.close()


def test_a_poisoned_picture_alone_in_the_engine_is_itself_at_fault(engine: FakeEngine) -> None:
    for _ in range(faults.TRIES + 2):
        request = make_request("a !fault")
        submit(engine, request)
        assert errors_of(request) == [EngineFault]
    assert isinstance(draw(engine), Drawn)


@pytest.mark.parametrize("names", [(), ("night", "floral")])
def test_what_spoils_a_picture_may_be_what_it_is_drawn_with(
    engine: FakeEngine, names: tuple[str, ...]
) -> None:
    request = make_request("!black", loras=tuple(Lora(name=name) for name in names))
    submit(engine, request)
    (end,) = request.sink.wait()  # type: ignore[attr-defined]
    assert isinstance(end.error, NotFinite)
    added = (
        " It was drawn with LoRA night, LoRA floral: see whether it comes without" if names else ""
    )
    assert str(end.error).startswith(f"A planted picture that is not finite.{added}")
    assert ("LoRA" in str(end.error)) == bool(names)


def test_poisoned_pictures_among_themselves_are_at_fault(engine: FakeEngine) -> None:
    request = make_request("a !fault", samples=4)
    submit(engine, request)
    assert errors_of(request) == [EngineFault] * 4
    assert isinstance(draw(engine), Drawn)


def test_a_fault_that_passes_is_no_end(engine: FakeEngine) -> None:
    step, calls = engine.fake.step, []

    def ill_at_first(images: Any) -> None:
        calls.append(images)
        if len(calls) <= faults.TRIES:  # the picture's own step, then all tries but the last
            raise RuntimeError("out of memory, for a moment")
        step(images)

    engine.fake.step = ill_at_first  # type: ignore[method-assign]
    assert isinstance(draw(engine), Failed)
    assert isinstance(draw(engine), Drawn)


def test_a_loop_that_fails_again_and_again_ends(engine: FakeEngine) -> None:
    engine._scheduler.schedule = lambda: dead(None)  # type: ignore[method-assign]
    submit(engine, make_request())
    engine._thread.join(60)
    assert isinstance(engine.failure, EngineBroken)


def draw(engine: FakeEngine) -> End:
    request = make_request(steps=2)
    submit(engine, request)
    end: End = request.sink.wait()[0]  # type: ignore[attr-defined]
    return end

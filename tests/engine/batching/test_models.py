"""Several models in one engine: loaded beside the steps, within a budget, each in its turn."""

from __future__ import annotations

import random
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from limner.engine.batching.fake import FAKE_MODEL, FakeEngine, FakeRunner, fake_pixels
from limner.engine.batching.image import Image
from limner.engine.batching.models import Models
from limner.engine.batching.request import Choice, Request
from limner.engine.batching.ticket import Drawn, End, Event, Failed, Started
from limner.errors import Aborted, CheckpointError, EngineFault, InvalidInput, QueueFull
from tests.engine.factories import make_request, submit
from tests.waiting import HeldEngine, wait_until

MIB = 1 << 20
FIRST = ""
SHA = {name: str(number) * 64 for number, name in enumerate("bc", start=1)}
OTHERS = tuple(replace(FAKE_MODEL, name=name, sha256=sha) for name, sha in SHA.items())


@contextmanager
def engine_of(kind: type[FakeEngine] = FakeEngine, **options: Any) -> Iterator[Any]:
    made = kind(others=OTHERS, **options).wait_ready()
    try:
        yield made
    finally:
        made.close()


def asked(model: str, **fields: Any) -> Request:
    request = make_request(**fields)
    request.choice = Choice(SHA.get(model, model))
    return request


def drawn(engine: FakeEngine, *requests: Request) -> list[End]:
    for request in requests:
        submit(engine, request)
    return [end for request in requests for end in request.sink.wait()]


def assert_right(request: Request) -> None:
    """Each picture is of its prompt and seed, by the model that was asked for."""
    g, model = request.generation, request.choice.model
    for end in request.sink.wait():
        assert isinstance(end, Drawn), end
        assert end.facts.model.sha256 == (model or FAKE_MODEL.sha256)
        pixels = fake_pixels(g.prompt, g.seed_of(end.index), g.width, g.height, model)
        np.testing.assert_array_equal(end.pixels, pixels)


def test_others_are_drawn_while_one_loads() -> None:
    going = threading.Event()
    with engine_of() as engine:
        engine.before_load = lambda _: going.wait(60)
        late = asked("b", samples=2)
        submit(engine, late)
        for _ in range(3):
            request = asked(FIRST)
            drawn(engine, request)
            assert_right(request)
        assert engine.status().waiting == 2
        assert engine.status().resident == (FAKE_MODEL,)
        going.set()
        assert_right(late)
        assert engine.status().resident == (FAKE_MODEL, OTHERS[0])
        assert engine.status().model == FAKE_MODEL


def test_models_take_turns_by_service() -> None:
    with engine_of(HeldEngine, held=False) as engine:
        drawn(engine, asked("b", steps=2))
        engine.hold()
        one, other = asked(FIRST, owner="x", steps=20), asked("b", owner="y", steps=20)
        steps: list[str] = []
        inner = engine.gate._step
        engine.gate._step = lambda images: (
            steps.append(images[0].request.owner), inner(images))  # fmt: skip
        for request in (one, other):
            submit(engine, request)
        engine.release()
        for request in (one, other):
            assert_right(request)
    together = steps[2:-2]
    assert abs(together.count("x") - together.count("y")) <= 2


def test_the_first_model_goes_by_its_own_name_too() -> None:
    with engine_of() as engine:
        drawn(engine, asked(FAKE_MODEL.sha256))
        assert engine.loads == []


def test_the_first_models_file_without_what_was_said_of_it_is_another() -> None:
    said = replace(FAKE_MODEL, said="prediction=v_prediction")
    with engine_of(model=said) as engine:
        assert engine._models._choose(Choice(said.sha256)) == Choice(said.sha256)
        assert engine._models._choose(Choice()) == Choice()


def test_a_ticket_that_waits_for_a_model_may_be_stopped() -> None:
    going = threading.Event()
    with engine_of() as engine:
        engine.before_load = lambda _: going.wait(60)
        request, other = asked("b"), asked("b")
        submit(engine, request)
        submit(engine, other)
        wait_until(lambda: engine._models.residency.loading)
        engine.abort(request.id)
        [end] = request.sink.wait()
        assert isinstance(end, Failed)
        assert isinstance(end.error, Aborted)
        assert not any(isinstance(event, Started) for event in request.sink.events)
        going.set()
        assert_right(other)


def test_tickets_that_wait_for_a_model_are_counted_and_stay_in_order() -> None:
    going, begun, waited = threading.Event(), list[str](), list[Any]()
    with engine_of(max_queue=3, max_rows=2) as engine:
        engine.before_load = lambda _: going.wait(60)
        requests = [asked("b", steps=2) for _ in range(3)]
        for request in requests:
            inner = request.sink
            request.sink = noting(request, begun)
            waited.append(inner)
            submit(engine, request)
        with pytest.raises(QueueFull, match="3 of 3"):
            submit(engine, asked(FIRST))
        going.set()
        for sink in waited:
            sink.wait()
    assert begun == [request.id for request in requests]


def noting(request: Request, begun: list[str]) -> Any:
    """A sink that notes which request begins, and hands on."""
    inner = request.sink

    def sink(event: Event) -> None:
        if isinstance(event, Started):
            begun.append(request.id)
        inner(event)

    return sink


def test_a_load_that_fails_ends_those_who_wait_and_is_not_tried_at_once_again() -> None:
    def fails(choice: Choice) -> None:
        tried.append(choice)
        going.wait(60)
        raise CheckpointError("b.safetensors is damaged.")

    tried, going = list[Choice](), threading.Event()
    with engine_of() as engine:
        engine.before_load = fails
        failing, drawing = [asked("b"), asked("b")], asked(FIRST)
        for request in (*failing, drawing):
            submit(engine, request)
        assert_right(drawing)
        going.set()
        for request in failing:
            [end] = request.sink.wait()
            assert isinstance(end, Failed)
            assert isinstance(end.error, InvalidInput)
            assert str(end.error) == "b.safetensors is damaged."
        with pytest.raises(InvalidInput, match="damaged"):
            submit(engine, asked("b"))
        assert engine.status().waiting == 0
        assert tried == [Choice(SHA["b"])]
        again = asked(FIRST)
        drawn(engine, again)
        assert_right(again)


def test_a_model_whose_file_has_changed_since_it_failed_is_tried_at_once() -> None:
    def fails(_: Choice) -> None:
        tried.append(engine.stamp)
        engine.stamp = changes.pop()  # while it is loaded
        raise CheckpointError("b.safetensors cannot be opened.")

    tried, changes = list[str](), ["", "later", ""]
    with engine_of() as engine:
        engine.before_load = fails
        [end] = drawn(engine, asked("b"))
        assert isinstance(end, Failed)
        with pytest.raises(InvalidInput, match="cannot be opened"):
            submit(engine, asked("b"))
        engine.stamp = "new"
        for _ in range(2):
            [end] = drawn(engine, asked("b"))
            assert isinstance(end, Failed)
        assert tried == ["", "new", "later"]
        engine.before_load, engine.stamp = (lambda _: None), "whole"
        request = asked("b")
        drawn(engine, request)
        assert_right(request)


def test_a_fault_of_loading_is_told_in_a_sentence() -> None:
    def fails(_: Choice) -> None:
        raise MemoryError

    with engine_of() as engine:
        engine.before_load = fails
        [end] = drawn(engine, asked("b"))
    assert isinstance(end, Failed)
    assert isinstance(end.error, EngineFault)
    assert "MemoryError" in str(end.error)


def test_what_the_model_refuses_after_loading_fails_by_its_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def plan(self: FakeRunner, request: Request) -> list[Image]:
        if self.model in OTHERS and "!no" in request.generation.prompt:
            raise InvalidInput("scheduler", "Not with this model.")
        return plain(self, request)

    plain = FakeRunner.plan
    monkeypatch.setattr(FakeRunner, "plan", plan)
    with engine_of() as engine:
        refused, good = asked("b", prompt="!no", samples=2), asked("b")
        ends = drawn(engine, refused, good)
        assert_right(good)
    assert [str(end.error) for end in ends if isinstance(end, Failed)] == [
        "Not with this model."
    ] * 2


def test_a_model_that_can_never_fit_is_refused_before_anything_else() -> None:
    with engine_of(sizes={SHA["b"]: 9 * MIB}, models_bytes=8 * MIB) as engine:
        for refused in (
            lambda: engine.expect_model(SHA["b"]),
            lambda: submit(engine, asked("b")),
        ):
            with pytest.raises(InvalidInput, match=r"needs 9 MiB .* 8 MiB"):
                refused()
        engine.expect_model(SHA["c"])
        assert engine.status().waiting == 0
        assert engine.loads == []


def test_what_waits_to_enter_gives_way_to_a_model_that_is_wanted() -> None:
    with engine_of(models_bytes=MIB) as engine:
        requests = [asked(model, steps=3) for model in (FIRST, "b", FIRST, "c", "b", FIRST)]
        drawn(engine, *requests)
        for request in requests:
            assert_right(request)
        assert len(engine.status().resident) == 1


class Watched(FakeEngine):
    """Counts the models that are really in memory: those that nobody has let go of."""

    most = 0

    def _load_fake(self, say: object, choice: Choice) -> FakeRunner:
        made = super()._load_fake(say, choice)
        self.alive = getattr(self, "alive", weakref.WeakSet())
        self.alive.add(made)
        rest = [made for made in self.alive if made is not self.fake]
        models = getattr(self, "_models", None)
        first = models is None or models._runners.get(Choice()) is self.fake
        self.most = max(self.most, len(rest) + first)
        return made


@pytest.mark.parametrize("closed", [True, False])
def test_sixty_requests_of_six_keys_over_three_models_with_room_for_two(closed: bool) -> None:
    chance = random.Random(14)
    keys = [f"key-{number}" for number in range(6)]
    requests = [
        asked(chance.choice(("", "b", "c")), owner=key, seed=n, width=64, height=64, steps=30)
        for n, key in enumerate(keys * 10)
    ]
    chance.shuffle(requests)
    with engine_of(Watched, models_bytes=2 * MIB, load_s=0.01) as engine:
        send_all(engine, requests, closed=closed)
        for request in requests:
            assert_right(request)
        switches, most = len(engine.loads), engine.most
    assert switches <= 20
    assert most <= 2, "models in memory at one time"


def send_all(engine: FakeEngine, requests: list[Request], *, closed: bool) -> None:
    """``closed``: each key sends its next request when it has the last one's picture."""
    lines = [[request] for request in requests]
    if closed:
        owners = dict.fromkeys(request.owner for request in requests)
        lines = [[r for r in requests if r.owner == owner] for owner in owners]
    threads = [
        threading.Thread(target=lambda own=own: [drawn(engine, request) for request in own])
        for own in lines
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)


def test_totals_count_models_that_have_gone() -> None:
    with engine_of(models_bytes=MIB) as engine:
        engine.fake.unet_s = 1.5
        drawn(engine, asked("b"))
        drawn(engine, asked("c"))
        status = engine.status()
    assert [model.name for model in status.resident] == ["c"]
    assert status.stats.images == 2
    assert status.stats.unet_s == 1.5


def test_everybody_hears_of_the_end_when_the_engine_closes() -> None:
    going = threading.Event()
    engine = FakeEngine(others=OTHERS).wait_ready()
    engine.before_load = lambda _: going.wait(60)
    request = asked("b", samples=2)
    submit(engine, request)
    engine.close()
    going.set()
    assert all(isinstance(end, Failed) for end in request.sink.wait())
    assert isinstance(engine._models, Models)

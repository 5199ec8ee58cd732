"""How long keys wait where there are more models than room, and what a switch may cost others."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limner.engine.batching.residency import QUANTUM_STEPS
from limner.engine.batching.service import Service
from tests.engine.batching.simulated import ROWS, Simulated
from tests.engine.factories import make_request

MODELS = ("", "b" * 64, "c" * 64)
KEYS = [f"key-{number}" for number in range(6)]
FULL_STEP = ROWS * 64 * 64
COST = 2 * 64 * 64  # of one evaluation of a picture
LOADS = {4: (1.0, 4.0), 20: (1.0, 10.0), 30: (1.0, 10.0)}  # a load is no longer than a picture


def sixty(order: int) -> list[tuple[str, str]]:
    """Ten requests of each key in random order, each for a model at random."""
    chance = random.Random(order)
    requests = [(key, chance.choice(MODELS)) for key in KEYS * 10]
    chance.shuffle(requests)
    return requests


def send(
    engine: Simulated, waits: Counter[str], key: str, models: list[str], steps: int, at_once: bool
) -> None:
    """A key's requests: at once, or each when the one before it is drawn."""

    def done(began: float) -> None:
        waits[key] += engine.now - began  # type: ignore[assignment]
        if models and not at_once:
            following()

    def following() -> None:
        engine.submit(key, models.pop(0), steps, partial(done, engine.now))

    following()
    while at_once and models:
        following()


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize(("steps", "load"), [(s, load) for s in LOADS for load in LOADS[s]])
def test_no_key_waits_more_than_twice_as_long_as_another(
    steps: int, load: float, at_once: bool
) -> None:
    for order in range(4):
        engine, waits = Simulated(room=2, load=load), Counter[str]()
        requests = sixty(order)
        for key in KEYS:
            own = [model for owner, model in requests if owner == key]
            send(engine, waits, key, own, steps, at_once)
        engine.run()
        assert max(waits.values()) <= 2 * min(waits.values())
        assert len(engine.loads) <= 20
        assert engine.most <= 2


asked = st.tuples(
    st.sampled_from(KEYS), st.sampled_from(MODELS), st.integers(1, 30), st.integers(0, 200)
)


@given(
    requests=st.lists(asked, min_size=1, max_size=40),
    room=st.sampled_from([1, 2]),
    load=st.sampled_from([0.0, 1.0, 7.5, 60.0]),
)
@settings(deadline=None, max_examples=60)
def test_the_bounds_hold_whoever_asks_for_what(
    requests: list[tuple[str, str, int, int]], room: int, load: float
) -> None:
    """Everybody is drawn, the budget holds, turns stay in their bound, a load serves a picture."""
    engine = Watched(room=room, load=load)
    drawn: list[int] = []
    for number, (key, model, steps, when) in enumerate(requests):
        engine.at(when, partial(engine.submit, key, model, steps, partial(drawn.append, number)))
    engine.run()
    assert sorted(drawn) == list(range(len(requests)))
    assert engine.most <= room
    assert len(engine.loads) <= len(requests)
    assert engine.apart <= 2 * FULL_STEP + 2 * COST


class Watched(Simulated):
    """Notes by how much the service of two owners with pictures running ever differs."""

    apart = 0

    def _step(self) -> None:
        super()._step()
        running = {image.request.owner for image in self.scheduler._running}
        service = [self.scheduler.service[owner] for owner in running]
        self.apart = max([self.apart, *(max(service) - min(service) for _ in service[:1])])


@pytest.mark.parametrize(("got", "missed"), [(3 * COST, 3 * COST), (9 * FULL_STEP, FULL_STEP)])
def test_who_waited_for_a_model_makes_up_for_a_full_step_at_most(got: int, missed: int) -> None:
    service, request = Service(), make_request(owner="waits")
    service["here"] = 0
    service.wait(request)
    service["here"] = got
    service.ran({"here"})
    service.enter(request, FULL_STEP)
    assert service["waits"] == got - missed
    service.ran({"here", "waits"})
    assert service.now == got, "nobody else begins lower for it"
    service.enter(make_request(owner="new"), FULL_STEP)
    assert service["new"] == got


def test_a_debt_is_not_lost_by_waiting_for_a_model() -> None:
    service, request = Service(), make_request(owner="ahead")
    service |= {"here": 5, "ahead": 30}
    service.ran(service)
    service.wait(request)
    service.forget({"here"})
    service["here"] = 20
    service.ran({"here"})
    service.enter(request, FULL_STEP)
    assert service["ahead"] == 30


def test_a_model_that_draws_stays_for_a_while_after_a_load() -> None:
    engine, waits = Simulated(room=1, load=1.0), Counter[str]()
    began: list[Any] = []
    inner = engine.models._start
    engine.models._start = lambda choice: (began.append(engine.now), inner(choice))  # type: ignore[assignment,func-returns-value]
    for key, models in (("x", [MODELS[0]] * 30), ("y", [MODELS[1]] * 30)):
        send(engine, waits, key, models, 1, False)
    engine.run()
    stays = [later - sooner for sooner, later in itertools.pairwise(began)]
    assert stays
    assert min(stays[:-1], default=QUANTUM_STEPS) >= QUANTUM_STEPS

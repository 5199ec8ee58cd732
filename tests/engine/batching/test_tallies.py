"""What is counted of each model, and that the number of series has an end."""

from __future__ import annotations

import threading

from limner.engine.batching.client import ModelStats
from limner.engine.batching.fake import FAKE_MODEL
from limner.engine.batching.request import Choice
from limner.engine.batching.tallies import MODELS_MAX, OTHER, Tallies, merged
from limner.errors import CheckpointError
from tests.engine.batching.test_models import FIRST, MIB, SHA, asked, drawn, engine_of
from tests.engine.factories import submit

NAMES = {FIRST: "0" * 10, "b": SHA["b"][:10], "c": SHA["c"][:10]}


def test_each_model_is_counted_by_itself() -> None:
    with engine_of(models_bytes=MIB) as engine:
        drawn(engine, asked(FIRST, samples=2, steps=3))
        drawn(engine, asked("b", steps=4))
        drawn(engine, asked("c", steps=5))
        stats = engine.status().stats
    first, b, c = (stats.models[name] for name in NAMES.values())
    assert [each.pictures for each in (first, b, c)] == [2, 1, 1]
    assert (b.steps, c.steps) == (4, 5)
    assert [each.loads for each in (first, b, c)] == [0, 1, 1]
    assert [each.evictions for each in (first, b, c)] == [1, 1, 0]
    assert [each.bytes for each in (first, b, c)] == [0, 0, MIB]
    assert [each.name for each in (first, b, c)] == ["fake", "b", "c"]
    assert stats.models_budget == MIB
    assert sum(each.steps for each in (first, b, c)) == stats.steps
    assert sum(each.busy_s for each in (first, b, c)) == stats.busy_s > 0


def test_who_waits_and_who_is_drawn_is_told_by_model() -> None:
    going = threading.Event()
    with engine_of(models_bytes=2 * MIB) as engine:
        engine.before_load = lambda _: going.wait(60)
        late = asked("b", samples=2)
        submit(engine, late)
        drawn(engine, asked(FIRST))
        b = engine.status().stats.models[NAMES["b"]]
        assert b == ModelStats(waiting=2, bytes=MIB), "its room is taken while it loads"
        going.set()
        late.sink.wait()
        b = engine.status().stats.models[NAMES["b"]]
        assert (b.waiting, b.running, b.pictures) == (0, 0, 2)


def test_a_load_that_failed_is_counted_and_its_waiting_are_not_for_ever() -> None:
    def fails(_: Choice) -> None:
        raise CheckpointError("b.safetensors is damaged.")

    with engine_of() as engine:
        engine.before_load = fails
        drawn(engine, asked("b", samples=3))
        b = engine.status().stats.models[NAMES["b"]]
    assert b == ModelStats(failed_loads=1)


def test_waiting_is_what_is_not_in_flight() -> None:
    tallies, b = Tallies(FAKE_MODEL), Choice("b" * 64, "v" * 64)
    tallies.of(b).images += 5
    told = tallies.by_model({b: 7}, {b: 2, Choice(): 1})
    assert told[f"{'b' * 10}+{'v' * 10}"] == ModelStats(bytes=7, waiting=3, running=2)


def test_who_asks_for_a_thousand_models_makes_no_thousand_series() -> None:
    tallies = Tallies(FAKE_MODEL)
    for number in range(1000):
        tallies.drew(Choice(f"{number:064}"[::-1]))
    told = tallies.by_model({}, {})
    assert len(told) == MODELS_MAX + 1
    assert told[OTHER].pictures == 1000 - MODELS_MAX
    assert sum(each.pictures for each in told.values()) == 1000


def test_those_counted_together_have_no_name() -> None:
    tallies = Tallies(FAKE_MODEL)
    for number in range(MODELS_MAX + 5):
        tallies.loaded(Choice(f"{number:064}"[::-1]), f"model-{number}", 1.0)
    assert tallies.by_model({}, {})[OTHER] == ModelStats(loads=5, load_s=5.0)


def test_several_engines_are_added_up_within_the_same_bound() -> None:
    one = {"a": ModelStats("name", pictures=1, busy_s=0.5), "b": ModelStats(bytes=2)}
    both = merged([one, {"b": ModelStats("other name", bytes=3)}, {}])
    assert both == {
        "a": ModelStats("name", pictures=1, busy_s=0.5),
        "b": ModelStats("other name", bytes=5),
    }
    many = [{str(n): ModelStats(steps=1)} for n in range(MODELS_MAX + 9)]
    assert len(merged(many)) == MODELS_MAX + 1
    assert merged(many)[OTHER].steps == 9

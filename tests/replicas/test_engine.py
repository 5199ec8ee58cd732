"""The client over replicas: the events of an engine of this process, whatever dies meanwhile."""

import asyncio
import hashlib
import threading
from unittest.mock import AsyncMock

import numpy as np
import pytest

from limner.domain.params import Source
from limner.engine.batching.ticket import Drawn, Failed, Lost, Progress, Ticket
from limner.errors import Aborted, EngineBroken, InvalidInput, QueueFull, SettingsError
from limner.replicas import drawing
from limner.replicas import engine as client
from limner.replicas.engine import RemoteEngine
from tests.engine.factories import Collector, make_generation, make_request, read_given, submit
from tests.replicas.near import GONE, Near, make_echo, over
from tests.waiting import wait_until

SMALL = {"width": 64, "height": 64, "scheduler": "Euler"}
LONG = {**SMALL, "steps": 150, "scheduler": "Heun"}
PICTURE = np.random.default_rng(5).integers(0, 256, (64, 64, 3), np.uint8)
NAME = hashlib.sha256(PICTURE.tobytes()).hexdigest()


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(drawing, "PAUSE_S", 0.0)


@pytest.fixture(scope="module")
def here():
    engine = make_echo(read_given)
    wait_until(lambda: engine.status().ready)
    yield engine
    engine.close()


@pytest.fixture
def near():
    return Near(2)


@pytest.fixture
def engine(near):
    made = over(near)
    wait_until(lambda: made.status().ready)
    yield made
    made.close()
    assert made._tasks == {}


def drawn(engine, request):
    submit(engine, request)
    return [end.pixels.tobytes() for end in request.sink.wait()]


def test_the_same_pictures_come_as_from_an_engine_of_this_process(engine, here):
    for fields in ({"samples": 3}, {"samples": 1, "seed": 9}):
        again = make_request(**SMALL, **fields), make_request(**SMALL, **fields)
        assert drawn(engine, again[0]) == drawn(here, again[1])


def test_a_replica_is_sent_what_a_picture_starts_from(engine):
    request = make_request(**SMALL, source=Source(sha256=NAME))
    request.pixels = {NAME: PICTURE}
    assert drawn(engine, request) == [PICTURE[::-1].tobytes()]


def test_what_a_lost_replica_had_not_finished_is_drawn_by_another(engine, near, here):
    near.deaths = 2
    fields = {**SMALL, "samples": 3, "steps": 30}
    assert drawn(engine, make_request(**fields)) == drawn(here, make_request(**fields))
    assert near.deaths == 0
    assert len(near.drawn) >= 3
    wait_until(lambda: (engine.status().running, engine.status().waiting) == (0, 0))


def test_only_missing_pictures_are_drawn_again():
    sink = Collector(3)
    one = drawing.Drawing(
        Ticket("r", make_generation(samples=3), "a", 4), {}, sink, lambda *_: None
    )
    one.missing = {6}
    [ticket] = one._rest()
    assert (ticket.first, ticket.generation.samples, ticket.generation.seed) == (6, 1, 9)


def test_a_picture_that_takes_every_replica_along_is_suspected(engine, near):
    near.deaths = 100
    request = make_request(**SMALL)
    submit(engine, request)
    assert request.sink.wait() == [Lost(0, GONE, suspect=True)]
    assert len(near.drawn) == drawing.TRIES


def test_an_abort_ends_it_at_once_and_frees_the_replica(engine, near):
    request = make_request(**LONG, samples=2)
    submit(engine, request)
    wait_until(lambda: any(isinstance(each, Progress) for each in request.sink.events))
    engine.abort(request.id)
    assert [type(end.error) for end in request.sink.wait()] == [Aborted, Aborted]
    wait_until(lambda: not any(each.status().running for each in near.replicas))


def test_previews_come_once_they_are_asked_for(engine):
    request = make_request(**LONG)
    submit(engine, request)
    wait_until(lambda: request.sink.events)
    engine.watch(request.id)
    wait_until(lambda: getattr(request.sink.events[-1], "preview", None) is not None)
    engine.abort(request.id)
    request.sink.wait()


def test_a_refusal_is_the_submitters_and_nothing_is_told(engine):
    request = make_request(**SMALL)
    request.choice = request.choice._replace(model="f" * 64)
    with pytest.raises(InvalidInput):
        submit(engine, request)
    with pytest.raises(InvalidInput):
        engine.expect_model("f" * 64)
    assert request.sink.events == []
    assert engine.status().waiting == 0


def test_more_than_the_queue_holds_is_refused(engine):
    request = make_request(**LONG, samples=10)
    submit(engine, request)
    with pytest.raises(QueueFull):
        submit(engine, make_request(**LONG, samples=10))
    engine.abort(request.id)
    request.sink.wait()


def test_where_no_replica_takes_it_the_submitter_hears_so_in_time(engine, near, monkeypatch):
    async def nobody(ticket, pixels):
        await asyncio.sleep(60)
        yield []

    monkeypatch.setattr(client, "ACCEPT_S", 0.05)
    monkeypatch.setattr(near, "draw", nobody)
    request = make_request(**SMALL)
    with pytest.raises(EngineBroken, match=r"No replica answers\."):
        submit(engine, request)
    wait_until(lambda: (engine.status().waiting, engine._tasks) == (0, {}))
    assert request.sink.events == []


def test_what_is_drawn_when_it_closes_ends(near):
    engine = over(near)
    wait_until(lambda: engine.status().ready)
    request = make_request(**LONG)
    submit(engine, request)
    engine.close()
    [end] = request.sink.wait()
    assert isinstance(end, Failed)


def test_replicas_that_cannot_be_had_are_the_failure():
    def connect(say):
        raise SettingsError("no GPU is left")

    engine = RemoteEngine(connect, read_given)
    wait_until(lambda: engine.failure is not None)
    assert (engine.status().ready, engine.status().message) == (False, "no GPU is left")
    engine.close()


@pytest.mark.parametrize("says", ["no", "never"])
def test_a_cluster_that_is_gone_is_the_failure_and_blames_no_picture(near, monkeypatch, says):
    monkeypatch.setattr(client, "GUARD_S", 0.0)
    gone = threading.Event()

    def alive():
        if gone.is_set() and says == "never":
            raise EngineBroken("The head has ended.")
        return not gone.is_set()

    engine = RemoteEngine(lambda say: near, read_given, max_queue=16, alive=alive)
    wait_until(lambda: engine.status().ready)
    request = make_request(**LONG)
    submit(engine, request)
    monkeypatch.setattr(client, "GONE_S", -1.0 if says == "no" else 60.0)
    assert engine.failure is None
    gone.set()
    reason = "The head has ended." if says == "never" else client.GONE
    assert request.sink.wait() == [Lost(0, reason, suspect=False)]
    assert (str(engine.failure), engine.status().message) == (reason, reason)
    assert (engine.status().ready, engine.status().failing) == (False, True)
    with pytest.raises(EngineBroken, match="head"):
        submit(engine, make_request(**SMALL))
    engine.close()


def test_replicas_that_answer_are_drawn_with_while_the_head_is_away(near, monkeypatch):
    monkeypatch.setattr(client, "GUARD_S", 0.001)
    monkeypatch.setattr(client, "LOOK_S", 0.001)
    monkeypatch.setattr(client, "GONE_S", 0.2)
    asked = []
    engine = RemoteEngine(lambda say: near, read_given, alive=lambda: asked.append(1) or False)
    wait_until(lambda: engine.status().ready and len(asked) > 100)
    near.tell = nobody = AsyncMock(return_value=[])
    wait_until(lambda: engine.failure is not None)
    assert nobody.called
    engine.close()


def test_an_end_is_in_the_snapshot_before_it_is_told(engine):
    seen = []

    def sink(event):
        if isinstance(event, Drawn):
            seen.append((engine.status().waiting, engine.status().running))

    engine.submit(Ticket("one", make_generation(**SMALL), "a"), sink)
    wait_until(lambda: seen)
    assert seen == [(0, 0)]

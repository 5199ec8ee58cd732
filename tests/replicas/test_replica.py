"""One replica: what it says of its health, and how it gathers what it tells."""

import asyncio

import pytest

from limner.engine.batching.fake import FakeEngine
from limner.engine.batching.ticket import Lost, Progress, Started, Ticket
from limner.errors import CheckpointError, EngineBroken
from limner.replicas import replica
from limner.replicas.affinity import SPARE, ranked, route_of
from tests.engine.factories import make_generation, make_request, submit
from tests.replicas.near import make_echo
from tests.waiting import wait_until


def test_an_engine_that_hangs_is_not_healthy(monkeypatch):
    monkeypatch.setattr(replica, "STUCK_S", 0.05)
    one = replica.Replica(lambda read: FakeEngine(step_s=0.6, read=read))
    one.check_health()
    request = make_request(steps=2)
    submit(one._engine, request)
    wait_until(lambda: one.status().running)
    one.check_health()
    with pytest.raises(EngineBroken, match=r"No step has ended for 0\.05 s\."):
        wait_until(lambda: one.check_health())
    request.sink.wait()
    wait_until(lambda: not one.status().running)
    one.check_health()  # nothing is drawn
    one._engine.close()


def test_one_that_cannot_load_does_not_begin():
    class Broken:
        failure = CheckpointError("no weights")

        def status(self):
            return FakeEngine().status().__class__(ready=False)

    with pytest.raises(CheckpointError, match="no weights"):
        replica.Replica(lambda read: Broken())


def test_of_progress_only_the_last_is_told_and_an_end_at_once():
    async def gathered():
        events = asyncio.Queue()
        for event in (Started(0), Progress(0, 1, 1, 9), Progress(1, 1, 1, 9), Progress(0, 2, 2, 9)):
            events.put_nowait(event)
        events.put_nowait(Lost(1, "gone"))
        events.put_nowait(Progress(0, 3, 3, 9))
        return await replica._gathered(events), events.qsize()

    told, left = asyncio.run(gathered())
    assert told == [Started(0), Progress(1, 1, 1, 9), Progress(0, 2, 2, 9), Lost(1, "gone")]
    assert left == 1


def test_pictures_of_one_kind_meet_until_their_replica_has_more_to_do():
    names = [f"replica{i}" for i in range(5)]
    loads = dict.fromkeys(names, 0)
    homes = {route: ranked(route, loads)[0] for route in map(str, range(60))}
    assert set(homes.values()) == set(names)
    route, home = "7", homes["7"]
    assert ranked(route, {**loads, home: SPARE})[0] == home
    assert ranked(route, {**loads, home: SPARE + 1})[0] != home
    gone = {name: 0 for name in names if name != home}
    kept = [each for each, own in homes.items() if own != home]
    assert [ranked(each, gone)[0] for each in kept] == [homes[each] for each in kept]


def test_a_route_names_what_should_meet():
    one = Ticket("a", make_generation(width=64), "me", model="m")
    same = Ticket("b", make_generation("other", width=64, seed=3, steps=4), "you", model="m")
    assert route_of(one) == route_of(same)
    assert route_of(one) != route_of(Ticket("a", make_generation(width=128), "me", model="m"))


def test_a_replica_that_is_not_listened_to_stops():
    one = replica.Replica(make_echo)

    async def listen():
        stream = one.draw("", Ticket("long", make_generation(steps=150), "me"), {})
        async for told in stream:
            if told:
                break
        await stream.aclose()

    asyncio.run(listen())
    wait_until(lambda: not one.status().running)
    one._engine.close()

"""A server with other settings replaces the replicas of one that draws: what they have drains."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from importlib.util import find_spec

import httpx
import pytest

from tests.replicas.clusters import head
from tests.replicas.served import named, serving
from tests.replicas.test_serving import CAPTURED, books
from tests.waiting import wait_for
from tests.web.conftest import PATH

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed (extra `ray`)"),
]
DRAWN, NUMBER, PATIENCE_S = 6, 9, 240.0
LOST = "a replica was lost"


@pytest.mark.parametrize(("drain_s", "drains"), [("600", True), ("0", False)])
def test_what_is_drawn_when_a_new_version_comes_ends_once(tmp_path, drain_s, drains):
    """With ``drain_s`` 0 the same update loses replicas that draw; even so all is billed once."""
    hold = tmp_path / "hold"
    hold.touch()
    flags = ("--replicas", "2", "--drain-s", drain_s)
    with ExitStack() as opened:
        cluster = opened.enter_context(head(tmp_path / "ray", FAKE_HOLD=str(hold)))
        own = {**cluster.environ, "LIMNER_METRICS_OPEN": "true", "LIMNER_LEASE_S": "600"}
        old = opened.enter_context(serving(tmp_path / "data", *flags, *cluster.flags, **own))
        before = set(replicas_of(cluster))
        pool = opened.enter_context(ThreadPoolExecutor(NUMBER + 1))
        waiting = [pool.submit(draw, old, number) for number in range(DRAWN)]
        wait_for(lambda: running(old), lambda found: found == DRAWN, within_s=PATIENCE_S)
        coming = pool.submit(update, tmp_path / "data", *flags, *cluster.flags, **own)
        opened.callback(lambda: coming.result().__exit__(None, None, None))
        opened.callback(hold.unlink, missing_ok=True)  # before that: it waits for what is drawn
        if drains:
            wait_for(cluster.states, lambda states: "STOPPING" in states, within_s=PATIENCE_S)
            assert not any(each.done() for each in waiting)
            assert before & set(replicas_of(cluster)) == before, "one ended before it was idle"
        else:
            wait_for(old.said, lambda said: LOST in said, within_s=PATIENCE_S)
        waiting += [pool.submit(draw, old, number) for number in range(DRAWN, NUMBER)]
        hold.unlink()
        answers = [each.result() for each in waiting]
        coming.result()
        wait_for(lambda: before & set(replicas_of(cluster)), lambda left: not left, within_s=240.0)
        assert [each.status_code for each in answers] == [200] * NUMBER
        assert len({each.content for each in answers}) == NUMBER
        assert books(old, CAPTURED) == (NUMBER,) * 2
        assert (LOST in old.said()) == (not drains)


def draw(server, number):
    """A picture of so many steps that a held engine has enough of them for a quarter of an hour."""
    body = {"prompt": "a knight", "seed": number, "num_inference_steps": 100}
    return httpx.post(server.url + PATH, json=body, headers=server.headers, timeout=900)


def update(folder, *flags, **environ):
    """A server whose replicas are of another version, once they are there."""
    other = serving(folder, *flags, "--queue-max-requests", "300", **environ)
    other.__enter__()
    return other


def replicas_of(cluster):
    return named(cluster.process.pid, "ServeReplica")


def running(server):
    """Images that the server knows to be drawn."""
    figures = httpx.get(server.url + "/metrics", headers=server.headers, timeout=60).text
    [line] = [each for each in figures.splitlines() if 'images{state="running"}' in each]
    return int(float(line.split()[-1]))

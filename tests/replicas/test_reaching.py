"""A cluster that cannot be joined: each way has a sentence of its own, in time."""

from __future__ import annotations

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.util import find_spec
from types import SimpleNamespace

import pytest

from limner.errors import EngineBroken, SettingsError
from limner.replicas import cluster, reaching
from limner.replicas.head import Head
from limner.settings import Settings
from tests.e2e.servers import free_port

with_ray = pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed (extra `ray`)")
ALIVE = "/ray.rpc.NodeInfoGcsService/CheckAlive"


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("10.0.0.1:6379", ("10.0.0.1", 6379)),
        ("head.example:1", ("head.example", 1)),
        ("[fd00::2]:6379", ("fd00::2", 6379)),
    ],
)
def test_an_address_is_a_host_and_a_port(address, place):
    assert reaching.parsed(address) == place


@pytest.mark.parametrize(
    "address", ["10.0.0.1", "head:port", "head:0", "head:70000", "ray://head:1", "fd00::2", "local"]
)
def test_any_other_is_refused_before_anything_starts(address):
    with pytest.raises(SettingsError, match=r"ray_address is .* it must be HOST:PORT"):
        reaching.parsed(address)


@with_ray
def test_a_server_looks_at_the_address_first(tmp_path):
    given = {"engine": "ray", "ray_address": "10.0.0.1", "data_dir": tmp_path}
    with pytest.raises(SettingsError, match="ray_address"):
        cluster.check(Settings.model_validate(given))


def test_without_ray_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "find_spec", lambda _: None)
    with pytest.raises(SettingsError, match=r"needs Ray: pip install 'limner\[ray\]'"):
        cluster.check(Settings.model_validate({"engine": "ray", "data_dir": tmp_path}))


def test_replicas_that_find_no_room_are_told():
    slow = "has 1 replicas that have taken more than 30s to be scheduled. This may be due to ..."
    for message, words in (("", cluster.STARTING), (slow, cluster.NO_ROOM)):
        engine = SimpleNamespace(message=message)
        assert cluster._state_of(SimpleNamespace(deployments={"engine": engine})) == words
    assert cluster._state_of(None) == cluster.STARTING


@pytest.mark.parametrize(
    ("address", "here"),
    [("127.0.0.1:1", True), ("localhost:1", True), ("[::1]:1", True), ("10.0.0.1:1", False)],
)
def test_the_loopback_address_is_known(address, here):
    assert reaching.is_loopback(address) == here


def test_where_nobody_listens_it_is_said_with_what_ray_makes_of_that_address():
    with pytest.raises(SettingsError) as told:
        reaching.expect_answer(f"127.0.0.1:{(port := free_port())}")
    said = str(told.value)
    assert said.startswith(f"No Ray can be reached at 127.0.0.1:{port}: Connection refused.")
    assert "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER=0" in said
    assert "TOKEN" not in said


def test_a_host_that_is_not_there_is_said():
    with pytest.raises(SettingsError, match=r"No Ray can be reached at no-such-host\.invalid:1: "):
        reaching.expect_answer("no-such-host.invalid:1")


@with_ray
@pytest.mark.slow
def test_a_head_that_is_slow_is_not_told_as_one_with_another_token(monkeypatch):
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        where = f"127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setattr(reaching, "CALL_S", 0.2)
        with pytest.raises(SettingsError) as told:
            reaching.expect_answer(where, patience_s=0.5)
    assert "hangs or has too much to do" in str(told.value)
    assert "TOKEN" not in str(told.value)


@contextmanager
def answering(answer):
    """A gRPC server in whose words a head would answer, and its address."""
    import grpc

    class Head(grpc.GenericRpcHandler):
        def service(self, details):
            assert details.method == ALIVE
            return grpc.unary_unary_rpc_method_handler(lambda _request, context: answer(context))

    server = grpc.server(ThreadPoolExecutor(1), handlers=(Head(),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None)


@with_ray
@pytest.mark.slow
def test_a_head_that_takes_another_token_says_so_at_once(monkeypatch):
    import grpc

    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")  # what is sent is Ray's own matter
    refused = grpc.StatusCode.UNAUTHENTICATED
    with (
        answering(lambda context: context.abort(refused, "no")) as where,
        pytest.raises(SettingsError, match=r"takes no token of ours: RAY_AUTH_TOKEN"),
    ):
        reaching.expect_answer(where)


@with_ray
@pytest.mark.slow
def test_a_head_that_is_slow_at_first_is_waited_for(monkeypatch):
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setattr(reaching, "CALL_S", 0.5)
    asked = []

    def late(_context):
        asked.append(time.sleep(1.0 if not asked else 0.0))
        return b""

    with answering(late) as where:
        reaching.expect_answer(where)
    assert len(asked) > 1


@with_ray
@pytest.mark.slow
def test_a_head_that_does_not_know_our_node_is_not_ours_any_more(monkeypatch):
    from ray.core.generated.gcs_service_pb2 import CheckAliveReply

    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    alive = [True]
    with answering(lambda _: CheckAliveReply(raylet_alive=alive).SerializeToString()) as where:
        ours = Head(where, "ab" * 28)
        assert ours.answers()
        alive[0] = False
        with pytest.raises(EngineBroken, match="knows the node that this server joined no more"):
            ours.answers()
    assert not Head(f"127.0.0.1:{free_port()}", "ab" * 28).answers()
    with pytest.raises(EngineBroken, match="own Ray has ended"):
        Head(where, "ab" * 28, [SimpleNamespace(poll=lambda: 1)]).answers()
    ours.close()
    assert not ours.answers()


@with_ray
@pytest.mark.slow
def test_ray_is_given_more_than_half_a_minute_to_begin(monkeypatch):
    from ray._private import services

    asked = []

    def look(*place):
        asked.append(place)
        if len(asked) < 3:
            raise RuntimeError("not yet")
        return "node"

    monkeypatch.setattr(services, "get_node", look)
    monkeypatch.setattr(cluster, "LOOK_S", 0)
    with cluster._patient():
        assert services.get_node("here", 1) == "node"
    assert asked == [("here", 1)] * 3
    monkeypatch.setattr(cluster, "START_S", 0)
    asked.clear()
    with cluster._patient(), pytest.raises(RuntimeError, match="not yet"):
        services.get_node("here", 1)
    assert services.get_node is look

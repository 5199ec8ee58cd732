"""Connections that are too many, too slow or too long, over a real socket."""

import http.client
import socket
import threading
import time
from contextlib import contextmanager

import pytest
import uvicorn

from limner.web import connections
from limner.web.answers import Errors
from limner.web.seeing import Meters, Seeing


async def fine(scope, receive, send):
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"fine"})


meters = Meters()
app = Seeing(Errors(fine, at_once_max=100), meters=meters)


@contextmanager
def served(**options):
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        app, http=connections.Connection, lifespan="off", log_level="critical", **options
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    yield listener.getsockname(), server
    server.should_exit = True
    thread.join(20)
    assert not thread.is_alive()


def ask(address, path="/"):
    connection = http.client.HTTPConnection(*address, timeout=10)
    connection.request("GET", path)
    answer = connection.getresponse()
    return connection, answer, answer.read().decode()


def refused():
    return meters.registry.get_sample_value("limner_refusals_total", {"cause": "Unavailable"}) or 0


def until(condition):
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("path", ["/", "/v1/images/generations"])
def test_a_connection_too_many_is_told_so_and_closed(path):
    before = refused()
    with served(limit_concurrency=2) as (address, server):
        quiet = [socket.create_connection(address) for _ in range(2)]
        until(lambda: len(server.server_state.connections) == 2)
        connection, answer, text = ask(address, path)
        assert answer.status == 503
        assert answer.getheader("retry-after") == "2"
        assert "2 connections, its limit" in text
        assert answer.getheader("x-request-id").startswith("req_")
        assert answer.will_close
        until(lambda: refused() > before)
        connection.close()
        quiet[0].close()
        until(lambda: len(server.server_state.connections) == 1)
        connection, answer, text = ask(address, path)
        assert (answer.status, text) == (200, "fine")
        connection.close()
        quiet[1].close()


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: "])
def test_a_head_must_arrive_in_time(monkeypatch, sent):
    monkeypatch.setattr(connections, "HEAD_MAX_S", 0.2)
    with served() as (address, _), socket.create_connection(address, timeout=10) as client:
        client.sendall(sent)
        assert b"within 0.2 seconds" in client.recv(1000)
        assert client.recv(1000) == b""


def test_the_second_head_must_too(monkeypatch):
    monkeypatch.setattr(connections, "HEAD_MAX_S", 0.2)
    with served() as (address, _):
        connection, answer, _ = ask(address)
        time.sleep(0.4)  # quiet between requests is fine
        connection.request("GET", "/")
        assert connection.getresponse().read() == b"fine"
        connection.sock.sendall(b"GET / HT")
        assert b"within 0.2 seconds" in connection.sock.recv(1000)
        connection.close()
        assert answer.status == 200


def test_a_head_must_not_be_long(monkeypatch):
    monkeypatch.setattr(connections, "HEAD_MAX_BYTES", 1000)
    with served() as (address, _), socket.create_connection(address, timeout=10) as client:
        client.sendall(b"GET / HTTP/1.1\r\nX: " + b"x" * 2000)
        assert b"longer than 1,000 bytes" in client.recv(1000)
        assert client.recv(1000) == b""


def test_a_body_may_take_longer_and_be_longer_than_a_head(monkeypatch):
    monkeypatch.setattr(connections, "HEAD_MAX_BYTES", 1000)
    monkeypatch.setattr(connections, "HEAD_MAX_S", 0.2)
    with served() as (address, _), socket.create_connection(address, timeout=10) as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n\r\n" + b"x" * 8999)
        time.sleep(0.4)
        client.sendall(b"x")
        assert client.recv(1000).startswith(b"HTTP/1.1 200")


PART = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nx"


def answered(client, request):
    client.sendall(request)
    text = b""
    while not text.endswith(b"\r\n0\r\n\r\n"):
        text += client.recv(1000)
    return text.startswith(b"HTTP/1.1 200")


def test_the_rest_of_an_answered_body_is_not_read_for_ever(monkeypatch):
    monkeypatch.setattr(connections, "REST_MAX_S", 0.2)
    server = served(timeout_keep_alive=60)
    with server as (address, _), socket.create_connection(address, timeout=5) as client:
        assert answered(client, PART)
        client.sendall(b"x")
        assert client.recv(1000) == b""


def test_the_rest_of_an_answered_body_may_come_and_another_request(monkeypatch):
    monkeypatch.setattr(connections, "REST_MAX_S", 0.2)
    server = served(timeout_keep_alive=60)
    with server as (address, _), socket.create_connection(address, timeout=5) as client:
        assert answered(client, PART)
        client.sendall(b"x" * 8)
        time.sleep(0.4)
        assert answered(client, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")

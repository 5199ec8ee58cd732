"""Connections that are too many, too slow or too long, over a real socket."""

import asyncio
import http.client
import re
import socket
import threading
from contextlib import ExitStack, contextmanager, suppress

import pytest
import uvicorn

from limner.web.access import connections
from limner.web.answers import Errors
from limner.web.observing.calls import CallLog, Meters
from tests.waiting import LONG_S, wait_until

HOUR_S = 3600
LONG = 8 << 20  # more than the system's buffers hold
release = threading.Event()


async def fine(scope, receive, send):
    """Answers; below /held when ``release`` is set, /long with much, for a key where asked."""
    if scope["query_string"] == b"key":
        scope["state"]["caller"] = "key"
    if scope["path"] == "/":
        await receive()
    while scope["path"] == "/held" and not release.is_set():
        await asyncio.sleep(0.01)
    body = b"x" * LONG if scope["path"] == "/long" else str(len(scope["headers"])).encode()
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": body})


meters = Meters()
app = CallLog(Errors(fine), meters=meters)


@contextmanager
def served(**options):
    release.clear()
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        app,
        loop="asyncio",
        http=connections.Connection,
        lifespan="off",
        log_level="critical",
        **options,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    try:
        yield listener.getsockname(), server
    finally:
        release.set()
        server.should_exit = True
        thread.join(LONG_S)
        assert not thread.is_alive()


def ask(address, path="/", **options):
    connection = http.client.HTTPConnection(*address, timeout=LONG_S, **options)
    connection.request("GET", path)
    answer = connection.getresponse()
    return connection, answer, answer.read().decode()


def get(path, more=b""):
    return b"GET " + path.encode() + b" HTTP/1.1\r\nHost: x\r\n" + more + b"\r\n"


def read_all(client):
    """What comes until the server closes; a reset is an end too."""
    text = b""
    try:
        while piece := client.recv(1 << 16):
            text += piece
    except ConnectionResetError:
        pass
    return text


def refused():
    return meters.registry.get_sample_value("limner_refusals_total", {"cause": "Unavailable"}) or 0


def busy(server, number):
    """Wait until so many connections are being answered."""
    connections = server.server_state.connections
    wait_until(lambda: sum(c._answering is not None for c in list(connections)) == number)


def pass_time(server, seconds):
    """Let so many seconds go by on the server's clock, and what is due by then happen."""
    (connection,) = server.server_state.connections
    loop, happened = connection.loop, threading.Event()
    clock = loop.time
    loop.time = lambda: clock() + seconds
    # What is due runs in the turn of the first call, so before the second.
    loop.call_soon_threadsafe(loop.call_soon, happened.set)
    assert happened.wait(LONG_S)


@pytest.mark.parametrize("path", ["/", "/v1/images/generations"])
def test_a_connection_too_many_is_told_so_and_closed(path):
    before = refused()
    with served(limit_concurrency=4) as (address, server), ExitStack() as open_:
        for _ in range(2):  # an address's share
            client = open_.enter_context(socket.create_connection(address))
            client.sendall(get("/held?key"))
        busy(server, 2)
        connection, answer, text = ask(address, path)
        assert answer.status == 503
        assert answer.getheader("retry-after") == "2"
        assert "4 connections, its limit" in text
        assert answer.getheader("x-request-id").startswith("req_")
        assert answer.will_close
        wait_until(lambda: refused() > before)
        connection.close()
        connection, answer, text = ask(address, source_address=("127.0.0.2", 0))
        assert answer.status == 200  # another address finds a place
        connection.close()
        release.set()
        busy(server, 0)
        connection, answer, text = ask(address, path)
        assert answer.status == 200
        connection.close()


@pytest.mark.parametrize("sent", [b"", get("/"), get("/long"), b"POST / HTTP/1.1\r\n"])
def test_who_waits_for_its_client_gives_way(sent):
    with served(limit_concurrency=8) as (address, server), ExitStack() as open_:
        for _ in range(12):
            client = socket.socket()
            open_.enter_context(client)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
            client.connect(address)
            client.sendall(sent)
        connection, answer, _ = ask(address)
        assert answer.status == 200
        assert len(server.server_state.connections) <= 8
        connection.close()


def test_a_trailer_is_no_header_and_trailers_are_bounded():
    head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
    with served() as (address, _), socket.create_connection(address, timeout=LONG_S) as client:
        client.sendall(head + b"x-api-key: a\r\n\r\n" + get("/", b"Connection: close\r\n"))
        text = read_all(client)
        assert text.count(b"HTTP/1.1 200") == 2
        assert b"\r\n\r\n2HTTP" in text
    for trailers in (b"a:b\r\n" * 200, b"a:" + b"b" * 200_000, b"a" * 200_000):
        with served() as (address, _), socket.create_connection(address, timeout=LONG_S) as client:
            client.sendall(head)
            with suppress(ConnectionError):
                for at in range(0, len(trailers), 1 << 14):
                    client.sendall(trailers[at : at + (1 << 14)])
            assert b"200 OK" not in read_all(client)


def test_extensions_of_chunks_are_bounded_and_small_chunks_are_read():
    head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    with served() as (address, _), socket.create_connection(address, timeout=LONG_S) as client:
        client.sendall(head + b"1\r\na\r\n" * 50_000 + b"0\r\n\r\n")
        assert client.recv(1000).startswith(b"HTTP/1.1 200")
    with served() as (address, _), socket.create_connection(address, timeout=LONG_S) as client:
        with suppress(ConnectionError):
            client.sendall(head.replace(b"POST /", b"POST /held"))
            for _ in range(100):
                client.sendall(b"1;" + b"x" * 20_000 + b"\r\na\r\n")
        assert b"200 OK" not in read_all(client)


def test_there_are_not_many_headers():
    with served() as (address, _), socket.create_connection(address, timeout=LONG_S) as client:
        client.sendall(get("/", b"a:b\r\n" * 200))
        assert b"more than 128 headers" in read_all(client)


def test_few_requests_wait_for_one_before_them():
    with served() as (address, server), socket.create_connection(address, timeout=LONG_S) as client:
        client.sendall(get("/held") + get("/") * 3000)
        busy(server, 1)
        (connection,) = server.server_state.connections
        wait_until(lambda: len(connection.pipeline) == connections.PIPELINED_MAX)
        release.set()
        text = read_all(client)
        assert text.count(b"HTTP/1.1 200") == 1 + connections.PIPELINED_MAX


def test_what_cannot_be_read_spoils_no_answer_before_it():
    with served() as (address, server), socket.create_connection(address, timeout=LONG_S) as client:
        client.sendall(get("/held"))
        busy(server, 1)
        client.sendall(b"\0nonsense\r\n\r\n")
        release.set()
        text = read_all(client)
        assert text.startswith(b"HTTP/1.1 200")
        assert text.count(b"HTTP/1.1") == 1


def test_who_left_is_gone_also_behind_a_pipelined_request():
    with served() as (address, server):
        with socket.create_connection(address) as client:
            client.sendall(get("/held") + get("/"))
            busy(server, 1)
            (connection,) = server.server_state.connections
            first = connection._answering
        wait_until(lambda: first.disconnected)


@pytest.mark.parametrize("more", [b"", b"Connection: close\r\n"])
def test_an_answer_must_be_read(monkeypatch, more):
    monkeypatch.setattr(connections, "UNREAD_MAX_S", 0.1)
    monkeypatch.setattr(connections, "UNREAD_BYTES_PER_S", 1 << 30)
    with served() as (address, server), socket.create_connection(address, timeout=LONG_S) as client:
        client.sendall(get("/long", more))
        assert client.recv(100).startswith(b"HTTP/1.1 200")
        wait_until(lambda: not server.server_state.connections)
        assert len(read_all(client)) < LONG - 100


def test_one_that_reads_gets_all_of_a_long_answer(monkeypatch):
    monkeypatch.setattr(connections, "UNREAD_MAX_S", 60)
    with served() as (address, _):
        connection, _, text = ask(address, "/long")
        assert len(text) == LONG
        connection.close()


def test_empty_lines_keep_no_connection(monkeypatch):
    with served() as (address, _):
        connection, _, _ = ask(address)
        monkeypatch.setattr(connections, "HEAD_MAX_S", 0.2)
        connection.sock.sendall(b"\r\n")
        assert b"within 0.2 seconds" in read_all(connection.sock)
        connection.close()


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: "])
def test_a_head_must_arrive_in_time(monkeypatch, sent):
    monkeypatch.setattr(connections, "HEAD_MAX_S", 0.2)
    with served() as (address, _), socket.create_connection(address, timeout=LONG_S) as client:
        client.sendall(sent)
        assert b"within 0.2 seconds" in client.recv(1000)
        assert client.recv(1000) == b""


def test_the_second_head_must_too_but_may_begin_late(monkeypatch):
    with served(timeout_keep_alive=HOUR_S) as (address, server):
        connection, answer, _ = ask(address)
        pass_time(server, 2 * connections.HEAD_MAX_S)
        connection.request("GET", "/")
        assert connection.getresponse().read()
        monkeypatch.setattr(connections, "HEAD_MAX_S", 0.2)
        connection.sock.sendall(b"GET / HT")
        assert b"within 0.2 seconds" in connection.sock.recv(1000)
        connection.close()
        assert answer.status == 200


def test_a_head_must_not_be_long(monkeypatch):
    monkeypatch.setattr(connections, "HEAD_MAX_BYTES", 1000)
    with served() as (address, _), socket.create_connection(address, timeout=LONG_S) as client:
        client.sendall(b"GET / HTTP/1.1\r\nX: " + b"x" * 2000)
        assert b"longer than 1,000 bytes" in client.recv(1000)
        assert client.recv(1000) == b""


def test_a_body_may_take_longer_and_be_longer_than_a_head(monkeypatch):
    monkeypatch.setattr(connections, "HEAD_MAX_BYTES", 1000)
    head = b"POST /held HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n\r\n"
    server = served(timeout_keep_alive=HOUR_S)
    with server as (address, server), socket.create_connection(address, timeout=LONG_S) as client:
        client.sendall(head + b"x" * 8999)
        busy(server, 1)
        pass_time(server, 2 * connections.HEAD_MAX_S)
        client.sendall(b"x")
        release.set()
        assert answered(client)
        assert answered(client, get("/"))


PART = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nx"


def answered(client, request=b""):
    client.sendall(request)
    text = b""
    while not re.search(rb"\r\n\r\n\d", text):
        text += client.recv(1000)
    return text.startswith(b"HTTP/1.1 200")


def test_the_rest_of_an_answered_body_is_not_read_for_ever(monkeypatch):
    monkeypatch.setattr(connections, "REST_MAX_S", 0.2)
    server = served(timeout_keep_alive=LONG_S)
    with server as (address, _), socket.create_connection(address, timeout=LONG_S) as client:
        assert answered(client, PART)
        client.sendall(b"x")
        assert client.recv(1000) == b""


def test_the_rest_of_an_answered_body_may_come_and_another_request():
    server = served(timeout_keep_alive=HOUR_S)
    with server as (address, server), socket.create_connection(address, timeout=LONG_S) as client:
        assert answered(client, PART)
        client.sendall(b"x" * 8)
        (connection,) = server.server_state.connections
        wait_until(lambda: connection._whole)
        pass_time(server, 2 * connections.REST_MAX_S)
        assert answered(client, get("/"))


def test_a_rest_in_tiny_chunks_is_thrown_away_unparsed_and_its_client_sees_the_answer(monkeypatch):
    parsed = []
    on_body = connections.Connection.on_body
    monkeypatch.setattr(
        connections.Connection,
        "on_body",
        lambda self, piece: (parsed.append(1), on_body(self, piece)),
    )
    head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    with served() as (address, _), socket.create_connection(address, timeout=LONG_S) as client:
        assert answered(client, head + b"1\r\na\r\n")
        for _ in range(100):
            client.sendall(b"1\r\na\r\n" * 10_000)
        client.sendall(b"0\r\n\r\n")
        assert client.recv(1000) == b""
    assert 1 < len(parsed) < 10_000


def test_nobody_has_more_than_a_small_piece_parsed_before_others_have_their_turn(monkeypatch):
    pieces = []
    received = connections.Connection.data_received
    monkeypatch.setattr(
        connections.Connection,
        "data_received",
        lambda self, data: (pieces.append(len(data)), received(self, data)),
    )
    with served() as (address, _), socket.create_connection(address, timeout=LONG_S) as client:
        client.sendall(PART.replace(b"9", b"900001") + b"x" * 900_000)
        assert client.recv(1000).startswith(b"HTTP/1.1 200")
    assert max(pieces) <= 16_384


def test_one_whose_rest_came_is_quiet_not_for_ever():
    server = served(timeout_keep_alive=0.2)
    with server as (address, _), socket.create_connection(address, timeout=LONG_S) as client:
        assert answered(client, PART)
        client.sendall(b"x" * 8)
        assert client.recv(1000) == b""

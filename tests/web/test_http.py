"""Over a real socket: bodies that do not end, clients that leave, the vendor's own client."""

import asyncio
import http.client
import json
import socket

import pytest
from segmind import SegmindClient
from segmind.exceptions import SegmindError

from limner.settings import Settings
from tests.waiting import LONG_S, wait_until
from tests.web import fakes
from tests.web.conftest import PATH


@pytest.fixture
def settings(request):
    """A body's time is a minute, or what the test is parametrized with."""
    seconds = getattr(request, "param", LONG_S)
    return Settings(data_dir="/nonexistent", body_max_bytes=4096, body_max_s=seconds)


def connect(server):
    host, _, port = server.removeprefix("http://").partition(":")
    return http.client.HTTPConnection(host, int(port), timeout=LONG_S)


def begin(connection, *headers):
    connection.putrequest("POST", PATH)
    for name, value in (
        ("x-api-key", fakes.KEY), ("Content-Type", "application/json"), *headers,
    ):  # fmt: skip
        connection.putheader(name, value)
    connection.endheaders()


def test_the_vendors_client(server, services):
    client = SegmindClient(api_key=fakes.KEY, base_url=f"{server}/v1")
    answer = client.run_sync("sd1.5-rpg", prompt="a knight", base64=True)
    assert answer.json()["status"] == "Success"
    with pytest.raises(SegmindError) as refused:
        client.run_sync("sd1.5-rpg", prompt="x", samples=9)
    assert refused.value.status == 400
    assert "samples is 9" in refused.value.detail


def test_raw_bytes(http):
    answer = http.post(PATH, json={"prompt": "x"})
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.content.startswith(b"\xff\xd8\xff")


def test_head_has_no_body(server):
    connection = connect(server)
    for _ in range(2):  # the connection stays usable
        connection.request("HEAD", "/license")
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (200, b"")
    connection.close()


@pytest.mark.parametrize("settings", [0.3], indirect=True)
def test_a_body_that_never_ends(server):
    connection = connect(server)
    begin(connection, ("Content-Length", "100"))
    connection.send(b'{"prompt": ')
    answer = connection.getresponse()
    assert (answer.status, answer.getheader("retry-after")) == (503, "2")
    assert "within 0.3 seconds" in json.loads(answer.read())["error"]
    connection.close()


def test_a_chunked_body_that_grows_too_long(server):
    connection = connect(server)
    begin(connection, ("Transfer-Encoding", "chunked"))
    for _ in range(5):
        connection.send(b"400\r\n" + b"x" * 1024 + b"\r\n")
    answer = connection.getresponse()
    assert answer.status == 413
    connection.close()


def test_strangers_bodies_are_not_read(server):
    connection = connect(server)
    connection.putrequest("POST", PATH)
    connection.putheader("Content-Length", "1000000000000")
    connection.endheaders()
    assert connection.getresponse().status == 401
    connection.close()


def test_a_client_that_leaves_stops_the_work(server, services):
    services.generate.wait = asyncio.Event()
    connection = connect(server)
    body = b'{"prompt": "x"}'
    begin(connection, ("Content-Length", str(len(body))))
    connection.send(body)
    wait_until(lambda: services.generate.orders)
    connection.sock.shutdown(socket.SHUT_RDWR)
    connection.close()
    wait_until(lambda: services.generate.cancelled == 1)


def test_a_client_that_leaves_in_its_body_is_forgotten(server, services, http):
    connection = connect(server)
    begin(connection, ("Content-Length", "100"))
    connection.send(b"{")
    connection.close()
    assert http.post(PATH, json={"prompt": "x"}).status_code == 200
    assert len(services.generate.orders) == 1


@pytest.mark.parametrize("name", ["x-api-key", "Idempotency-Key", "Accept"])
def test_odd_header_bytes(server, name):
    connection = connect(server)
    connection.putrequest("POST", PATH)
    connection.putheader(name, b"\xff\xfe\xe4")
    connection.putheader("Content-Length", "0")
    connection.endheaders()
    assert connection.getresponse().status == 401
    connection.close()

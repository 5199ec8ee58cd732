"""Fetching from URLs: what is refused, what is followed, what is bounded."""

import asyncio
import io
import ipaddress
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from PIL import Image

from limner import fetching, imaging, resolving
from limner.errors import InvalidInput, LimitExceeded, Unavailable
from limner.fetching import Limits, fetch, is_public
from limner.pools import WHOSE
from tests.waiting import LONG_S, wait_until

PICTURE = imaging.to_png(np.full((20, 30, 3), 7, np.uint8))


class Pages(BaseHTTPRequestHandler):
    """A host on the loopback whose every page misbehaves in its own way."""

    def do_GET(self):
        name = self.path.strip("/").partition("/")[0] or "picture"
        getattr(self, f"page_{name}")()

    def page_picture(self):
        self.answer(200, PICTURE, {"Content-Type": "text/plain"})

    def page_html(self):
        self.answer(200, b"<html>", {"Content-Type": "image/png"})

    def page_gone(self):
        self.answer(404, b"")

    def page_host(self):
        data = b"\x89PNG\r\n\x1a\n" + self.headers["Host"].encode()
        self.answer(200, data)

    def page_hop(self):
        left = int(self.path.rpartition("/")[2])
        self.answer(302, b"", {"Location": f"/hop/{left - 1}" if left else "/picture"})

    def page_away(self):
        self.answer(301, b"", {"Location": "http://10.0.0.1/picture"})

    def page_file(self):
        self.answer(302, b"", {"Location": "file:///etc/passwd"})

    def page_endless(self):
        self.send_response(200)
        self.end_headers()
        try:
            while True:
                self.wfile.write(b"\xff\xd8\xff" + bytes(1000))
        except OSError:
            pass

    def page_slow(self):
        self.send_response(200)
        self.end_headers()
        time.sleep(0.6)

    def page_broken(self):
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"\x89PNG")

    def answer(self, status, data, headers=()):
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def host():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def get(url, *, private=True, max_bytes=10_000, max_s=LONG_S):
    return asyncio.run(fetch(url, "image", Limits(max_bytes, max_s, private)))


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_every_format_that_is_read_is_told_by_its_first_bytes(format):
    buffer = io.BytesIO()
    Image.new("RGB", (20, 20)).save(buffer, format)
    assert fetching.looks_like_a_picture(buffer.getvalue())
    assert not fetching.looks_like_a_picture(b"BMW and other words, GIF or RIFF")


def test_a_picture_whatever_its_content_type_says(host):
    assert get(f"{host}/picture") == PICTURE


def test_redirects_are_followed_three_times(host):
    assert get(f"{host}/hop/2") == PICTURE
    with pytest.raises(InvalidInput, match="redirected more than 3 times"):
        get(f"{host}/hop/3")


@pytest.mark.parametrize(
    ("page", "sentence"),
    [
        ("html", "is no picture"),
        ("gone", "answered with 404"),
        ("endless", "longer than 10,000 bytes"),
        ("slow", "within 0.3 seconds"),
        ("broken", "127.0.0.1 gives no picture"),
        ("file", "only http and https"),
    ],
)
def test_pages_that_misbehave(host, page, sentence):
    with pytest.raises(InvalidInput, match=sentence) as caught:
        get(f"{host}/{page}", max_s=0.3 if page == "slow" else LONG_S)
    assert caught.value.field == "image"


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/",
        "http://localhost:1/",
        "http://2130706433:1/",
        "http://0x7f.1:1/",
        "http://0.0.0.0:1/",
        "http://[::1]:1/",
        "http://[::ffff:127.0.0.1]:1/",
        "http://169.254.169.254/latest/meta-data",
        "https://192.168.0.1/",
        "http://10.0.0.1/",
    ],
)
def test_private_hosts_are_refused(url):
    with pytest.raises(InvalidInput, match="is not a public address"):
        get(url, private=False)


def test_a_redirect_into_the_private_net_is_refused(host, monkeypatch):
    """The first host counts as public here, so that only the redirect can be what is refused."""
    monkeypatch.setattr(
        fetching, "is_public", lambda address: address == ipaddress.ip_address("127.0.0.1")
    )
    with pytest.raises(InvalidInput, match=r"10\.0\.0\.1 is not a public address"):
        get(f"{host}/away", private=False)


def test_the_host_is_resolved_once_and_that_address_is_used(host, monkeypatch):
    """A name server that answers differently the second time changes nothing."""
    port = int(host.rpartition(":")[2])
    asked = []

    async def resolve(name, port):
        asked.append(name)
        return "127.0.0.1" if len(asked) == 1 else "203.0.113.1"

    monkeypatch.setattr(resolving, "first_address", resolve)
    data = get(f"http://pictures.example:{port}/host")
    assert data.endswith(f"pictures.example:{port}".encode())
    assert asked == ["pictures.example"]


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("http://user:secret@example.com/", "name or password"),
        ("http:///a.png", "with a host"),
        ("ftp://example.com/a.png", "only http and https"),
        ("http://a" + "b" * 5000, "longer than 4096"),
        ("http://a.example:99999/", "the URL's port is 99999; it must be 1 to 65535"),
        ("http://a.example:0/", "the URL's port is 0; it must be 1 to 65535"),
        ("http://exa mple\x00.com/", "cannot be read"),
        ("http://no-such-host.invalid/", "host no-such-host.invalid is not known"),
    ],
)
def test_urls_that_are_not_asked_for(url, sentence):
    with pytest.raises(InvalidInput, match=sentence):
        get(url)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("http://a/b.png", True),
        (" \n HTTPS://a/b.png", True),
        ("ftp://a/b.png", True),
        ("file:///etc/passwd", True),
        ("data:image/png;base64,aaaa", False),
        ("//8BAgM=", False),
        ("aGk=", False),
    ],
)
def test_what_is_meant_as_a_url(text, meant):
    assert fetching.is_url(text) is meant


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("100.64.0.1", False),
        ("224.0.0.1", False),
        ("240.0.0.1", False),
        ("fe80::1", False),
        ("fd00::1", False),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
        ("::", False),
        ("::7f00:1", False),
        ("::ffff:0:7f00:1", False),
        ("64:ff9b:1::7f00:1", False),
        ("fec0::1", False),
    ],
)
def test_what_is_public(address, public):
    assert is_public(ipaddress.ip_address(address)) is public


def test_at_most_so_many_at_once(host, monkeypatch):
    monkeypatch.setattr(fetching, "OPEN_MAX", 0)
    with pytest.raises(Exception, match="0 pictures are being fetched already"):
        get(host)
    monkeypatch.undo()
    assert get(host) == PICTURE


@pytest.fixture
def slow_names(monkeypatch):
    """A name server that answers when the test lets it; counts who waits for it."""
    asked, let_go = threading.Semaphore(0), threading.Event()

    def look_up(*_, **__):
        asked.release()
        assert let_go.wait(60)
        raise OSError("no such host")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    yield asked
    let_go.set()
    wait_until(lambda: not resolving._asked)


def test_slow_names_hold_up_nothing_else_and_are_bounded(slow_names):
    async def main():
        url, limits = "http://slow.example/", Limits(1000, 60)
        fetches = [asyncio.create_task(fetch(url, "image", limits)) for _ in range(32)]
        for _ in fetches:
            assert await asyncio.to_thread(slow_names.acquire, timeout=60)
        # The default executor is free, though every look-up is held.
        assert await asyncio.to_thread(lambda: 1) == 1
        for task in fetches:
            task.cancel()
        await asyncio.wait(fetches)
        with pytest.raises(Unavailable, match="32 names of hosts are being looked up already"):
            await fetch(url, "image", limits)

    asyncio.run(main())


def test_one_key_cannot_have_all_names_looked_up(slow_names, monkeypatch):
    monkeypatch.setattr(resolving, "THREADS_MAX", resolving.EACH_MAX + 1)
    url, limits = "http://slow.example/", Limits(1000, 60)

    async def as_key(name):
        WHOSE.set(name)
        await fetch(url, "image", limits)

    async def main():
        tasks = [asyncio.create_task(as_key("a")) for _ in range(resolving.EACH_MAX)]
        for _ in tasks:
            assert await asyncio.to_thread(slow_names.acquire, timeout=60)
        with pytest.raises(LimitExceeded, match="8 names of hosts are being looked up for this"):
            await asyncio.create_task(as_key("a"))
        tasks.append(asyncio.create_task(as_key("b")))
        assert await asyncio.to_thread(slow_names.acquire, timeout=60)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    asyncio.run(main())


def test_a_name_that_is_not_answered_is_given_up(slow_names):
    with pytest.raises(InvalidInput, match=r"did not give its picture within 0\.05 seconds"):
        asyncio.run(fetch("http://slow.example/", "image", Limits(1000, 0.05)))

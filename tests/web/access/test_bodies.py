"""Long bodies: what is read of them, how much at once, and in whose turn."""

import asyncio
import base64
import json
import resource
import socket
from contextlib import contextmanager
from pathlib import Path

import pytest

from limner.errors import Unavailable
from limner.web.access.bodies import SHORT, Bodies
from tests.waiting import LONG_S, until, wait_until
from tests.web.served import serve

MIB = 2**20
DRAW = "/v1/sd1.5-rpg"


def test_a_key_has_half_and_all_take_turns():
    async def main():
        held, order = Bodies(100, LONG_S), []

        async def read(owner, size):
            room = await held.take(owner, size)
            order.append(f"{owner}{size}")
            return room

        first = await read("a", 60)  # more than half, but it has nothing yet
        tasks = [asyncio.create_task(read(*each)) for each in [("a", 10), ("a", 9), ("b", 40)]]
        await tasks[2]
        assert held.held == 100
        tasks.append(asyncio.create_task(read("c", 30)))
        tasks.append(asyncio.create_task(read("b", 10)))
        await until(lambda: len(held._waiting) == 3)
        assert order == ["a60", "b40"]
        first.keep(30)
        await tasks[0]  # a has asked before c, and has 40 now
        assert order == ["a60", "b40", "a10"]
        first.keep(0)
        await asyncio.gather(*tasks)
        assert order[3:] == ["c30", "b10", "a9"]
        for task in tasks:
            task.result().keep(0)
            task.result().keep(0)
        assert held.held == 0
        assert not held._waiting
        assert not held._of

    asyncio.run(main())


def test_who_leaves_or_waits_too_long_leaves_nothing_behind():
    async def main():
        held = Bodies(10, 0.01)
        room = await held.take("a", 30)  # alone, one may be longer than all may be together
        with pytest.raises(Unavailable, match=r"0 of 0 MiB of bodies, its limit"):
            await held.take("b", 1)
        patient = Bodies(10, LONG_S)
        first = await patient.take("a", 10)
        waits, goes = (asyncio.create_task(patient.take(each, 10)) for each in "bc")
        await until(lambda: len(patient._waiting) == 2)
        first.keep(0)  # b has its room, and leaves before it knows
        waits.cancel()
        await asyncio.gather(waits, return_exceptions=True)
        (await goes).keep(0)
        room.keep(0)
        assert (held.held, patient.held) == (0, 0)

    asyncio.run(main())


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    limits = {"bodies_max_mib": 8, "body_max_bytes": 4 * MIB}
    with serve(tmp_path_factory.mktemp("served"), **limits) as made:
        yield made


@contextmanager
def begun(served, path=DRAW, length=3 * MIB, **headers):
    """A connection with a call whose body has begun and does not go on; it can be read from."""
    host, port = served.url.removeprefix("http://").split(":")
    lines = {
        "host": host,
        "content-type": "application/json",
        "content-length": str(length),
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value)
    with socket.create_connection((host, int(port)), timeout=LONG_S) as sock:
        sock.sendall(f"POST {path} HTTP/1.1\r\n{head}\r\n{{".encode())
        yield sock


def status(sock):
    return int(sock.makefile("rb").readline().split()[1])


@pytest.mark.parametrize("path", [DRAW, "/v2/sd1.5-rpg", "/api/requests", "/sdapi/v1/img2img"])
def test_who_may_not_draw_is_told_before_the_body_comes(served, path):
    for key, expected in (("SG_" + "0" * 32, 401), (served.new_key(credits=0), 406)):
        with begun(served, path, x_api_key=key) as sock:
            assert status(sock) == expected
        with begun(served, path, x_api_key=key, idempotency_key="unused") as sock:
            assert status(sock) == expected
    with begun(served, path, 5 * MIB, x_api_key=served.key) as sock:
        assert status(sock) == 413
    nothing_is_held(served)


def nothing_is_held(served):
    """An answer may be here before its call has ended there."""
    wait_until(lambda: served.app.state.bodies.held == 0)


def test_a_retry_is_read_though_nothing_is_left_to_pay_with(served):
    key = served.new_key(credits=0.00256)  # one picture
    body = {"prompt": "a knight", "seed": 1, "base64": True}
    body |= {"unread": "x" * SHORT}
    with served.http(key) as http:
        headers = {"idempotency-key": "one"}
        first = http.post(DRAW, json=body, headers=headers)
        assert first.status_code == 200, first.text
        assert http.post(DRAW, json=body).status_code == 406
        again = http.post(DRAW, json=body, headers=headers)
    assert again.json() == first.json()
    assert again.headers["x-replayed"] == "true"


def test_what_a_body_takes_is_given_back_when_its_pictures_are_read(served):
    """A chunked body, whose length nobody knows, takes the most at first."""
    text = json.dumps({"prompt": "x", "unread": "x" * MIB}).encode()

    def parts():
        yield text[:9]
        yield text[9:]

    with served.http() as http:
        headers = {"content-type": "application/json"}
        assert http.post("/api/quote", content=parts(), headers=headers).status_code == 200
    nothing_is_held(served)
    with begun(served, x_api_key=served.key):
        wait_until(lambda: served.app.state.bodies.held == 3 * MIB)
    nothing_is_held(served)


def resident():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


@pytest.mark.slow
def test_many_long_bodies_at_once_do_not_fill_the_memory(served):
    """32 bodies of 4 MB: all at once they take 280 MB."""
    served.app.state.bodies._wait_s = LONG_S  # the last of them waits for all others
    noise = base64.b64encode(bytes(3 * MIB - 999)).decode()
    content = json.dumps({"prompt": "x", "image": noise}).encode()
    keys = [served.new_key() for _ in range(4)]
    host, port = served.url.removeprefix("http://").split(":")
    kind = f"host: {host}\r\ncontent-type: application/json\r\nconnection: close\r\n"
    most = 0

    async def send(key):
        loop = asyncio.get_running_loop()
        with socket.socket() as sock:
            sock.setblocking(False)
            await loop.sock_connect(sock, (host, int(port)))
            head = f"x-api-key: {key}\r\ncontent-length: {len(content)}\r\n{kind}"
            await loop.sock_sendall(sock, f"POST /api/quote HTTP/1.1\r\n{head}\r\n".encode())
            await loop.sock_sendall(sock, memoryview(content))
            return int((await loop.sock_recv(sock, 100)).split()[1])

    async def main():
        nonlocal most
        sent = [asyncio.create_task(send(keys[n % 4])) for n in range(32)]
        while not all(task.done() for task in sent):
            most = max(most, resident())
            assert served.app.state.bodies.held <= 8 * MIB
            await asyncio.sleep(0.002)
        return [task.result() for task in sent]

    before = resident()
    assert set(asyncio.run(main())) == {200}
    assert most - before < 100 * MIB

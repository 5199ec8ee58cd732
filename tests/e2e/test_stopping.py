"""A real server process that is told to stop while it draws, waits and streams."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from urllib.parse import urlsplit

import httpx
import pytest
from sqlalchemy import text

from limner.store import audit, keys
from limner.store.db import Database
from tests.e2e.servers import Server, free_port
from tests.web.conftest import PATH

SOON_S = 60
LONG = {"prompt": "a knight", "num_inference_steps": 100, "scheduler": "Heun"}
# Each surface's way to draw for long, and where its error stands.
CALLS = {
    PATH: (LONG, lambda body: body["error"]),
    "/v1/images/generations": (
        {**LONG, "size": "512x512"},
        lambda body: body["error"]["message"],
    ),
    "/sdapi/v1/txt2img": (
        {"prompt": "a knight", "steps": 100, "sampler_name": "Heun"},
        lambda body: body["detail"],
    ),
    f"{PATH}?again": (LONG, lambda body: body["error"]),
}


@contextlib.contextmanager
def slow_server(tmp_path, drain_s, step_s):
    """Draws with the fake engine, ``step_s`` a step; killed at the end if it still lives."""
    folder, port, log = tmp_path / "data", free_port(), tmp_path / "serve.log"
    command = [sys.executable, "-m", "tests.e2e.fake_server", "serve", "--port", str(port)]
    with log.open("w") as out:
        process = subprocess.Popen(
            [*command, "--data-dir", str(folder), "--drain-s", str(drain_s)],
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, "FAKE_STEP_S": str(step_s)},
        )
    url, deadline = f"http://127.0.0.1:{port}", time.monotonic() + SOON_S
    try:
        while not is_ready(url):
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield Server(url, new_key(folder), folder, process, log)
    finally:
        process.kill()
        process.wait()


def is_ready(url):
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"{url}/health/ready").status_code == 200
    return False


@contextlib.contextmanager
def database_of(folder):
    database = Database.open(f"sqlite:///{folder / 'limner.db'}")
    yield database
    database.close()


def new_key(folder):
    with database_of(folder) as database, database.begin() as conn:
        return keys.create(conn, name="me", credits_micro=10**9)[0]


def look(folder, query):
    with database_of(folder) as database, database.read() as conn:
        assert audit.check(conn) == []
        return conn.execute(text(query)).all()


def begin_upload(server):
    """A call whose body never becomes whole."""
    place = urlsplit(server.url)
    upload = socket.create_connection((place.hostname, place.port))
    head = f"POST {PATH} HTTP/1.1\r\nhost: x\r\nx-api-key: {server.key}\r\n"
    upload.sendall(
        f"{head}content-type: application/json\r\ncontent-length: 100\r\n\r\n{{".encode()
    )
    upload.settimeout(SOON_S)
    return upload


async def until_drawing(client, number):
    async with asyncio.timeout(SOON_S):
        while (await client.get("/health/ready")).json()["running"] < number:
            await asyncio.sleep(0.02)


async def read_events(client, request_id):
    async with client.stream("GET", f"/api/requests/{request_id}/events") as answer:
        return [line async for line in answer.aiter_lines() if line]


async def stop_under_load(server):
    """SIGTERM with four calls drawing, fifty requests queued and a stream; what each was told."""
    limits = httpx.Limits(max_connections=100)
    async with httpx.AsyncClient(
        base_url=server.url, headers=server.headers, timeout=SOON_S, limits=limits
    ) as client:
        drawing = [asyncio.create_task(client.post(p, json=b)) for p, (b, _) in CALLS.items()]
        await until_drawing(client, 4)
        upload = begin_upload(server)
        body = {"requests": [{**LONG, "prompt": f"{n}"} for n in range(25)]}
        stored = [await client.post("/api/requests", json=body) for _ in range(2)]
        last = stored[1].json()["requests"][-1]["request_id"]
        stream = asyncio.create_task(read_events(client, last))
        await asyncio.sleep(0)
        signalled = time.time()
        server.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(SOON_S):
            while (health := await client.get("/health/ready")).status_code == 200:
                await asyncio.sleep(0.01)
        late = await client.post(PATH, json=LONG)
        answers = await asyncio.gather(*drawing)
        with upload:
            uploaded = await asyncio.to_thread(upload.makefile("rb").read)
        return signalled, health, late, answers, await stream, uploaded


@pytest.mark.slow
def test_a_stop_under_load_is_short_announced_and_polite(tmp_path):
    with slow_server(tmp_path, drain_s=4, step_s=0.5) as server:
        signalled, *told = asyncio.run(stop_under_load(server))
        assert server.process.wait(SOON_S) == 0
        said = server.log.read_text()
    health, late, answers, events, uploaded = told
    assert health.json()["status"] == "stopping"
    places = [place for _, place in CALLS.values()]
    for answer, place in zip([late, *answers], [places[0], *places], strict=True):
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        sentence = place(answer.json())
        assert "The server is stopping" in sentence
        assert "again" in sentence
    assert events[-2] == "event: stopping"
    assert "follow the request again" in json.loads(events[-1].removeprefix("data: "))["error"]
    assert uploaded.startswith(b"HTTP/1.1 503")
    assert b"The server is stopping" in uploaded
    assert "stopping: no new work; " in said
    assert "not finished and go back, unbilled" in said
    assert said.rstrip().splitlines()[-1].count("stopped") == 1
    rows = look(server.data_dir, "SELECT status, tries, started_at, asynchronous FROM requests")
    queued = [row for row in rows if row.asynchronous]
    assert Counter((row.status, row.tries) for row in queued) == {("QUEUED", 0): 50}
    assert Counter(row.status for row in rows if not row.asynchronous) == {"FAILED": 4}
    assert not [row for row in rows if row.started_at and row.started_at > signalled]


@pytest.mark.slow
@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_waits_for_nothing(tmp_path, second):
    async def story(server):
        async with httpx.AsyncClient(
            base_url=server.url, headers=server.headers, timeout=SOON_S
        ) as client:
            call = asyncio.create_task(client.post(PATH, json=LONG))
            await until_drawing(client, 1)
            server.process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(SOON_S):
                while "stopping: no new work" not in server.log.read_text():
                    await asyncio.sleep(0.01)
            server.process.send_signal(second)
            return await call

    with slow_server(tmp_path, drain_s=3600, step_s=1.0) as server:
        answer = asyncio.run(story(server))
        assert server.process.wait(SOON_S) == 0
    assert answer.status_code == 503
    assert "The server is stopping" in answer.json()["error"]
    assert look(server.data_dir, "SELECT status FROM requests") == [("FAILED",)]

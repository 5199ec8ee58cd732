"""Two servers, two processes, one database: what one draws is followed and stopped at the other."""

import json
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial

import httpx
import pytest

from tests.e2e import servers
from tests.store.databases import empty, postgres_url, tmp_path
from tests.waiting import wait_for

__all__ = ["postgres_url", "tmp_path"]
pytestmark = pytest.mark.slow


@pytest.fixture(params=["sqlite", "postgresql"])
def pair(request, tmp_path, monkeypatch):
    """Two servers over one database, whose steps take long."""
    monkeypatch.setenv("FAKE_STEP_S", "0.5")
    flags = []
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")
        empty(url)
        flags = ["--database-url", url]
    with ExitStack() as ending:
        running = []
        for _ in range(2):
            server = servers.start(tmp_path / "data", *flags, program=servers.FAKE)
            ending.callback(stop, server)
            running.append(server)
        yield running


def stop(server):
    server.process.send_signal(signal.SIGKILL)
    server.process.wait()


def test_a_drawing_is_followed_and_stopped_at_the_other_server(pair):
    drawing, asked = pair
    body = {"prompt": "a knight", "steps": 150}
    with (
        ThreadPoolExecutor(1) as pool,
        httpx.Client(base_url=asked.url, headers=drawing.headers, timeout=120) as http,
    ):
        call = pool.submit(
            httpx.post,
            f"{drawing.url}/sdapi/v1/txt2img",
            json=body,
            headers=drawing.headers,
            timeout=300,
        )
        url = f"/api/requests/{wait_for(partial(unfinished, http), bool)[0]['request_id']}"
        with http.stream("GET", f"{url}/events") as stream:
            seen = next(told for told in progress(stream) if told["preview"])
        assert 0 < seen["step"] < seen["steps"] == 150
        assert http.delete(url).json()["status"] == "CANCELLED"
        assert call.result().json()["images"] == []


def unfinished(http):
    return http.get("/api/requests", params={"unfinished": "true"}).json()["requests"]


def progress(stream):
    """The data of the ``progress`` events, as they come."""
    name = ""
    for line in stream.iter_lines():
        field, _, value = line.partition(": ")
        if field == "event":
            name = value
        elif field == "data" and name == "progress":
            yield json.loads(value)

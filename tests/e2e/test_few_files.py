"""A server that may open few files: it says so, seldom, and serves again once some are free."""

from __future__ import annotations

import contextlib
import socket
import time

import httpx
import pytest

from tests.e2e import servers
from tests.waiting import LONG_S, wait_for

FILES = 64
LIMITED = (
    "-c",
    "import resource, runpy\n"
    f"resource.setrlimit(resource.RLIMIT_NOFILE, ({FILES}, {FILES}))\n"
    "runpy.run_module('tests.e2e.fake_server', run_name='__main__', alter_sys=True)",
)


def connect(url: httpx.URL) -> socket.socket | None:
    with contextlib.suppress(OSError):
        return socket.create_connection((url.host, url.port), timeout=5)
    return None


@pytest.mark.slow
def test_connections_beyond_its_files_fill_no_disk(tmp_path):
    server = servers.start(tmp_path / "data", program=LIMITED)
    url = httpx.URL(server.url)
    try:
        waiting = [connect(url) for _ in range(2 * FILES)]
        time.sleep(5)  # several rounds of what cannot be accepted
        assert server.log.stat().st_size < 200_000
        for connection in waiting:
            if connection is not None:
                connection.close()
        answer = wait_for(lambda: drawn(server), lambda status: status == 200)
        assert answer == 200
    finally:
        server.stop()
    assert server.log.stat().st_size < 300_000


def drawn(server: servers.Server) -> int:
    body = {"prompt": "a knight", "num_inference_steps": 20}
    with contextlib.suppress(httpx.TransportError):
        answer = httpx.post(
            f"{server.url}/v1/sd1.5-rpg", json=body, headers=server.headers, timeout=LONG_S
        )
        return answer.status_code
    return 0

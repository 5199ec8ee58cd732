"""A cluster that goes away for good: the server says so, ends by itself, and blames no request."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec

import httpx
import pytest
from sqlalchemy import select

from limner.store import audit
from limner.store.db import Database
from limner.store.schema import requests
from tests.replicas.clusters import head
from tests.replicas.served import serving
from tests.waiting import wait_for
from tests.web.conftest import PATH

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed (extra `ray`)"),
]
QUEUED, PATIENCE_S = 12, 240.0


def test_a_server_whose_cluster_is_gone_ends_and_takes_no_try(tmp_path):
    (hold := tmp_path / "hold").touch()
    with (
        head(tmp_path / "ray", FAKE_HOLD=str(hold)) as cluster,
        serving(tmp_path / "data", *cluster.flags, **cluster.environ) as server,
        ThreadPoolExecutor(1) as pool,
    ):
        body = {"requests": [{"prompt": f"knight {number}"} for number in range(QUEUED)]}
        post(server, "/api/requests", body)
        waiting = pool.submit(post, server, PATH, {"prompt": "a knight"})
        ready = f"{server.url}/health/ready"
        wait_for(lambda: httpx.get(ready).json()["running"], lambda n: n > 1, within_s=PATIENCE_S)
        cluster.end()
        wait_for(lambda: httpx.get(ready).json()["status"], "failing".__eq__, within_s=PATIENCE_S)
        assert server.process.wait(PATIENCE_S) == 1
        answer = waiting.result()
        assert (answer.status_code, "retry-after" in answer.headers) == (503, True)
        said = server.said()
    assert "the replicas are lost; their images go back: Neither the head" in said
    assert "limner: The engine cannot draw any more (Neither the head of the Ray" in said
    assert "Traceback" not in said
    assert found(server) == {("QUEUED", 0): QUEUED, ("FAILED", 1): 1}


def post(server, path, body):
    return httpx.post(server.url + path, json=body, headers=server.headers, timeout=PATIENCE_S)


def found(server):
    """How many requests are in which state after how many tries; the books are clean."""
    database, counts = Database.open(f"sqlite:///{server.data_dir / 'limner.db'}"), {}
    with database.read() as conn:
        assert audit.check(conn) == []
        for row in conn.execute(select(requests.c.status, requests.c.tries)):
            counts[tuple(row)] = counts.get(tuple(row), 0) + 1
    database.close()
    return counts

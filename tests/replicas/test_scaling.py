"""Replicas come with work and go without it, on a real Ray; what they had is not lost."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec

import httpx
import pytest

from tests.replicas.served import named, serving
from tests.replicas.test_serving import CAPTURED, books
from tests.web.conftest import PATH

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed (extra `ray`)"),
]
CLIENTS = 20
PATIENCE_S = 240.0


def test_replicas_come_with_work_and_go_without_losing_any(tmp_path):
    flags, environ = ("--min-replicas", "1", "--max-replicas", "2"), {"FAKE_STEP_S": "0.2"}
    with serving(tmp_path / "data", *flags, FAKE_SCALE_S="2", **environ) as server:
        assert number_of(server) == 1
        enough = threading.Event()
        with ThreadPoolExecutor(CLIENTS) as pool:
            drawing = [pool.submit(draw_on, server, enough) for _ in range(CLIENTS)]
            try:
                come_to(server, 2)
            finally:
                enough.set()
            come_to(server, 1)  # while the last are drawn, or after
            answers = [status for each in drawing for status in each.result()]
        assert answers == [200] * len(answers)
        assert books(server, CAPTURED) == (len(answers),) * 2


def draw_on(server, enough):
    """Statuses of pictures drawn one after another, until it is enough."""
    statuses = []
    while not enough.is_set():
        body = {"prompt": "a knight", "num_inference_steps": 40}
        answer = httpx.post(server.url + PATH, json=body, headers=server.headers, timeout=200)
        statuses.append(answer.status_code)
    return statuses


def number_of(server):
    return len(named(server.process.pid, "ServeReplica"))


def come_to(server, number):
    deadline = time.monotonic() + PATIENCE_S
    while number_of(server) != number:
        assert time.monotonic() < deadline, f"{number_of(server)} replicas, not {number}"
        time.sleep(0.2)

"""Sending the recorded requests to servers of their own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from tests.e2e import servers
from tests.recorded import calls
from tests.recorded.call import Call
from tests.recorded.normal import OPEN, Normal

Answers = dict[str, dict[str, Any]]
HERE = Path(__file__).parents[2]
WAIT_S = 60.0


def send_all(checkout: Path = HERE) -> Answers:
    """The answers of the code in ``checkout`` to all recorded requests, by name."""
    answers: Answers = {}
    for program, sent in ((servers.FAKE, calls.FAKE), (servers.LIMNER, calls.SQUIRE)):
        with _served(checkout, program) as (server, admin):
            normal = Normal(server.url, exact=program is servers.FAKE)
            fresh = dict(_answers(server.url, admin, normal, sent))
        assert not answers.keys() & fresh.keys() - {"key-me"}, "two requests have one name"
        answers |= fresh
    return answers


def _answers(
    url: str, admin: str, normal: Normal, sent: Iterable[Call]
) -> Iterator[tuple[str, dict[str, Any]]]:
    told: dict[str, Any] = {}
    with httpx.Client(base_url=url, timeout=WAIT_S) as http:
        for call in sent:
            answer = _send(http, call, told, admin)
            if answer.headers.get("content-type") == "application/json":
                told[call.name] = answer.json() if answer.content else None
            yield call.name, normal.answer(call.name, answer)


def _send(http: httpx.Client, call: Call, told: dict[str, Any], admin: str) -> httpx.Response:
    deadline = time.monotonic() + WAIT_S
    try:
        path, options = call.filled_path(told), call.options(told, admin)
    except (KeyError, IndexError) as error:  # what it speaks of has not come
        return httpx.Response(599, json={"not sent": f"no {error} in an earlier answer"})
    while True:
        answer = http.request(call.method, path, **options)
        if not call.wait or not any(f'"{status}"' in answer.text for status in OPEN):
            return answer
        assert time.monotonic() < deadline, f"{call.name} is still open: {answer.text}"
        time.sleep(0.02)


@contextmanager
def _served(checkout: Path, program: tuple[str, ...]) -> Iterator[tuple[servers.Server, str]]:
    """A server of ``program``, and the secret of a key that may do everything."""
    with TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        admin = _admin(checkout, data)
        server = servers.start(data, program=program, checkout=checkout)
        try:
            yield server, admin
        finally:
            server.stop()


def _admin(checkout: Path, data: Path) -> str:
    command = [sys.executable, *servers.LIMNER, "keys", "create", "--name", "admin"]
    told = subprocess.run(
        [*command, "--scopes", "admin", "--data-dir", str(data)],
        capture_output=True,
        text=True,
        check=True,
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(checkout.resolve())},
    )
    found = re.search(r"SG_[0-9a-f]{32}", told.stdout)
    assert found, told.stdout + told.stderr
    return found[0]

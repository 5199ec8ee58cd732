"""Servers over replicas on a real Ray, whose processes are killed: short forms of the long runs."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from limner.store import audit
from limner.store.db import Database
from tests.replicas.served import children, named, replicas_of, serving
from tests.waiting import wait_for, wait_until
from tests.web.conftest import PATH

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),  # Ray starts processes: minutes where a machine is busy
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed (extra `ray`)"),
]
REQUESTS = 40
CAPTURED = "select count(*), count(distinct hold_id) from resolutions where outcome = 'capture'"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("replicas") / "data"
    with serving(folder, "--replicas", "2", FAKE_STEP_S="0.05") as running:
        yield running


def draw(server, number):
    body = {"prompt": f"knight {number}", "seed": number}
    headers = {**server.headers, "idempotency-key": f"draw-{number}"}
    return httpx.post(server.url + PATH, json=body, headers=headers, timeout=120)


def test_replicas_and_the_controller_are_killed_and_all_is_drawn_and_billed_once(server):
    replicas, (before, _) = replicas_of(server, 2), books(server, CAPTURED)
    with ThreadPoolExecutor(REQUESTS // 2) as pool:
        waiting = [pool.submit(draw, server, number) for number in range(REQUESTS)]
        wait_until(lambda: any(each.done() for each in waiting))
        os.kill(replicas[0], signal.SIGKILL)
        os.kill(named(server.process.pid, "ServeController")[0], signal.SIGKILL)
        answers = [each.result() for each in waiting]
    assert [each.status_code for each in answers] == [200] * REQUESTS
    assert len({each.content for each in answers}) == REQUESTS
    assert draw(server, 3).content == answers[3].content
    assert books(server, CAPTURED) == (before + REQUESTS,) * 2
    replicas_of(server, 2)


def books(server, question):
    """They are clean; and what ``question`` finds."""
    database = Database.open(f"sqlite:///{server.data_dir / 'limner.db'}")
    try:
        with database.read() as conn:
            assert audit.check(conn) == []
            return tuple(conn.execute(text(question)).one())
    finally:
        database.close()


def test_many_that_are_cancelled_at_once_stop(server):
    body = {
        "requests": [{"prompt": "a knight", "num_inference_steps": 150, "scheduler": "Heun"}] * 50
    }
    told = httpx.post(
        f"{server.url}/api/requests", json=body, headers=server.headers, timeout=120
    ).json()
    urls = [f"{server.url}/api/requests/{each['request_id']}" for each in told["requests"]]
    wait_until(lambda: "PROCESSING" in {status(server, url) for url in urls})
    began = time.monotonic()
    with ThreadPoolExecutor(10) as pool:
        list(pool.map(lambda url: httpx.delete(url, headers=server.headers, timeout=120), urls))
    assert {status(server, url) for url in urls} == {"CANCELLED"}
    assert draw(server, 1000).status_code == 200
    print(f"50 cancelled and one drawn in {time.monotonic() - began:.2f} s")
    books(server, CAPTURED)


def status(server, url):
    return httpx.get(url, headers=server.headers, timeout=120).json()["status"]


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (("--gpus-per-replica", "1"), "1 replicas of 1 GPUs need 1; the cluster has 0"),
        (("--replicas", "2", "--min-replicas", "1"), "replicas and min_replicas are both set"),
        (("--replicas", "3", "--max-replicas", "2"), "max_replicas is 2; it must be at least 3"),
        (
            ("--ray-address", "127.0.0.1:9"),
            "No Ray can be reached at 127.0.0.1:9: Connection refuse",
        ),
        (("--ray-address", "127.0.0.1"), "ray_address is '127.0.0.1'; it must be HOST:PORT"),
    ],
)
def test_a_cluster_that_cannot_be_is_told_in_a_sentence(tmp_path, flags, sentence):
    command = [sys.executable, "-m", "tests.e2e.fake_server", "serve", "--engine", "ray"]
    command += ["--port", "0", "--data-dir", str(tmp_path / "data"), *flags]
    environ = {name: value for name, value in os.environ.items() if "RAY_AUTH" not in name}
    environ["HOME"] = str(tmp_path)  # no token of the machine's user
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environ)
    assert done.returncode == 1, done.stderr
    assert sentence in done.stderr.splitlines()[-1]


def test_no_process_of_its_own_ray_listens_beyond_the_loopback_address(server):
    replicas_of(server, 2)
    below = [server.process.pid, *children(server.process.pid)]
    open_at = [place for pid in below for place in listening(pid)]
    assert len(open_at) > 5, "its processes speak to each other"
    assert [each for each in open_at if not ipaddress.ip_address(each).is_loopback] == []


def test_the_log_is_json_with_our_fields_alone(server):
    """Ray's core, which is no Python and writes by itself, has fields of its own."""
    os.kill(replicas_of(server, 2)[0], signal.SIGKILL)
    text = wait_for(server.log.read_text, lambda told: "A worker died" in told)
    told = [json.loads(line) for line in text.splitlines()]
    ours = [line for line in told if "event" in line]
    assert len(ours) > 2
    assert not any(name.startswith("_") for line in ours for name in line)
    assert not [line for line in ours if "SIGTERM" in line["event"]]


def test_nothing_of_its_own_ray_is_left_when_it_ends(tmp_path):
    with serving(tmp_path / "data", "--replicas", "1") as server:
        below = children(server.process.pid)
        assert named(server.process.pid, "DashboardAgent")
        server.process.terminate()
        assert server.process.wait(120) == 0
        wait_until(lambda: not any(alive(pid) for pid in below))


def alive(pid):
    with contextlib.suppress(OSError):
        stat = Path(f"/proc/{pid}/stat").read_text()
        return stat.rpartition(")")[2].split()[0] != "Z"
    return False


def listening(pid):
    """Addresses at which a process accepts connections over TCP."""
    with contextlib.suppress(OSError):
        own = {os.readlink(each) for each in Path(f"/proc/{pid}/fd").iterdir()}
        for table in ("tcp", "tcp6"):
            for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
                _, local, _, state, *_, inode = line.split()[:10]
                if state == "0A" and f"socket:[{inode}]" in own:
                    yield address(local.partition(":")[0])


def address(words):
    """As the kernel writes it: words of four bytes, each in the machine's order."""
    swapped = b"".join(
        int(words[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(words), 8)
    )
    found = ipaddress.ip_address(swapped)
    return str(getattr(found, "ipv4_mapped", None) or found)

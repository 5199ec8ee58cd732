"""A server whose bucket refuses what it would store: a sentence, nothing billed, nothing lost."""

from __future__ import annotations

import httpx
import pytest
from sqlalchemy import text

from limner.store import audit
from limner.store.db import Database
from tests.e2e import servers
from tests.store.files.bucket import Bucket, s3_server
from tests.store.files.test_objects import REFUSALS
from tests.waiting import wait_for, wait_until
from tests.web.conftest import PATH

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
LATER = {"prompt": "a knight", "num_inference_steps": 60}


@pytest.fixture(scope="module")
def place():
    with s3_server() as (endpoint, flaky):
        yield Bucket(endpoint), flaky


@pytest.fixture(scope="module")
def server(place, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bucket") / "data"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FAKE_STEP_S", "0.02")
        running = servers.start(folder, "--pictures", place[0].url, program=servers.FAKE)
    yield running
    assert running.stop() == 0


@pytest.fixture
def http(server):
    with httpx.Client(base_url=server.url, headers=server.headers, timeout=120) as client:
        yield client


@pytest.mark.parametrize(("status", "code", "reason"), REFUSALS)
def test_a_bucket_that_takes_nothing_bills_nothing_and_loses_nothing(
    server, http, place, status, code, reason
):
    before = captures(server)
    told = http.post("/api/requests", json={"requests": [LATER]}).json()
    later = f"/api/requests/{told['requests'][0]['request_id']}"
    place[1].writes = (status, code)
    try:
        refused = wait_for(lambda: draw(http), lambda answer: answer.status_code != 200)
        assert refused.status_code == 503
        assert reason in refused.text
        assert refused.headers.get("x-cost", "0") == "0"
        assert "retry-after" in refused.headers
        wait_until(lambda: http.get(later).json()["status"] == "QUEUED")
        ready = httpx.get(server.url + "/health/ready", timeout=60)
        assert (ready.status_code, ready.json()["status"]) == (503, "failing")
        assert captures(server) == before
    finally:
        place[1].writes = None
    wait_until(lambda: httpx.get(server.url + "/health/ready", timeout=60).status_code == 200)
    wait_until(lambda: http.get(later).json()["status"] == "COMPLETED")
    assert draw(http).status_code == 200
    assert captures(server) == before + 2


def draw(http):
    return http.post(PATH, json={"prompt": "a knight"})


def captures(server):
    """How often something was billed; the books are right."""
    database = Database.open(f"sqlite:///{server.data_dir / 'limner.db'}")
    with database.read() as conn:
        assert audit.check(conn) == []
        found = conn.execute(
            text("SELECT count(*) FROM resolutions WHERE outcome = 'capture'")
        ).scalar_one()
    database.close()
    return found

"""A SQLite file that another program holds: every caller hears of it, however many wait."""

import asyncio
import sqlite3
from contextlib import closing

import httpx
import pytest

from limner.store import sqlite
from tests.web.conftest import PATH
from tests.web.served import serve


@pytest.mark.slow
@pytest.mark.timeout(240)  # one after the other they would take 300 s
def test_callers_of_a_locked_database_are_answered_together(tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_S", 5.0)

    async def all_at_once(served):
        options = {"base_url": served.url, "headers": served.headers, "timeout": None}
        async with httpx.AsyncClient(**options) as http:
            bodies = [{"prompt": "x", "seed": seed} for seed in range(60)]
            return await asyncio.gather(*(http.post(PATH, json=body) for body in bodies))

    with serve(tmp_path, database_pool_size=2, lease_s=600) as served:
        with closing(sqlite3.connect(tmp_path / "limner.db", isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            answers = asyncio.run(all_at_once(served))
            assert {answer.status_code for answer in answers} == {503}
            for answer in answers:
                assert answer.json()["error"].startswith("The database is busy: somebody else")
                assert int(answer.headers["retry-after"]) > 0
                assert "x-cost" not in answer.headers  # it might have been taken
        with served.http() as http:
            assert http.post(PATH, json={"prompt": "x"}).status_code == 200
            assert len(http.get("/api/requests").json()["requests"]) == 1

"""A busy run with every kind of failure, and its whole log: no key, no prompt, no password."""

import asyncio
import io
import json
import logging

import httpx
import pytest

from limner import logs
from tests.web import fakes
from tests.web.served import serve

WORDS = "garden nobody may know of"
PATH = "/v1/sd1.5-rpg"
WRONG = "SG_" + "9" * 32


@pytest.fixture
def stream():
    """Everything anybody logs, at any level; put back afterwards."""
    root, own = logging.getLogger(), logging.getLogger("limner")
    before = root.handlers[:], root.level, own.level
    made = io.StringIO()
    logs.configure("json", "debug", made)
    logging.getLogger("uvicorn").setLevel(logging.INFO)
    yield made
    root.handlers[:], level, own_level = before
    root.setLevel(level)
    own.setLevel(own_level)


@pytest.mark.slow
def test_nothing_private_is_logged(stream, tmp_path):
    statuses = set()
    with serve(tmp_path) as server, server.http() as http:
        statuses |= {draw(http, prompt) for prompt in (WORDS, f"!fault {WORDS}", f"!black {WORDS}")}
        statuses |= {answer.status_code for answer in refused(http)}
        queued = http.post("/v2/sd1.5-rpg", json={"prompt": f"!fault {WORDS}"}).json()
        http.get(f"/api/requests/{queued['request_id']}/events")
        statuses.add(http.get(f"/v2/requests/{queued['request_id']}").status_code)
        http.headers["x-api-key"] = WRONG
        statuses.add(draw(http, WORDS))
        http.headers["x-api-key"] = server.key
        statuses |= broken(server, http)
        key = server.key
    assert {200, 400, 401, 404, 406, 413, 422, 500} <= statuses
    text = stream.getvalue()
    lines = [json.loads(line) for line in text.splitlines()]
    assert {"answered", "held"} <= {line["event"] for line in lines}
    assert sum("exception" in line for line in lines) >= 3
    assert all("request_id" in line for line in lines if line["logger"] == "limner.http")
    for secret in (key, key[3:], WRONG, "garden", "nobody may", "hunter2"):
        assert secret not in text, next(line for line in lines if secret in json.dumps(line))


def draw(http, prompt):
    return http.post(PATH, json={"prompt": prompt}).status_code


def refused(http):
    """What a caller can do wrong, the words in every place where they might be repeated."""
    key = {"idempotency-key": WORDS}
    yield http.post(PATH, json={"prompt": WORDS, "scheduler": WORDS})
    yield http.post(PATH, json={"prompt": WORDS, "img_width": WORDS})
    yield http.post(PATH, json={"prompt": WORDS * 1000})
    yield http.post(PATH, json={"prompt": WORDS, "style_mix": {"mood": WORDS}})
    yield http.post(PATH, content=WORDS, headers={"content-type": "application/json"})
    yield http.post(PATH, content=WORDS, headers={"content-type": "text/plain"})
    yield http.post(PATH, content=b"x" * (33 << 20), headers={"content-type": "application/json"})
    yield http.post(PATH, json={"prompt": WORDS, "image": f"http://u:hunter2@127.0.0.1:1/{WORDS}"})
    yield http.get("/v1/get-user-credits", params={"prompt": WORDS, "key": WRONG})
    yield http.get("/no/such/page")  # an unknown path is logged: it is the server's to know
    yield http.get("/api/requests", params={"before": WORDS})
    yield http.post(PATH, json={"prompt": WORDS}, headers=key)
    yield http.post(PATH, json={"prompt": f"{WORDS} too"}, headers=key)


def broken(server, http):
    """A fault of the server's own: a table that is gone."""
    with server.database.begin() as conn:
        conn.exec_driver_sql("ALTER TABLE pictures RENAME TO elsewhere")
    statuses = {draw(http, WORDS)}
    with server.database.begin() as conn:
        conn.exec_driver_sql("ALTER TABLE elsewhere RENAME TO pictures")
    return statuses


def test_a_handlers_fault_does_not_quote_the_prompt(stream, app, services):
    async def quote(generation, choice, caller):
        raise ValueError(f"cannot price {generation.prompt!r}")

    services.generate.quote = quote
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)

    async def call():
        async with httpx.AsyncClient(transport=transport, base_url="http://limner.test") as http:
            return await http.post(
                "/api/quote", json={"prompt": WORDS}, headers={"x-api-key": fakes.KEY}
            )

    answer = asyncio.run(call())
    assert answer.status_code == 500
    assert WORDS not in answer.text
    assert WORDS not in stream.getvalue()
    assert "ValueError: (message not logged" in stream.getvalue()
    assert answer.headers["x-request-id"] in stream.getvalue()

"""What is seen from outside: a line in the log and the counters of /metrics for every call."""

import json
import logging

import pytest
from prometheus_client.parser import text_string_to_metric_families

from limner.engine.batching.client import CacheStats, EngineStats, EngineStatus, ModelStats
from limner.engine.batching.fake import FAKE_MODEL
from limner.errors import QueueFull
from tests.web import fakes
from tests.web.conftest import PATH

ADMIN = {"x-api-key": fakes.ADMIN}


def figures(client):
    """{name: {labels' values: value}} of /metrics."""
    found = {}
    text = client.get("/metrics", headers=ADMIN).text
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


def test_calls_are_counted_by_route_and_status(client, stranger):
    client.post(PATH, json={"prompt": "x"})
    client.post(PATH, json={})
    stranger.post(PATH)
    client.get("/v2/requests/req_1/status")
    client.get("/v2/requests/req_2/status")
    client.get("/nope")
    client.request("BREW", "/nope")
    calls = figures(client)["limner_http_requests_total"]
    assert calls["POST", PATH, "200"] == 1
    assert calls["POST", PATH, "400"] == 1
    assert calls["POST", PATH, "401"] == 1
    assert calls["GET", "/v2/requests/{id}/status", "404"] == 2
    assert calls["GET", "unknown", "404"] == 1
    assert calls["OTHER", "unknown", "404"] == 1
    assert "_created" not in client.get("/metrics", headers=ADMIN).text


def test_refusals_are_counted_by_cause(client, stranger, services):
    before = figures(client)["limner_refusals_total"]
    assert {("Fault",), ("QueueFull",), ("InvalidKey",), ("EngineFault",)} <= before.keys()
    assert set(before.values()) == {0}
    stranger.post(PATH)
    client.post(PATH, json={"prompt": "x", "steps": 1})
    services.generate.error = QueueFull("full")
    client.post(PATH, json={"prompt": "x"})
    causes = figures(client)["limner_refusals_total"]
    causes = {cause: number for cause, number in causes.items() if number}
    assert causes == {("Unauthenticated",): 1, ("InvalidInput",): 1, ("QueueFull",): 1}


def test_engine_and_work_are_shown(client, services):
    caches = {"prompts": CacheStats(bytes=900, hits=3, misses=1)}
    stats = EngineStats(10, 35, 4, unet_s=1.5, vae_s=0.25, busy_s=2.0, caches=caches)
    services.engine.current = EngineStatus(True, "", FAKE_MODEL, 7, 3, stats)
    found = figures(client)
    assert found["limner_engine_images"] == {("waiting",): 7, ("running",): 3}
    assert found["limner_engine_rows_total"][()] / found["limner_engine_steps_total"][()] == 3.5
    assert found["limner_engine_unet_seconds_total"] == {(): 1.5}
    assert found["limner_engine_busy_seconds_total"] == {(): 2.0}
    assert found["limner_engine_cache_bytes"] == {("prompts",): 900}
    assert found["limner_engine_cache_hits_total"] == {("prompts",): 3}
    assert found["limner_engine_cache_misses_total"] == {("prompts",): 1}
    assert found["limner_queue_requests"] == {("queued",): 3, ("processing",): 2}
    assert found["limner_credits"] == {("available",): 9.999993, ("held",): 0}
    assert found["limner_credits_captured_total"] == {(): 7e-6}
    assert found["limner_pictures_bytes"] == {(): 500}


def test_models_are_shown_by_what_they_did(client, services):
    models = {
        "0000000000": ModelStats('na"me', 30, 2, 1.5, bytes=900),
        "1111111111": ModelStats(loads=3, load_s=4.5, failed_loads=1, evictions=2, waiting=7),
    }
    stats = EngineStats(models=models, models_budget=1000)
    services.engine.current = EngineStatus(True, "", FAKE_MODEL, stats=stats)
    found = figures(client)
    one, other = ("0000000000",), ("1111111111",)
    assert found["limner_model_steps_total"] == {one: 30, other: 0}
    assert found["limner_model_pictures_total"] == {one: 2, other: 0}
    assert found["limner_model_busy_seconds_total"] == {one: 1.5, other: 0}
    assert found["limner_model_loads_total"] == {one: 0, other: 3}
    assert found["limner_model_load_seconds_total"][other] == 4.5
    assert found["limner_model_failed_loads_total"][other] == 1
    assert found["limner_model_evictions_total"][other] == 2
    assert found["limner_model_bytes"] == {one: 900, other: 0}
    assert found["limner_model_waiting"][other] == 7
    assert found["limner_model_info"] == {(*one, 'na"me'): 1, (*other, ""): 1}
    assert found["limner_models_budget_bytes"] == {(): 1000}


def test_metrics_are_there_while_the_model_loads(client, services):
    services.engine.current = EngineStatus(False, "reading")
    assert figures(client)["limner_engine_ready"] == {(): 0}


@pytest.fixture
def lines():
    """What the calls' logger says, whatever level other tests left it at."""
    log, found = logging.getLogger("limner.http"), []
    handler = logging.Handler()
    handler.emit = found.append
    before = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    yield lambda: found
    log.removeHandler(handler)
    log.setLevel(before)


def test_every_call_has_a_line(client, lines):
    answer = client.post(PATH, json={"prompt": "a secret garden"})
    (line,) = lines()
    assert (line.method, line.route, line.status, line.key) == ("POST", PATH, 200, "key_1")
    assert line.stored_as == answer.headers["x-request-id"] == "req_stored"
    assert line.seconds >= 0
    assert "garden" not in json.dumps(line.__dict__, default=str)


def test_a_refusal_is_logged_with_its_cause(stranger, lines):
    answer = stranger.get("/v1/get-user-credits?prompt=garden")
    (line,) = lines()
    assert (line.status, line.refused, line.route) == (
        401,
        "Unauthenticated",
        "/v1/get-user-credits",
    )
    assert "x-request-id" in answer.headers
    assert not hasattr(line, "stored_as")


def test_an_unknown_path_is_logged_bounded_and_escaped(stranger, lines):
    stranger.get("/nope/%1b%5b31m%0a" + "x" * 500)
    (line,) = lines()
    assert line.route == "unknown"
    assert line.path == "/nope/\\x1b[31m\\n" + "x" * 188


def test_health_checks_are_not_logged(stranger, lines):
    stranger.get("/health/live")
    assert lines() == []

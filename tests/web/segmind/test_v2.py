"""Asynchronous calls over a real socket: the vendor's, ours, and their events."""

import io
import json
import threading
from contextlib import contextmanager

import httpx
import numpy as np
import pytest
import segmind
from PIL import Image
from typer.testing import CliRunner

from limner import imaging
from limner.cli.main import typer_app
from limner.engine.batching.fake import fake_pixels
from limner.store import keys
from limner.web.native import events as web_events
from tests.waiting import LONG_S, HeldEngine, wait_for
from tests.web.served import serve

SLUG = "sd1.5-rpg"
PRICE = 0.00256


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serve(tmp_path_factory.mktemp("queue"), engine=HeldEngine(held=False)) as running:
        yield running


@pytest.fixture
def http(server):
    with server.http(server.new_key()) as client:
        yield client


def submit(http, body=None, **headers):
    return http.post(f"/v2/{SLUG}", json=body or {"prompt": "x"}, headers=headers)


def finished(http, url):
    return wait_for(lambda: http.get(url), lambda answer: not is_open(answer.json()))


def is_open(told):
    return told["status"] in ("QUEUED", "PROCESSING")


@contextmanager
def held(server):
    """Steps end only when the test lets them."""
    server.engine.hold()
    try:
        yield
    finally:
        server.engine.release()


def events(http, request_id, **headers):
    """(id, name, data) of every event to the end of the stream."""
    with http.stream("GET", f"/api/requests/{request_id}/events", headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        return list(parse(answer.iter_lines()))


def parse(lines):
    fields = {}
    for line in lines:
        name, _, value = line.partition(": ")
        if line:
            fields[name] = value
        elif "event" in fields:
            yield fields.get("id"), fields["event"], json.loads(fields["data"])
            fields = {}
        else:
            fields = {}


def test_what_is_held_is_not_shown_as_spent(server):
    def shown():
        place = ["--data-dir", str(server.settings.data_dir)]
        wide = CliRunner(env={"COLUMNS": "200"})
        output = wide.invoke(typer_app, ["credits", "show", *place]).output
        (row,) = (line for line in output.splitlines() if "held-by-me" in line)
        return [float(cell) for cell in row.split("│")[3:6]]

    with server.database.begin() as conn:
        plain, _ = keys.create(conn, name="held-by-me", credits_micro=1_000_000)
    with server.http(plain) as http:
        with held(server):
            url = submit(http).json()["response_url"]
            assert shown() == [1 - PRICE, PRICE, 0]
        assert finished(http, url).json()["status"] == "COMPLETED"
        assert shown() == [1 - PRICE, 0, PRICE]


def test_a_key_has_few_streams_open(tmp_path):
    engine = HeldEngine()
    with serve(tmp_path, engine=engine, key_max_concurrent=1) as server, server.http() as http:
        path = f"/api/requests/{submit(http).json()['request_id']}/events"
        with http.stream("GET", path) as first:
            lines = first.iter_lines()  # dropped, it would close the stream
            next(lines)
            refused = http.get(path)
            assert refused.status_code == 429
            assert "1 streams of events" in refused.json()["error"]
        engine.release()
        answer = wait_for(lambda: http.get(path), lambda answer: answer.status_code == 200)
        assert "event: finished" in answer.text


def test_the_vendors_package_runs_through_v2(server):
    client = segmind.SegmindClient(api_key=server.key, base_url=f"{server.url}/v1", timeout=LONG_S)
    done = client.run(SLUG, prompt="a knight", seed=7, samples=2)
    assert done["status"] == "COMPLETED"
    assert done["metrics"]["cost"] == 2 * PRICE
    assert done["metrics"]["retry_count"] == 0
    assert done["output"] == done["images"][0]
    for index, url in enumerate(done["images"]):
        answer = httpx.get(url, headers=server.headers, timeout=LONG_S)
        assert answer.headers["content-type"] == "image/jpeg"
        pixels = imaging.read_image(answer.content).astype(int)
        assert np.abs(pixels - fake_pixels("a knight", 7 + index, 512, 512)).max() <= 12


def test_the_vendors_package_learns_of_a_failure(server):
    client = segmind.SegmindClient(api_key=server.key, base_url=f"{server.url}/v1", timeout=LONG_S)
    with pytest.raises(segmind.v2.InferenceFailed) as failed:
        client.run(SLUG, prompt="!black")
    assert "not finite" in failed.value.detail


def test_what_is_accepted_and_how_it_is_found(server, http):
    with held(server):
        answer = submit(http, {"prompt": "x", "scheduler": "dragon"})
    accepted = answer.json()
    id = accepted["request_id"]
    assert answer.headers["x-request-id"] == id
    assert answer.headers["x-remaining-credits"] == str(10 - PRICE)
    assert "UniPC was used" in answer.headers["x-adjustments"]
    assert accepted.pop("status") == "QUEUED"
    assert accepted == {
        "request_id": id,
        "poll_url": f"{server.url}/v1/requests/{id}",
        "status_url": f"{server.url}/v2/requests/{id}/status",
        "response_url": f"{server.url}/v2/requests/{id}",
    }
    finished(http, accepted["status_url"])
    status = http.get(accepted["status_url"]).json()
    assert (status["status"], status["request_id"]) == ("COMPLETED", id)
    took = status["metrics"]["inference_time"]
    assert took == round(took, 3) > 0
    results = [http.get(accepted[name]).json() for name in ("response_url", "poll_url")]
    assert results[0] == results[1]
    assert set(results[0]["metrics"]) == {
        "inference_time", "queue_time", "total_time", "retry_count", "cost", "remaining_credits",
    }  # fmt: skip


def test_a_retry_is_told_what_the_first_call_was_told(http):
    first = submit(http, **{"idempotency-key": "once"})
    finished(http, first.json()["status_url"])
    again = submit(http, **{"idempotency-key": "once"})
    assert again.json() == first.json()
    assert first.json()["status"] == "QUEUED"


def test_wishes_for_the_file_are_kept(http):
    body = {"prompt": "x", "output_format": "png", "metadata": False}
    accepted = submit(http, body).json()
    output = finished(http, accepted["response_url"]).json()["output"]
    answer = http.get(output)
    assert answer.headers["content-type"] == "image/png"
    assert imaging.read_metadata(answer.content) == imaging.Metadata()
    assert submit(http, {"prompt": "x", "output": "sprite"}).status_code == 400


def test_a_failed_request_is_422_and_free(http):
    accepted = submit(http, {"prompt": "!black"}).json()
    status = finished(http, accepted["status_url"])
    for answer in (status, http.get(accepted["response_url"])):
        assert answer.status_code == 422
        assert answer.json()["status"] == "FAILED"
        assert "not finite" in answer.json()["error"]
    assert http.get("/v1/get-user-credits").json()["credits"] == 10


def test_others_do_not_find_it(server, http):
    accepted = submit(http).json()
    id = accepted["request_id"]
    with server.http(server.new_key()) as other:
        for path in (f"/v1/requests/{id}", f"/v2/requests/{id}", f"/v2/requests/{id}/status",
                     f"/api/requests/{id}", f"/api/requests/{id}/events"):  # fmt: skip
            answer = other.get(path)
            assert answer.status_code == 404, path
            assert answer.json() == {"error": f"Request {id} not found"}
        assert other.delete(f"/api/requests/{id}").status_code == 404
        assert other.get("/api/requests").json() == {"requests": [], "next": None}
    picture = finished(http, accepted["response_url"]).json()["output"]
    with server.http(server.new_key()) as other:
        assert other.get(picture).status_code == 404


def test_a_retry_finds_the_first(http):
    first, second = (submit(http, **{"Idempotency-Key": "k"}).json() for _ in range(2))
    assert first["request_id"] == second["request_id"]
    assert submit(http, {"prompt": "y"}, **{"Idempotency-Key": "k"}).status_code == 422
    finished(http, first["status_url"])
    assert http.get("/v1/get-user-credits").json()["credits"] == 10 - PRICE


def test_events_tell_everything_in_order(server, http):
    with held(server):
        accepted = submit(http, {"prompt": "x", "samples": 2, "seed": 3}).json()
        told = []
        with http.stream("GET", f"/api/requests/{accepted['request_id']}/events") as answer:
            for event in parse(answer.iter_lines()):
                told.append(event)
                server.engine.release(steps=1)  # the next step ends when the last was told
    names = [name for _, name, _ in told]
    assert names[-3:] == ["drawn", "drawn", "finished"]
    assert "progress" in names
    for _, name, data in told:
        if name == "progress":
            assert data["index"] in (0, 1)
            assert 1 <= data["step"] <= data["steps"] == 20
            assert data["evaluation"] <= data["evaluations"] == 20
    shown = next(data for _, name, data in told if name == "progress" and data["preview"])
    preview = imaging.read_image(imaging.parse_base64(shown["preview"]))
    drawn = fake_pixels("x", 3 + shown["index"], 512, 512)
    assert np.array_equal(preview, drawn[::32, ::32])
    assert [data["picture"]["seed"] for _, name, data in told if name == "drawn"] == [3, 4]
    assert told[-1][2]["cost"] == 2 * PRICE
    assert told[-1][2]["remaining"] == 10 - 2 * PRICE
    picture = told[-2][2]["picture"]
    assert Image.open(io.BytesIO(http.get(picture["urls"]["webp"]).content)).format == "WEBP"


def test_events_go_on_where_they_broke_off(server, http):
    with held(server):
        id = submit(http, {"prompt": "x"}).json()["request_id"]
        server.engine.release(steps=5)
        seen = []
        with http.stream("GET", f"/api/requests/{id}/events") as answer:
            for event in parse(answer.iter_lines()):
                seen.append(event)
                if event[1] == "progress" and event[2]["evaluation"] == 5:
                    break
    again = events(http, id, **{"Last-Event-ID": seen[-1][0]})
    steps = [data["evaluation"] for _, name, data in again if name == "progress"]
    assert steps == sorted(steps)
    assert min(steps) > seen[-1][2]["evaluation"]
    assert "started" not in [name for _, name, _ in again]
    assert [name for _, name, _ in again][-1] == "finished"
    assert [name for _, name, _ in events(http, id)][-2:] == ["drawn", "finished"]


def test_a_server_that_stops_ends_the_streams(tmp_path, monkeypatch):
    monkeypatch.setattr(web_events, "KEEP_ALIVE_S", 0.05)
    told = []
    engine = HeldEngine()
    with serve(tmp_path, engine=engine, drain_s=0, empty=False) as server:
        http = server.http()
        id = submit(http, {"prompt": "x"}).json()["request_id"]
        engine.release(steps=1)
        until_started = threading.Event()

        def read():
            with http.stream("GET", f"/api/requests/{id}/events") as answer:
                for line in answer.iter_lines():
                    told.append(line)
                    if "progress" in line:
                        until_started.set()

        reader = threading.Thread(target=read)
        reader.start()
        assert until_started.wait(LONG_S)
    reader.join(LONG_S)
    assert not reader.is_alive()
    http.close()
    assert not any("finished" in line or "failed" in line for line in told)


def test_a_quiet_stream_says_that_it_lives(tmp_path, monkeypatch):
    monkeypatch.setattr(web_events, "KEEP_ALIVE_S", 0.02)
    with serve(tmp_path, engine=HeldEngine()) as server, server.http() as http:
        id = submit(http, {"prompt": "x"}).json()["request_id"]
        with http.stream("GET", f"/api/requests/{id}/events") as answer:
            lines = answer.iter_lines()
            assert next(lines) == "retry: 1000"
            assert ": still here" in lines
        http.delete(f"/api/requests/{id}")


def test_cancelling_in_every_state(server, http):
    with held(server):
        ids = [submit(http).json()["request_id"] for _ in range(3)]
        answers = [http.delete(f"/api/requests/{id}").json() for id in reversed(ids)]
    assert [answer["status"] for answer in answers] == ["CANCELLED"] * 3
    for id in ids:
        assert http.get(f"/v2/requests/{id}/status").status_code == 422
        assert events(http, id)[-1][1] == "failed"
    assert http.get("/v1/get-user-credits").json()["credits"] == 10
    done = submit(http).json()
    picture = finished(http, done["response_url"]).json()["output"]
    removed = http.delete(f"/api/requests/{done['request_id']}").json()
    assert (removed["generation"], removed["pictures"]) == (None, [])
    assert http.get(picture).status_code == 404
    assert http.get(done["response_url"]).status_code == 410
    assert http.get(f"/v2/requests/{done['request_id']}/status").status_code == 410
    assert done["request_id"] not in [r["request_id"] for r in
                                      http.get("/api/requests").json()["requests"]]  # fmt: skip


def test_many_at_once_and_in_pages(http):
    bodies = [{"prompt": f"p{n}", "seed": n, "num_inference_steps": 2} for n in range(5)]
    made = http.post("/api/requests", json={"requests": bodies},
                     headers={"Idempotency-Key": "all"}).json()["requests"]  # fmt: skip
    again = http.post("/api/requests", json={"requests": bodies},
                      headers={"Idempotency-Key": "all"}).json()["requests"]  # fmt: skip
    assert [r["request_id"] for r in made] == [r["request_id"] for r in again]
    for one in made:
        finished(http, f"/api/requests/{one['request_id']}")
    page = http.get("/api/requests", params={"limit": 3}).json()
    rest = http.get("/api/requests", params={"limit": 3, "before": page["next"]}).json()
    prompts = [r["generation"]["prompt"] for r in (*page["requests"], *rest["requests"])]
    assert prompts == ["p4", "p3", "p2", "p1", "p0"]
    assert rest["next"] is None
    assert page["requests"][0]["pictures"][0]["seed"] == 4
    assert page["requests"][0]["cost"] == 2 * 2 * 64 / 1e6


def test_what_stands_beside_many_is_told(http):
    body = {"requests": [{"prompt": "x", "steps": 2, "scheduler": "?"}], "steps": 9, "seed": None}
    [made] = http.post("/api/requests", json=body).json()["requests"]
    assert made["adjustments"] == [
        "steps was ignored: it stands beside requests",
        'scheduler "?" is unknown; UniPC was used',
    ]
    finished(http, f"/api/requests/{made['request_id']}")


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"requests": []}, "0 entries"),
        ({"requests": "x"}, "not a list"),
        ({"requests": [1]}, "something else"),
        ({"requests": [{"prompt": "x"}, {"prompt": "x", "samples": 99}]}, "requests[1]: samples"),
        ({"requests": [{"prompt": "x"}] * 65}, "65 entries"),
    ],
)
def test_a_bad_submission_names_its_place(http, body, told):
    answer = http.post("/api/requests", json=body)
    assert answer.status_code == 400
    assert told in answer.json()["error"]
    assert http.get("/api/requests").json()["requests"] == []


def test_all_or_none(server):
    with server.http(server.new_key(credits=1)) as poor:
        dear = {"prompt": "x", "img_width": 1024, "img_height": 1024, "steps": 100, "samples": 4}
        answer = poor.post("/api/requests", json={"requests": [dear] * 8})
        assert answer.status_code == 406
        assert poor.get("/api/requests").json()["requests"] == []


def test_bad_pages(http):
    assert http.get("/api/requests?limit=0").status_code == 400
    assert http.get("/api/requests?before=x").status_code == 400

"""Hires on the surfaces: priced in both passes, kept on the receipt, drawn again."""

from __future__ import annotations

import base64
import io
import json
from decimal import Decimal

import numpy as np
import pytest
from PIL import Image

from limner import imaging
from tests.waiting import wait_until
from tests.web.served import serve

ASKED = {
    "prompt": "a knight",
    "seed": 5,
    "steps": 20,
    "hires": {"scale": 1.5, "upscaler": "Lanczos", "strength": 0.5, "steps": 10, "guidance": 1},
}
# 20 steps of 2 rows over 8 x 8 tiles, and 5 of 1 row over 12 x 12.
MICRO = 20 * 2 * 64 + 5 * 1 * 144


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with serve(tmp_path_factory.mktemp("hires")) as server:
        yield server


@pytest.mark.parametrize("path", ["/v1/sd1.5-rpg", "/v1/images/generations"])
def test_it_is_drawn_and_billed_as_quoted(served, path):
    with served.http() as http:
        quoted = http.post("/api/quote", json=ASKED).json()
        assert quoted["micro_credits"] == MICRO
        answer = http.post(path, json=ASKED)
    assert answer.status_code == 200, answer.text
    assert Decimal(answer.headers["x-cost"]) == Decimal(MICRO) / 10**6
    if path == "/v1/sd1.5-rpg":
        assert Image.open(io.BytesIO(answer.content)).size == (768, 768)


def test_the_receipt_draws_it_again(served):
    with served.http() as http:
        first = http.post("/v1/sd1.5-rpg", json={**ASKED, "output_format": "png"})
        record = imaging.read_metadata(first.content).receipt
        again = http.post("/api/replay", json={"receipt": record})
    assert record["parameters"]["hires"] == {
        "width": 768,
        "height": 768,
        "upscaler": "Lanczos",
        "steps": 10,
        "strength": 0.5,
        "guidance": 1.0,
    }
    assert again.status_code == 200, again.text
    assert "identical" in json.dumps(again.json())


FIRST = {**ASKED, "hires": {**ASKED["hires"], "first_pass": True}, "samples": 2}
BOTH = {"base64": True, "output_format": "png"}


def png(text):
    return imaging.read_metadata(base64.b64decode(text)), base64.b64decode(text)


def test_first_passes_are_answered_beside_what_became_of_them(served):
    with served.http() as http:
        quoted = http.post("/api/quote", json={**FIRST, **BOTH}).json()["micro_credits"]
        answer = http.post("/api/draw", json={**FIRST, **BOTH})
        plain = http.post("/api/draw", json={**FIRST, **BOTH, "hires": None})
        alone = http.post("/api/draw", json={**ASKED, **BOTH})
        assert quoted == 2 * MICRO
        assert Decimal(answer.headers["x-cost"]) == Decimal(quoted) / 10**6
        stored = http.get(f"/api/requests/{answer.headers['x-request-id']}").json()
        firsts = [png(text) for text in answer.json()["first_passes"]]
        # Equal files: pixels and receipts of drawings of their own.
        assert [file for _, file in firsts] == [png(text)[1] for text in plain.json()["image"]]
        assert answer.json()["image"][0] == alone.json()["image"]
        told = [(each["index"], each.get("first_pass_of")) for each in stored["pictures"]]
        assert told == [(0, None), (1, None), (2, 0), (3, 1)]
        assert [each["width"] for each in stored["pictures"]] == [768, 768, 512, 512]
        again = http.post("/api/replay", json={"receipt": firsts[1][0].receipt})
    assert again.json()["identical"] is True


def test_a_body_that_holds_one_picture_names_the_first_pass(served):
    with served.http() as http:
        answer = http.post("/v1/sd1.5-rpg", json={**FIRST, "samples": 1, "output_format": "png"})
        [note] = json.loads(answer.headers["x-adjustments"])
        field, _, url = note.partition(": ")
        assert field == "hires.first_pass"
        small = http.get(url[url.index("/api/") :])
    assert Image.open(io.BytesIO(answer.content)).size == (768, 768)
    assert Image.open(io.BytesIO(small.content)).size == (512, 512)


@pytest.mark.parametrize("form", ["b64_json", "url"])
def test_openais_answer_has_them_apart(served, form):
    with served.http() as http:
        asked = {**FIRST, "n": 2, "response_format": form}
        told = http.post("/v1/images/generations", json=asked).json()
    assert [len(told["data"]), len(told["first_passes"])] == [2, 2]
    assert all(list(each) == [form] for each in told["first_passes"])


def test_a_queued_request_tells_them_apart_and_a_retry_too(served):
    with served.http() as http:
        headers = {"idempotency-key": "firsts"}
        queued = http.post("/v2/sd1.5-rpg", json=FIRST, headers=headers).json()
        path = queued["response_url"].removeprefix(served.url)
        wait_until(lambda: http.get(path).json()["status"] == "COMPLETED")
        told = http.get(path).json()
        assert [len(told["images"]), len(told["first_passes"])] == [2, 2]
        again = {"idempotency-key": "twice"}
        drawn = [http.post("/api/draw", json={**FIRST, **BOTH}, headers=again) for _ in range(2)]
        assert drawn[1].headers["x-replayed"] == "true"
        assert drawn[0].json()["first_passes"] == drawn[1].json()["first_passes"]


PICTURE = base64.b64encode(imaging.to_png(np.full((64, 64, 3), 70, np.uint8))).decode()
LARGE = [
    ({"hires": 2}, "hires to 1024x1024"),
    ({"tiling": "xy"}, "A picture of 20 steps at this size"),
    ({"hires": None, "details": {"box": [0, 0, 1, 1]}}, "A picture of 20 steps at this size"),
    ({"image": PICTURE, "sd_upscale": 2}, "sd_upscale to 1024x1024"),
]


@pytest.mark.parametrize(("fields", "asked"), LARGE)
def test_what_exceeds_memory_is_told_with_both_numbers_before_the_hold(
    served, monkeypatch, fields, asked
):
    """In the queue too, and by the quote: nothing is accepted that cannot be drawn."""
    plan = served.engine.fake.plan

    def planned(request):
        images = plan(request)
        for image in images:
            image.bytes = 3000 << 20
        return images

    monkeypatch.setattr(served.engine.fake, "plan", planned)
    told = f"{asked} needs 3000 MiB while it is drawn; the limit is 512 MiB"
    with served.http() as http:
        before = http.get("/v1/get-user-credits").json()["credits"]
        for path in ("/v1/sd1.5-rpg", "/v2/sd1.5-rpg", "/api/requests", "/api/quote"):
            answer = http.post(path, json={**ASKED, "hires": None, **fields})
            assert answer.status_code == 400, path
            assert told in answer.text
        assert http.get("/v1/get-user-credits").json()["credits"] == before


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"hires": {"scale": 4, "width": 64}}, "hires has both scale and a size"),
        ({"image": "!"}, "one that starts from a picture is drawn once"),
        ({"hires": {"prompt": "x <lora:a:1>"}}, "all is drawn with those of prompt"),
        ({"hires": {"prompt": " AND ".join("abcdefghi")}}, "AND"),
        ({"hires": {"strength": 0}}, "hires.strength 0 of 20 steps leaves no step to run"),
    ],
)
def test_what_cannot_be_is_refused_before_the_hold(served, fields, sentence):
    with served.http() as http:
        before = http.get("/v1/get-user-credits").json()["credits"]
        answer = http.post("/v1/sd1.5-rpg", json={**ASKED, **fields})
        assert http.get("/v1/get-user-credits").json()["credits"] == before
    assert answer.status_code == 400
    assert sentence in answer.text

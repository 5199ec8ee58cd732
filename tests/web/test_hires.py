"""Hires on the surfaces: priced in both passes, kept on the receipt, drawn again."""

from __future__ import annotations

import io
import json
from decimal import Decimal

import pytest
from PIL import Image

from limner import imaging
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


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"hires": {"scale": 4, "width": 64}}, "hires has both scale and a size"),
        ({"image": "!"}, "one that starts from a picture is drawn once"),
        ({"hires": {"prompt": "x <lora:a:1>"}}, "both passes are drawn with those of prompt"),
        ({"hires": {"prompt": " AND ".join("abcdefghi")}}, "AND"),
        ({"hires": {"strength": 0}}, "leaves no step to run"),
    ],
)
def test_what_cannot_be_is_refused_before_the_hold(served, fields, sentence):
    with served.http() as http:
        before = http.get("/v1/get-user-credits").json()["credits"]
        answer = http.post("/v1/sd1.5-rpg", json={**ASKED, **fields})
        assert http.get("/v1/get-user-credits").json()["credits"] == before
    assert answer.status_code == 400
    assert sentence in answer.text

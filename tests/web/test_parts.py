"""Pictures drawn part by part, on the surfaces: priced in all passes, kept on the receipt."""

from __future__ import annotations

import base64
import io
import json
from decimal import Decimal

import numpy as np
import pytest
from PIL import Image

from limner import imaging
from tests.engine.detecting import making as blocks
from tests.engine.onnx import made
from tests.engine.upscaling import making
from tests.web.served import serve

PATH = "/v1/sd1.5-rpg"
PICTURE = base64.b64encode(imaging.to_png(np.full((96, 96, 3), 70, np.uint8))).decode()
SAME = {"prompt": "a knight", "seed": 5, "steps": 20, "output_format": "png"}
UPSCALE = {"image": PICTURE, "strength": 0.5, "sd_upscale": 2}
DETAILS = {
    "details": [
        {"box": [0.25, 0.25, 0.5, 0.5], "prompt": "a face", "strength": 0.5, "guidance": 1},
        {"box": [0, 0, 0.5, 1], "steps": 10, "strength": 0.5, "width": 256, "height": 512},
    ]
}
# 9 tiles of 512: 10 steps of 2 rows over 8 x 8 tiles of 64 pixels each.
TILES_MICRO = 9 * 10 * 2 * 64
# 20 steps of 2 rows; 10 of 1; 5 of 2 over 4 x 8.
DETAILS_MICRO = 20 * 2 * 64 + 10 * 1 * 64 + 5 * 2 * 32


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with serve(tmp_path_factory.mktemp("parts")) as server:
        yield server


@pytest.mark.parametrize(
    ("path", "fields", "micro", "size"),
    [
        (PATH, UPSCALE, TILES_MICRO, (1024, 1024)),
        (PATH, DETAILS, DETAILS_MICRO, (512, 512)),
        ("/v1/images/generations", DETAILS, DETAILS_MICRO, (512, 512)),
        ("/v1/sd1.5-img2img", {**UPSCALE, "scheduler": "UniPC"}, TILES_MICRO, (1024, 1024)),
    ],
)
def test_all_passes_are_billed_as_quoted(served, path, fields, micro, size):
    asked = {**SAME, **fields}
    with served.http() as http:
        assert http.post("/api/quote", json=asked).json()["micro_credits"] == micro
        answer = http.post(path, json=asked)
    assert answer.status_code == 200, answer.text
    assert Decimal(answer.headers["x-cost"]) == Decimal(micro) / 10**6
    if path.startswith("/v1/sd1.5"):
        assert Image.open(io.BytesIO(answer.content)).size == size


@pytest.mark.parametrize("fields", [UPSCALE, DETAILS])
def test_the_receipt_draws_it_again(served, fields):
    with served.http() as http:
        first = http.post(PATH, json={**SAME, **fields})
        record = imaging.read_metadata(first.content).receipt
        again = http.post("/api/replay", json={"receipt": record})
    assert "identical" in json.dumps(again.json())
    said = record["parameters"]
    if fields is UPSCALE:
        assert said["sd_upscale"] == {
            "width": 1024, "height": 1024, "upscaler": "Lanczos",
            "tile_width": 512, "tile_height": 512, "overlap": 64,
        }  # fmt: skip
    else:
        assert said["details"][0] == {
            "box": [0.25, 0.25, 0.5, 0.5], "prompt": "a face", "strength": 0.5, "guidance": 1.0,
            "padding": 32, "blur": 4,
        }  # fmt: skip
    assert ("details" in said) != ("sd_upscale" in said)


@pytest.fixture(scope="module")
def with_net(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    sha256 = making.written(folder / "net.pth", making.compact())
    with serve(tmp_path_factory.mktemp("netted"), models_dirs=(folder,)) as server:
        yield server, sha256


def test_an_upscaler_of_the_library_is_on_the_receipt(with_net):
    served, sha256 = with_net
    theirs = {
        "prompt": "a knight", "steps": 20, "seed": 5, "init_images": [PICTURE], "width": 64,
        "height": 64, "script_name": "SD upscale", "script_args": [None, 0, "net", 2],
    }  # fmt: skip
    with served.http() as http:
        asked = {**SAME, **UPSCALE, "sd_upscale": {"upscaler": "net"}}
        quoted = http.post("/api/quote", json=asked)
        assert quoted.json()["micro_credits"] == TILES_MICRO, quoted.text
        first = http.post(PATH, json=asked)
        assert first.status_code == 200, first.text
        record = imaging.read_metadata(first.content).receipt
        again = http.post("/api/replay", json={"receipt": record})
        drawn = http.post("/sdapi/v1/img2img", json=theirs)
        assert drawn.status_code == 200, drawn.text
        file = base64.b64decode(drawn.json()["images"][0])
    for said in (record, imaging.read_metadata(file).receipt):
        upscale = said["parameters"]["sd_upscale"]
        assert (upscale["upscaler"], upscale["upscaler_sha256"]) == ("net", sha256)
    assert again.json()["identical"] is True


@pytest.fixture(scope="module")
def with_detector(tmp_path_factory):
    folder = tmp_path_factory.mktemp("detectors")
    sha256 = blocks.yolo(folder / "blocks.onnx")
    (folder / "other.onnx").write_bytes(b"no network")
    made.doubled(folder / "twice.onnx")
    with serve(tmp_path_factory.mktemp("sought"), models_dirs=(folder,)) as server:
        yield server, sha256


SOUGHT = {"detector": "blocks", "max": 3, "strength": 0.5, "prompt": "a face", "classes": [0, 2]}


def test_the_price_of_all_boxes_is_held_and_of_those_drawn_is_billed(with_detector):
    """The fake engine finds one of three."""
    served, sha256 = with_detector
    asked = {**SAME, "details": [SOUGHT], "samples": 1}
    each_micro = 10 * 2 * 64
    key = served.new_key(credits=1)
    with served.http(key) as http:
        quoted = http.post("/api/quote", json=asked).json()["micro_credits"]
        assert quoted == 20 * 2 * 64 + 3 * each_micro
        answer = http.post(PATH, json=asked)
        assert answer.status_code == 200, answer.text
        cost = Decimal(answer.headers["x-cost"])
        assert cost == Decimal(20 * 2 * 64 + each_micro) / 10**6
        assert Decimal(str(http.get("/v1/get-user-credits").json()["credits"])) == 1 - cost
        record = imaging.read_metadata(answer.content).receipt
        again = http.post("/api/replay", json={"receipt": record})
    [detail] = record["parameters"]["details"]
    assert detail["found"] == {
        "detector": "blocks", "sha256": sha256, "class_id": 0, "score": 0.5,
    }  # fmt: skip
    assert "detector" not in detail
    assert again.json()["identical"] is True, "without looking again"
    assert Decimal(again.headers["x-cost"]) == cost


def test_who_cannot_pay_for_all_boxes_is_told_before(with_detector):
    served, _ = with_detector
    one = served.new_key(credits=Decimal(20 * 2 * 64 + 10 * 2 * 64) / 10**6)
    with served.http(one) as http:
        answer = http.post(PATH, json={**SAME, "details": [SOUGHT]})
    assert answer.status_code == 406


def test_the_library_tells_detectors_and_what_they_find(with_detector):
    served, _ = with_detector
    with served.http() as http:
        rows = {row["name"]: row for row in http.get("/api/models").json()}
    assert (rows["blocks"]["kind"], rows["blocks"]["usable"]) == ("detector", True)
    assert rows["blocks"]["notes"] == ["it finds: 0 red, 1 green, 2 blue"]
    assert (rows["twice"]["kind"], rows["twice"]["usable"]) == ("onnx", False)
    assert rows["other"]["kind"] == "unreadable"


@pytest.mark.parametrize(
    ("detail", "sentence"),
    [
        ({"detector": "nobody"}, "details.detector is 'nobody', which is not in the library"),
        ({"detector": "twice"}, "which is no detector: it is an ONNX network of no kind"),
        ({"detector": "blocks", "box": [0, 0, 1, 1]}, "detector finds boxes, and box names one"),
        ({"box": [0, 0, 1, 1], "max": 2}, "details.0.max finds boxes, and box names one"),
        ({"detector": "blocks", "max": 17}, "details.0.max is 17; it must be a whole number 1 to"),
        ({"detector": "blocks", "threshold": 0}, "details.0.threshold is 0; it must be a number"),
        ({"detector": "blocks", "threshold": "high"}, "details.0.threshold is"),
        ({"detector": "blocks", "classes": [-1]}, "details.0.classes is -1; it must be a whole"),
        ({"detector": "blocks", "classes": [0] * 101}, "details.0.classes has 101 entries"),
        ({"detector": ""}, "details.0.detector has 0 characters"),
        ([{"detector": "blocks", "max": 9}] * 2, "details may become 18 boxes; at most 16 are"),
    ],
)
def test_what_cannot_be_sought_is_refused_before_the_hold(with_detector, detail, sentence):
    served, _ = with_detector
    with served.http() as http:
        before = http.get("/v1/get-user-credits").json()["credits"]
        answer = http.post(PATH, json={**SAME, "details": detail})
        assert http.get("/v1/get-user-credits").json()["credits"] == before
    assert answer.status_code == 400, answer.text
    assert sentence in answer.json()["error"]


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"sd_upscale": 2}, "sd_upscale makes a picture larger: image is missing"),
        ({**UPSCALE, "mask": PICTURE}, "sd_upscale makes an image larger, without a mask"),
        ({**UPSCALE, "hires": 2}, "one that starts from a picture is drawn once"),
        ({**UPSCALE, "sd_upscale": 5}, "sd_upscale.scale is 5; it must be a number 1 to 4"),
        ({**UPSCALE, "sd_upscale": {"upscaler": "Latent"}}, "must be one of Lanczos, Nearest"),
        ({**UPSCALE, "sd_upscale": {"tile": 9}}, "sd_upscale has tile; it may have scale"),
        ({**UPSCALE, "sd_upscale": {"tile_width": 64, "overlap": 33}}, "has an overlap of 33"),
        (
            {**UPSCALE, "sd_upscale": {"tile_width": 64, "tile_height": 64, "overlap": 0}},
            "sd_upscale takes 256 tiles of 64x64; at most 144 are drawn",
        ),
        ({"details": [{}]}, "details.0.box is missing"),
        ({"details": [{"box": [0, 0, 1]}]}, "must be [left, top, width, height] in shares"),
        ({"details": [{"box": [0.5, 0, 0.6, 1]}]}, "left + width and top + height may be 1"),
        ({"details": [{"box": [0, 0, 2, 1]}]}, "details.0.box.2 is 2; it must be a number 0 to 1"),
        (
            {"details": [{"box": [0, 0, 1, 1]}, {"box": [0, 0, 1, 1], "strength": 0}]},
            "details.1.strength 0 of 20 steps leaves no step to run",
        ),
        ({"details": {"box": [0, 0, 1, 1], "prompt": "<lora:a:1>"}}, "with those of prompt"),
        ({"details": [{"box": [0, 0, 1, 1]}] * 17}, "details has 17 entries; at most 16"),
    ],
)
def test_what_cannot_be_is_refused_before_the_hold(served, fields, sentence):
    with served.http() as http:
        before = http.get("/v1/get-user-credits").json()["credits"]
        answer = http.post(PATH, json={**SAME, **fields})
        assert http.get("/v1/get-user-credits").json()["credits"] == before
    assert answer.status_code == 400
    assert sentence in answer.json()["error"]

"""``POST /api/replay`` of other programs' pictures and texts, with the fake engine."""

import base64
import io

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from limner import imaging
from limner.engine.batching.fake import fake_pixels
from tests.web.served import serve

TEXT = (
    "a knight\nNegative prompt: blurry\nSteps: 20, Sampler: DPM++ 2M Karras, CFG scale: 7, "
    "Seed: 5, Size: 512x512, Model hash: aaaaaaaaaa, Model: far, Clip skip: 2"
)
PRICE = 20 * 2 * 64 / 1e6


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with serve(tmp_path_factory.mktemp("foreign")) as running:
        yield running


@pytest.fixture
def http(served):
    with served.http(served.new_key()) as client:
        yield client


def post(http, status=200, **body):
    answer = http.post("/api/replay", json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


def credits(http):
    return http.get("/v1/get-user-credits").json()["credits"]


def picture(text):
    info = PngImagePlugin.PngInfo()
    info.add_itxt("parameters", text)
    file = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(file, "PNG", pnginfo=info)
    return base64.b64encode(file.getvalue()).decode()


@pytest.mark.parametrize("body", [{"text": TEXT}, {"picture": picture(TEXT)}])
def test_it_is_drawn_and_billed_and_told(http, body):
    told = post(http, **body)
    assert told["settings"] == {
        "prompt": "a knight", "negative_prompt": "blurry", "num_inference_steps": 20,
        "guidance_scale": 7.0, "seed": 5, "clip_skip": 2, "img_width": 512, "img_height": 512,
        "sampler": "DPM++ 2M", "schedule": "Karras",
    }  # fmt: skip
    [missing] = told["missing"]
    assert missing.startswith("checkpoint far (aaaaaaaaaa) is not in the library")
    assert told["differs"][0].startswith("numbers: ")
    assert told["cost"] == PRICE
    assert credits(http) == pytest.approx(10 - PRICE)
    again = http.get(f"/api/pictures/{told['picture_id']}").content
    assert np.array_equal(imaging.read_image(again), fake_pixels("a knight", 5, 512, 512))


def test_a_dry_run_costs_nothing_and_counts_as_a_question(http):
    told = post(http, text=TEXT, dry_run=True)
    assert (told["credits"], "picture_id" in told) == (PRICE, False)
    assert told["settings"]["sampler"] == "DPM++ 2M"
    assert credits(http) == 10
    assert http.get("/api/requests").json()["requests"] == []


def test_a_dry_run_of_a_receipt(http):
    drawn = post(http, text=TEXT)
    before = credits(http)
    told = post(http, picture_id=drawn["picture_id"], dry_run=True)
    assert (told["settings"]["seed"], told["credits"]) == (5, PRICE)
    assert credits(http) == before


def test_what_it_starts_from_can_be_given(http):
    text = TEXT + ", Denoising strength: 0.5"
    assert any("Denoising strength" in each for each in post(http, text=text)["missing"])
    told = post(http, text=text, image=picture(""))
    assert not any("Denoising strength" in each for each in told["missing"])
    assert told["settings"]["strength"] == 0.5


def test_a_key_that_has_drawn_finds_it(http):
    headers = {"idempotency-key": "once"}
    first, second = (
        http.post("/api/replay", json={"text": TEXT}, headers=headers).json() for _ in range(2)
    )
    assert first["picture_id"] == second["picture_id"]
    assert second["cost"] == 0


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"text": "no settings"}, "settings: the text holds none"),
        ({"text": "a" * 10_001 + TEXT}, "prompt has 10,009 characters"),
        ({"text": TEXT, "picture_id": "pic_1"}, "and one of them"),
        ({"text": 7}, "text is 7; send"),
        ({"picture": picture("")}, "picture says nothing of how it was made"),
        ({"text": TEXT, "dry_run": "perhaps"}, "dry_run is"),
    ],
)
def test_what_cannot_be_read_is_refused_unbilled(http, body, said):
    assert said in post(http, 400, **body)["error"]
    assert credits(http) == 10

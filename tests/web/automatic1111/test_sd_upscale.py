"""The script "SD upscale" as AUTOMATIC1111's clients call it."""

from __future__ import annotations

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from limner import imaging
from tests.web.served import serve

PICTURE = base64.b64encode(imaging.to_png(np.full((170, 300, 3), 70, np.uint8))).decode()
ASKED = {
    "init_images": [PICTURE], "prompt": "a castle", "steps": 10, "denoising_strength": 0.3,
    "width": 256, "height": 256, "seed": 3, "script_name": "SD upscale",
}  # fmt: skip


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with serve(tmp_path_factory.mktemp("upscaled")) as server:
        yield server


def post(served, **fields):
    with served.http() as http:
        return http.post("/sdapi/v1/img2img", json={**ASKED, **fields})


@pytest.mark.slow
@pytest.mark.parametrize("upscaler", ["Lanczos", "lanczos", 1])
def test_the_picture_is_drawn_larger_in_tiles_of_width_and_height(served, upscaler):
    answer = post(served, script_args=[None, 32, upscaler, 3], batch_size=4, n_iter=2)
    assert answer.status_code == 200, answer.text
    told = json.loads(answer.json()["info"])
    assert told["adjustments"] == ["init_images of 300x170 was cut to 296x168"]
    assert told["all_seeds"] == [3, 4]
    assert (answer.json()["parameters"]["width"], told["width"]) == (256, 296)
    files = [base64.b64decode(each) for each in answer.json()["images"]]
    assert [Image.open(io.BytesIO(file)).size for file in files] == [(888, 504)] * 2
    said = imaging.read_metadata(files[0]).receipt["parameters"]
    assert said["sd_upscale"] == {
        "width": 888, "height": 504, "upscaler": "Lanczos",
        "tile_width": 256, "tile_height": 256, "overlap": 32,
    }  # fmt: skip
    assert "SD upscale overlap: 32, SD upscale upscaler: Lanczos" in told["infotexts"][0]
    # 4 x 3 tiles; 4 steps (one more than the share) of 2 rows over 4 x 4, for two pictures
    assert told["cost"] == 12 * 4 * 2 * 16 * 2 / 10**6


def test_without_an_upscaler_the_picture_keeps_its_size(served):
    answer = post(served, width=128, height=128)
    assert answer.status_code == 200, answer.text
    file = base64.b64decode(answer.json()["images"][0])
    assert Image.open(io.BytesIO(file)).size == (296, 168)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        (
            {"script_args": [None, 32, "R-ESRGAN 4x+", 2]},
            "script_args.2 is 'R-ESRGAN 4x+'; it must be one of Lanczos, Nearest, Scale2x, or an",
        ),
        ({"script_args": [None, 32, 7, 2]}, "must be one of None, Lanczos, Nearest"),
        ({"script_args": [None, 32, "", 2]}, 'script_args.2 is ""; it must be one of None'),
        ({"script_args": [None, 999, "Lanczos", 2]}, "script_args.1 is 999"),
        ({"script_args": [None, 32, "Lanczos", 9]}, "script_args.3 is 9; it must be a number 1 to"),
        ({"script_args": "x"}, "script_args is"),
        ({"init_images": []}, "init_images is missing"),
        ({"width": 512, "height": 512}, "would be 296x168, smaller than a tile of 512x512"),
        ({"width": 128, "height": 128, "mask": PICTURE}, "without a mask"),
    ],
)
def test_what_cannot_be_is_refused_unbilled(served, fields, sentence):
    with served.http() as http:
        before = http.get("/v1/get-user-credits").json()["credits"]
        answer = post(served, **fields)
        assert http.get("/v1/get-user-credits").json()["credits"] == before
    assert answer.status_code == 400
    assert sentence in answer.json()["detail"]


def test_another_script_is_ignored_and_told(served):
    answer = post(served, script_name="X/Y/Z plot", script_args=[1], init_images=[PICTURE])
    told = json.loads(answer.json()["info"])["adjustments"]
    assert told == ["script_name X/Y/Z plot was ignored"]

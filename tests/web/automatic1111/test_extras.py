"""Pictures made larger through AUTOMATIC1111's calls, by the client webuiapi over a real socket."""

import base64
import io
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import webuiapi
from PIL import Image
from starlette.testclient import TestClient

from limner.engine.upscaling.resident import Upscalers
from limner.imaging.pixelart import scale2x
from limner.models.listing import Library
from limner.usecases.drawing.adapters import AdapterFiles
from limner.usecases.upscaling import Upscaling
from limner.web.app import create_app
from tests.engine.upscaling import making
from tests.web import fakes
from tests.web.served import serve

PIXELS = np.random.default_rng(2).integers(0, 256, (24, 32, 3), np.uint8)
IMAGE = Image.fromarray(PIXELS)
OTHER = Image.fromarray(PIXELS[::-1, :20])
LANCZOS = Image.Resampling.LANCZOS


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    making.written(folder / "net x2.pth", making.compact())
    spoilt = making.compact()
    spoilt["body.0.weight"] = torch.full_like(spoilt["body.0.weight"], float("nan"))
    making.written(folder / "spoilt.pth", spoilt)
    return folder


@pytest.fixture(scope="module")
def api(tmp_path_factory, folder):
    with serve(tmp_path_factory.mktemp("extras"), models_dirs=(folder,)) as server:
        client = webuiapi.WebUIApi(
            baseurl=f"{server.url}/sdapi/v1", username="me", password=server.key
        )
        yield client
        client.session.close()


def equal(made, expected):
    return np.array_equal(np.asarray(made), np.asarray(expected))


def test_one_picture(api):
    made = api.extra_single_image(IMAGE, upscaling_resize=3, upscaler_1="Lanczos")
    assert equal(made.image, IMAGE.resize((96, 72), LANCZOS))
    assert made.info == "<p>Postprocess upscale by: 3, Postprocess upscaler: Lanczos</p>"


def test_several_pictures(api):
    made = api.extra_batch_images([IMAGE, OTHER], upscaler_1=webuiapi.Upscaler.Nearest)
    assert [image.size for image in made.images] == [(64, 48), (40, 48)]
    for image, own in zip(made.images, (IMAGE, OTHER), strict=True):
        assert equal(image, np.asarray(own).repeat(2, 0).repeat(2, 1))


def test_a_size_is_covered_and_cut(api):
    sides = {"upscaling_resize_w": 64, "upscaling_resize_h": 96}
    asked = {"resize_mode": 1, **sides, "upscaler_1": "Nearest"}
    four = PIXELS.repeat(4, 0).repeat(4, 1)
    whole = api.extra_single_image(IMAGE, upscaling_crop=False, **asked).image
    assert equal(whole, four)
    cut = api.extra_single_image(IMAGE, **asked).image
    assert equal(cut, four[:, 32:96])


def test_no_upscaler_leaves_a_picture_as_it_is(api):
    made = api.extra_single_image(IMAGE)
    assert equal(made.image, IMAGE)
    assert made.info == "<p>upscaler_1 is None: the picture kept its size</p>"


def test_a_second_is_laid_over_the_first(api):
    made = api.extra_single_image(
        IMAGE, upscaler_1="Scale2x", upscaler_2="Lanczos", extras_upscaler_2_visibility=0.25
    )
    first = Image.fromarray(scale2x(PIXELS))
    assert equal(made.image, Image.blend(first, IMAGE.resize((64, 48), LANCZOS), 0.25))
    assert made.info.endswith("Postprocess upscaler 2: Lanczos</p>")
    said = json.loads(made.image.info["limner"])
    assert said["second"] == {"name": "Lanczos", "share": 0.25}


def test_transparency_is_kept(api):
    clear = IMAGE.copy()
    clear.putalpha(128)
    for upscaler in ("None", "Lanczos"):
        made = api.extra_single_image(clear, upscaler_1=upscaler).image
        assert (made.mode, made.getextrema()[3]) == ("RGBA", (128, 128))


def test_upscalers_are_listed_with_their_factors(api):
    rows = {row["name"]: row for row in api.get_upscalers()}
    assert list(rows) == ["None", "Lanczos", "Nearest", "Scale2x", "net x2", "spoilt"]
    assert [row["scale"] for row in rows.values()] == [1, 4, 4, 2, 2, 2]
    assert rows["net x2"] == {
        "name": "net x2", "model_name": "net x2", "model_path": "net x2.pth", "model_url": None,
        "scale": 2,
    }  # fmt: skip


def sent(image):
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


@pytest.fixture
def client(settings, folder):
    files = AdapterFiles(Library(None, [folder]))
    upscaling = Upscaling(files, lambda: Upscalers(files.find, torch.device("cpu")))
    app = create_app(settings, replace(fakes.services(), upscaling=upscaling))
    return TestClient(app, headers={"x-api-key": fakes.KEY})


def test_a_file_makes_a_picture_larger_as_spandrel_does(client, services):
    body = {"image": sent(IMAGE), "upscaler_1": "net x2", "upscale_first": True, "colour": 1}
    answer = client.post("/sdapi/v1/extra-single-image", json=body)
    assert answer.status_code == 200, answer.text
    made = np.asarray(Image.open(io.BytesIO(base64.b64decode(answer.json()["image"]))))
    assert np.abs(made - making.in_one_piece(making.compact(), PIXELS)).max() <= 1
    assert answer.json()["html_info"].endswith("<p>colour was ignored</p>")
    assert "colour was ignored" in answer.headers["x-adjustments"]


LARGE = sent(Image.new("RGB", (1024, 1024)))


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"gfpgan_visibility": 0.5}, "gfpgan_visibility is 0.5; faces are not restored here"),
        ({"codeformer_visibility": 1}, "codeformer_visibility is 1; faces are not restored here"),
        ({"upscaler_1": "SwinIR 4x"}, "upscaler_1 is 'SwinIR 4x'; it must be one of Lanczos, "),
        ({"upscaler_1": "Lanczos", "upscaler_2": "x", "extras_upscaler_2_visibility": 1},
         "upscaler_2 is 'x'; it must be one of"),
        ({"upscaler_1": "spoilt"}, "upscaler_1: spoilt.pth: 'body.0.weight' holds values that are"),
        ({"upscaler_1": "Lanczos", "upscaler_2": "spoilt", "extras_upscaler_2_visibility": 1},
         "upscaler_2: spoilt.pth: 'body.0.weight' holds values that are not finite"),
        ({"resize_mode": 2}, "resize_mode is 2; it must be a whole number 0 to 1"),
        ({"upscaling_resize": 0.5}, "upscaling_resize is 0.5; it must be a number 1 to 16"),
        ({"upscaling_resize": "NaN"}, "upscaling_resize is"),
        ({"resize_mode": 1, "upscaling_resize_w": 0}, "upscaling_resize_w is 0; it must be"),
        ({"resize_mode": 1, "upscaling_resize_w": 16384, "upscaling_resize_h": 9000,
          "upscaler_1": "Lanczos"},
         "upscaling_resize_w: 32x24 would become 16384x9000, 421 MiB; a picture may have 192 MiB"),
        ({"image": "AAAA"}, "image is not a picture"),
        ({"image": None}, "image is missing; send a picture"),
        ({"image": LARGE, "upscaling_resize": 9, "upscaler_1": "Lanczos"},
         "upscaling_resize: 1024x1024 would become 9216x9216, 243 MiB; a picture may have 192"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_named(client, body, sentence):
    answer = client.post("/sdapi/v1/extra-single-image", json={"image": sent(IMAGE), **body})
    assert answer.status_code == 400
    assert sentence in answer.json()["detail"]


@pytest.mark.parametrize(
    ("pictures", "sentence"),
    [
        ([], "imageList is missing; send a list of pictures"),
        (None, "imageList is missing; send a list of pictures"),
        ([{"name": "a"}], "imageList.0.data is missing; it must be a picture"),
        (["a"], 'imageList.0 is "a"; it must be as {"data": "...", "name": "..."}'),
        ([{"data": "AAAA"}], "imageList.0.data is not a picture"),
        ([{"data": LARGE}] * 17, "imageList has 17 entries; at most 16 are read"),
        ([{"data": LARGE}] * 16, "imageList: its 16 pictures would become 432 MiB; those of a "
         "call may have 192 MiB together"),
    ],
)  # fmt: skip
def test_lists_that_cannot_be_are_named(client, pictures, sentence):
    body = {"imageList": pictures, "upscaler_1": "Lanczos", "upscaling_resize": 3}
    answer = client.post("/sdapi/v1/extra-batch-images", json=body)
    assert answer.status_code == 400
    assert sentence in answer.json()["detail"]


def test_it_costs_nothing(client):
    body = {"image": sent(IMAGE), "upscaler_1": "Lanczos"}
    answer = client.post("/sdapi/v1/extra-single-image", json=body)
    assert answer.headers.get("x-cost", "0") == "0"

"""The img2img routes: defaults, sizes, masks, URLs, what is refused."""

import base64
import json

import numpy as np
import pytest
from PIL import Image

from limner import imaging
from limner.imaging.fitting import fit
from limner.settings import Settings
from limner.web.app import create_app
from limner.web.reading.inputs import digest
from tests.test_fetching import PICTURE, host
from tests.web import fakes
from tests.web.conftest import PATH, TestClient

__all__ = ["host"]

PIXELS = np.random.default_rng(3).integers(0, 255, (64, 96, 3), dtype=np.uint8)
MASK = np.zeros((64, 96), np.uint8)
MASK[:, 48:] = 255


def drawn(pixels):
    """A picture or mask of 96 x 64 as it is drawn from: 512 x 512, cut at both sides."""
    wide = Image.fromarray(pixels).resize((768, 512), Image.Resampling.LANCZOS)
    cut = np.asarray(wide.crop((128, 0, 640, 512)))
    return cut if pixels.ndim == 3 else np.where(cut >= 128, np.uint8(255), np.uint8(0))


def encoded(pixels):
    rgb = pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, 2)
    return base64.b64encode(imaging.to_png(rgb)).decode()


IMAGE = encoded(PIXELS)


@pytest.fixture
def post(client, services):
    """Posts to a sibling; returns the answer and, when one came, the order."""

    def send(slug, **body):
        before = len(services.generate.orders)
        answer = client.post(f"/v1/sd1.5-{slug}", json={"prompt": "a castle", **body})
        orders = services.generate.orders[before:]
        return answer, orders[0] if orders else None

    return send


def test_img2img_has_its_own_defaults(post):
    answer, order = post("img2img", image=IMAGE)
    assert answer.status_code == 200
    g = order.generation
    assert (g.scheduler, g.steps, g.guidance, g.source.strength) == ("DDIM", 20, 7.5, 1.0)
    assert (g.width, g.height, g.source.mask_sha256) == (512, 512, None)
    assert g.source.sha256 == digest(drawn(PIXELS))
    assert np.array_equal(order.pixels[g.source.sha256], drawn(PIXELS))
    assert order.slug == "sd1.5-img2img"


@pytest.mark.parametrize("form", ["data URI", "alias", "multipart"])
def test_a_picture_in_other_forms(client, services, form):
    path, body = "/v1/sd1.5-img2img", {"prompt": "a castle"}
    if form == "multipart":
        files = {"image": ("a.png", base64.b64decode(IMAGE), "image/png")}
        answer = client.post(path, data=body, files=files)
    elif form == "alias":
        answer = client.post(path, json={**body, "imageUrl": IMAGE})
    else:
        answer = client.post(path, json={**body, "image": f"data:image/png;base64,{IMAGE}"})
    assert answer.status_code == 200, answer.text
    assert services.generate.orders[-1].generation.source.sha256 == digest(drawn(PIXELS))


@pytest.mark.parametrize(
    ("slug", "body", "missing"),
    [
        ("img2img", {}, "image"),
        ("inpainting", {"image": IMAGE}, "mask"),
        ("outpaint", {}, "image"),
        ("outpaint", {"image": IMAGE, "prompt": None}, "prompt"),
    ],
)
def test_what_is_needed(post, slug, body, missing):
    answer, order = post(slug, **body)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(f"{missing} is missing")
    assert order is None


def test_sizes_are_floored_and_told(post):
    answer, order = post(
        "inpainting", image=IMAGE, mask=encoded(MASK), img_width=626, img_height=626
    )
    assert (order.generation.width, order.generation.height) == (624, 624)
    told = json.loads(answer.headers["x-adjustments"])
    assert "img_width 626 was floored to 624, a multiple of 8" in told


def test_inpainting_takes_the_mask(post):
    _, order = post("inpainting", image=IMAGE, mask=encoded(MASK), strength=0.5, mask_blur=4)
    source = order.generation.source
    assert np.array_equal(order.pixels[source.mask_sha256], drawn(MASK))
    assert (source.strength, source.mask_blur) == (0.5, 4)


def test_img2img_ignores_a_mask_and_says_so(post):
    answer, order = post("img2img", image=IMAGE, mask=encoded(MASK))
    assert order.generation.source.mask_sha256 is None
    assert "mask was ignored" in answer.headers["x-adjustments"]


def test_outpainting_makes_canvas_and_mask(post):
    _, order = post("outpaint", image=IMAGE, scale=2, offset_x=100, offset_y=40, mask_expand=0)
    g = order.generation
    assert (g.width, g.height, g.steps, g.scheduler) == (768, 768, 25, "DDIM")
    mask = order.pixels[g.source.mask_sha256]
    canvas = order.pixels[g.source.sha256]
    assert canvas.shape == (768, 768, 3)
    assert not mask[40:168, 100:292].any()
    assert np.count_nonzero(mask == 0) == 128 * 192


def test_outpainting_by_default_keeps_a_fifth_of_the_size(post):
    large = np.zeros((500, 500, 3), np.uint8)
    _, order = post("outpaint", image=encoded(large))
    mask = order.pixels[order.generation.source.mask_sha256]
    assert np.count_nonzero(mask == 0) == (100 - 8) ** 2


@pytest.mark.parametrize(
    ("slug", "body", "sentence"),
    [
        ("img2img", {"strength": 0.01}, "strength is 0.01, which leaves none of 20 steps"),
        ("img2img", {"strength": 1.5}, "strength is 1.5"),
        ("outpaint", {"scale": 11}, "scale is 11"),
        ("outpaint", {"offset_x": 800}, "leave nothing"),
        ("outpaint", {"mask_expand": 257}, "mask_expand is 257"),
        ("img2img", {"image": encoded(np.zeros((1, 1, 3), np.uint8))}, "image is 1x1"),
        ("img2img", {"image": encoded(np.zeros((1, 20000, 3), np.uint8))}, "image is 20000x1"),
        ("img2img", {"image": IMAGE[:400]}, "image is"),
        ("img2img", {"image": "http://169.254.169.254/a.png"}, "not a public address"),
    ],
)
def test_what_is_refused(post, slug, body, sentence):
    answer, order = post(slug, **{"image": IMAGE, **body})
    assert answer.status_code == 400
    assert sentence in answer.json()["error"]
    assert order is None


def test_a_url_is_fetched_where_the_operator_allows_it(host):
    services = fakes.services()
    settings = Settings(data_dir="/nonexistent", fetch_private=True)
    client = TestClient(create_app(settings, services), headers={"x-api-key": fakes.KEY})
    body = {"prompt": "a castle", "image": f"{host}/picture", "strength": 0.5}
    assert client.post(PATH, json=body).status_code == 200
    source = services.generate.orders[-1].generation.source
    sent = Image.fromarray(imaging.read_image(PICTURE))
    fitted = fit(sent, 512, 512, source.resize_mode)
    assert source.sha256 == digest(np.asarray(fitted))
    answer = client.post(PATH, json={**body, "image": f"{host}/html"})
    assert (answer.status_code, "is no picture" in answer.text) == (400, True)


def test_controlnet_needs_a_control_of_its_kind(client):
    answer = client.post("/v1/sd1.5-controlnet-canny", json={"prompt": "x", "image": IMAGE})
    assert answer.status_code == 400
    assert "this server's library has no canny ControlNet" in answer.json()["error"]

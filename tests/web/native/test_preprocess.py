"""``POST /api/preprocess``: maps without a picture, and without a price."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from limner import imaging
from limner.imaging.preprocessing import PREPROCESSORS, apply, pose

PIXELS = np.random.default_rng(1).integers(0, 256, (48, 96, 3), np.uint8)
IMAGE = base64.b64encode(imaging.to_png(PIXELS)).decode()
POSE = [[[0.5, 0.5]] * 18]


def asked(client, **body):
    return client.post("/api/preprocess", json=body)


@pytest.mark.parametrize("name", PREPROCESSORS)
def test_maps_have_the_size_of_their_picture(client, name):
    answer = asked(client, image=IMAGE, preprocessor=name)
    assert answer.headers["content-type"] == "image/png"
    assert np.array_equal(imaging.read_image(answer.content), apply(name, PIXELS, {}))


def test_a_size_may_be_asked_for_and_large_pictures_are_shrunk(client):
    answer = asked(client, image=IMAGE, width=128, height=64, base64=True)
    small = Image.fromarray(PIXELS).resize((128, 64), Image.Resampling.LANCZOS)
    data = base64.b64decode(answer.json()["image"])
    assert np.array_equal(imaging.read_image(data), np.asarray(small))
    buffer = io.BytesIO()
    Image.new("RGB", (4096, 512)).save(buffer, "PNG")
    answer = asked(client, image=base64.b64encode(buffer.getvalue()).decode())
    assert imaging.read_image(answer.content).shape == (256, 2048, 3)


def test_poses_are_drawn(client):
    answer = asked(client, pose=POSE, width=64, height=128)
    expected = pose.draw([[(32.0, 64.0)] * 18], 64, 128)
    assert np.array_equal(imaging.read_image(answer.content), expected)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({}, "image is missing; send a picture, or pose for a pose"),
        ({"image": IMAGE, "preprocessor": "depth"}, "library of models; built-in ones: GET"),
        ({"image": IMAGE, "options": {"low": 1}}, "options has low"),
        ({"image": IMAGE, "width": 64}, "width and height belong together"),
        ({"image": "AAAA"}, "image"),
    ],
)
def test_what_cannot_be_made_is_named(client, body, sentence):
    answer = asked(client, **body)
    assert answer.status_code == 400
    assert sentence in answer.json()["error"]


def test_what_makes_maps_is_listed(client):
    listed = client.get("/api/preprocessors").json()
    assert [row["name"] for row in listed] == list(PREPROCESSORS)
    assert listed[0]["options"]["low"] == {"default": 100, "low": 0, "high": 255}

"""``POST /api/upscale``: pictures made larger, and what is refused."""

import base64
import io
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from starlette.testclient import TestClient

from limner import imaging
from limner.engine.upscaling.resident import Upscalers
from limner.imaging.pixelart import scale2x
from limner.models.listing import Library
from limner.usecases.drawing.adapters import AdapterFiles
from limner.usecases.upscaling import Upscaling
from limner.web.app import create_app
from tests.engine.upscaling import making
from tests.web import fakes

PIXELS = np.random.default_rng(1).integers(0, 256, (24, 32, 3), np.uint8)


def sent(image):
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


IMAGE = sent(Image.fromarray(PIXELS))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    making.written(folder / "net x2.pth", making.compact())
    broken = making.compact()
    broken["body.0.weight"][0, 0, 0, 0] = float("nan")
    making.written(folder / "broken.pth", broken)
    making.written(folder / "lora.safetensors", {"lora_unet_x.lora_up.weight": torch.ones(4, 4)})
    return folder


@pytest.fixture
def services(folder):
    files = AdapterFiles(Library(None, [folder]))
    upscaling = Upscaling(files, lambda: Upscalers(files.find, torch.device("cpu")))
    return replace(fakes.services(), upscaling=upscaling)


@pytest.fixture
def client(settings, services):
    return TestClient(create_app(settings, services), headers={"x-api-key": fakes.KEY})


def asked(client, **body):
    return client.post("/api/upscale", json={"image": IMAGE, **body})


def pixels_of(answer):
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content)))


def test_a_file_makes_a_picture_larger_as_spandrel_does(client):
    made = pixels_of(asked(client, upscaler="net x2"))
    expected = making.in_one_piece(making.compact(), PIXELS)
    assert np.abs(made - expected).max() <= 1


@pytest.mark.parametrize(
    ("body", "size"),
    [
        ({}, (64, 48)),
        ({"scale": 1.5}, (48, 36)),
        ({"width": 100}, (100, 75)),
        ({"width": 40, "height": 90}, (40, 90)),
    ],
)
def test_sizes(client, body, size):
    assert pixels_of(asked(client, **body)).shape[1::-1] == size


def test_pixel_art_keeps_its_colours(client):
    assert np.array_equal(pixels_of(asked(client, upscaler="scale2X")), scale2x(PIXELS))


def test_the_result_says_of_what_it_was_made(client):
    drawn = asked(client, upscaler="net x2", base64=True).json()
    said = drawn["upscale"]
    assert said["from"]["width"] == 32
    assert said["upscaler"]["name"] == "net x2"
    assert len(said["upscaler"]["sha256"]) == 64
    text = Image.open(io.BytesIO(base64.b64decode(drawn["image"]))).text
    assert json.loads(text["limner"]) == said


def test_how_a_picture_was_made_is_kept(client):
    told = imaging.Metadata("a knight\nSteps: 5", {"receipt": 1})
    image = base64.b64encode(imaging.to_png(PIXELS, told)).decode()
    made = asked(client, image=image)
    found = imaging.read_metadata(made.content)
    assert found.parameters == told.parameters
    assert found.receipt["receipt"] == told.receipt
    assert found.receipt["upscaler"] == {"name": "Lanczos"}


def test_transparency_is_kept_and_depth_cut(client):
    alpha = np.linspace(0, 255, 24 * 32).reshape(24, 32).astype(np.uint8)
    clear = np.dstack([PIXELS, alpha])
    made = pixels_of(asked(client, image=sent(Image.fromarray(clear)), upscaler="net x2"))
    assert made.shape == (48, 64, 4)
    grown = Image.fromarray(alpha).resize((64, 48), Image.Resampling.LANCZOS)
    assert np.array_equal(made[..., 3], np.asarray(grown))
    deep = (alpha.astype(np.uint16) << 8) + 7
    made = pixels_of(asked(client, image=sent(Image.fromarray(deep)), upscaler="Nearest"))
    assert np.array_equal(made, np.dstack([alpha] * 3).repeat(2, 0).repeat(2, 1))


def test_it_costs_nothing(client, services):
    before = services.accounts.keys[fakes.KEY].micro
    asked(client)
    assert services.accounts.keys[fakes.KEY].micro == before


def test_a_picture_beyond_what_is_decoded_is_told_before_it_is(client):
    picture = sent(Image.new("1", (4104, 4096)))
    answer = asked(client, image=picture, scale=1)
    assert answer.status_code == 400
    said = "image is 4104x4096; a picture that is made larger may have 16,777,216 pixels"
    assert answer.json()["error"] == said


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"upscaler": "lora"}, "upscaler is 'lora', which is no upscaler: it is a LoRA adapter"),
        ({"upscaler": "nobody"}, "upscaler"),
        ({"upscaler": "broken"}, "broken.pth: 'body.0.weight' holds values that are not finite"),
        ({"scale": 99}, "scale is 99; it must be a number 1 to 16"),
        ({"scale": 2, "width": 64}, "scale is there beside a size: leave one out"),
        (
            {"width": 16_000, "height": 16_000},
            "width: 32x24 would become 16000x16000, 732 MiB; a picture may have 192 MiB",
        ),
        (
            {"height": 16_384},
            "height: 32x24 would become 21845x16384, 1023 MiB; a picture may have 192 MiB",
        ),
        (
            {"width": 16_384, "height": 1},
            "width: 32x24 would become 16384x1, cut out of 16384x12288, 576 MiB; a picture may "
            "have 192 MiB",
        ),
        ({"image": "AAAA"}, "image"),
        ({"image": ""}, "image is missing; send a picture"),
        ({"picture": "pic_0"}, "image and picture are both there"),
    ],
)
def test_what_cannot_be_made_is_named(client, body, sentence):
    answer = asked(client, **body)
    assert answer.status_code == 400
    assert sentence in answer.json()["error"]


def test_what_takes_too_much_memory_is_told_with_both_numbers(settings, services, folder):
    files = AdapterFiles(Library(None, [folder]))
    own = Upscaling(files, lambda: Upscalers(files.find, torch.device("cpu")), engine_bytes=1 << 20)
    few = replace(services, upscaling=own)
    client = TestClient(create_app(settings, few), headers={"x-api-key": fakes.KEY})
    answer = asked(client, upscaler="net x2", scale=16)
    assert answer.status_code == 400
    assert "would become 512x384, for which net x2 takes" in answer.json()["error"]
    assert "MiB; it may have 1 MiB" in answer.json()["error"]

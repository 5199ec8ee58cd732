"""The published route: every field, default, range, alias, quirk, header and text."""

import base64
import io
import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from limner import errors, imaging
from limner.domain.schedulers import SCHEDULER_NAMES
from limner.engine.batching.fake import fake_pixels
from limner.settings import Settings
from limner.web.app import create_app
from tests.web import fakes
from tests.web.conftest import PATH, TestClient


def generation(services):
    return services.generate.orders[-1].generation


def notes(answer):
    return json.loads(answer.headers.get("x-adjustments", "[]"))


def test_only_a_prompt(draw, services):
    answer = draw()
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
    assert Image.open(io.BytesIO(answer.content)).size == (512, 512)
    drawn = generation(services)
    assert (drawn.prompt, drawn.negative_prompt, drawn.scheduler) == ("a knight", "", "UniPC")
    assert (drawn.steps, drawn.guidance, drawn.samples) == (20, 7.5, 1)
    assert 0 <= drawn.seed <= 999_999_999_999_999
    assert "x-adjustments" not in answer.headers


def test_the_published_example(draw, services):
    answer = draw(
        {
            "prompt": "cute young man, (highly detailed skull:0.8), brown eyes",
            "negative_prompt": "(worst quality:1.4), cropped",
            "scheduler": "ddim",
            "num_inference_steps": "25",
            "guidance_scale": "9",
            "samples": "1",
            "seed": "2601738487234",
            "img_width": "512",
            "img_height": "768",
            "base64": "false",
        }
    )
    assert Image.open(io.BytesIO(answer.content)).size == (512, 768)
    drawn = generation(services)
    assert (drawn.scheduler, drawn.steps, drawn.guidance) == ("DDIM", 25, 9.0)
    assert (drawn.seed, drawn.width, drawn.height) == (2601738487234, 512, 768)
    assert answer.headers["x-seed-value"] == "2601738487234"
    assert notes(answer) == []


def test_headers_of_success(draw):
    answer = draw({"prompt": "x", "seed": 7, "scheduler": "Heun", "img_height": 768})
    headers = answer.headers
    price = 39 * 2 * 8 * 12
    assert headers["x-cost"] == f"{price / 1e6:.6f}".rstrip("0")
    assert headers["x-remaining-credits"] == f"{10 - price / 1e6:.6f}".rstrip("0")
    assert headers["x-request-id"].startswith("req_")
    assert headers["x-generation-time"] == "1.250"
    shape = json.loads(headers["x-output-metadata"])
    assert (shape["width"], shape["height"], shape["seeds"]) == (512, 768, [7])
    assert headers["x-rate-limit-remaining"] == "59"
    assert headers["x-rate-limit-reset-at-utc"] == "2030-01-02T03:04:05Z"


def test_base64(draw):
    answer = draw({"prompt": "x", "base64": True, "seed": 3})
    body = answer.json()
    assert answer.headers["content-type"] == "application/json"
    assert set(body) == {"image", "status", "infer_time"}
    assert (body["status"], body["infer_time"]) == ("Success", 1.25)
    pixels = imaging.read_image(base64.b64decode(body["image"], validate=True))
    assert np.abs(pixels.astype(int) - fake_pixels("x", 3, 512, 512)).max() <= 12


def test_base64_of_several_is_a_list(draw, services):
    images = draw({"prompt": "x", "base64": 1, "samples": 3, "output_format": "png"}).json()[
        "image"
    ]
    seed = generation(services).seed
    for index, text in enumerate(images):
        pixels = imaging.read_image(base64.b64decode(text))
        assert np.array_equal(pixels, fake_pixels("x", seed + index, 512, 512))


def test_one_body_holds_one_picture(draw, services):
    answer = draw({"prompt": "x", "samples": 4})
    assert generation(services).samples == 1
    assert answer.headers["content-type"] == "image/jpeg"
    assert notes(answer)[0].startswith("one of 4 samples was drawn and billed")


def test_multipart_mixed_holds_all(draw, services):
    answer = draw({"prompt": "x", "samples": 2, "seed": 5}, headers={"Accept": "multipart/mixed"})
    kind, _, boundary = answer.headers["content-type"].partition("; boundary=")
    assert kind == "multipart/mixed"
    parts = answer.content.split(b"--" + boundary.encode())[1:-1]
    assert len(parts) == generation(services).samples == 2
    for seed, part in zip((5, 6), parts, strict=True):
        head, _, data = part.partition(b"\r\n\r\n")
        assert f"X-Seed-Value: {seed}".encode() in head
        assert Image.open(io.BytesIO(data)).size == (512, 512)
    assert notes(answer) == []


def test_a_grid_holds_all(draw, services):
    answer = draw({"prompt": "x", "samples": 4, "output": "grid", "output_format": "png"})
    assert Image.open(io.BytesIO(answer.content)).size == (1024, 1024)
    assert generation(services).samples == 4
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["x-cost"] == "0.01024"


def test_sprites_of_a_model_that_paints_them(draw, services):
    painter = replace(fakes.FAKE_MODEL, sprite_pixels=16)
    services.engine.current = fakes.EngineStatus(True, "", painter)
    body = {"prompt": "x", "seed": 3, "output": "sprite", "img_height": 768}
    answer = draw(body | {"output_format": "webp"})
    assert answer.headers["content-type"] == "image/png"
    assert notes(answer) == ["output_format was ignored: sprites are PNG"]
    pixels = imaging.read_image(answer.content)
    assert np.array_equal(pixels, fake_pixels("x", 3, 512, 768)[8::16, 8::16])
    assert json.loads(answer.headers["x-output-metadata"])["height"] == 48
    assert notes(draw(body)) == []


def test_no_sprites_of_another_model(draw, services):
    answer = draw({"prompt": "x", "output": "sprite"})
    assert answer.status_code == 400
    assert "paints no sprites" in answer.json()["error"]
    assert services.generate.orders == []


@pytest.mark.parametrize("format", ["jpeg", "png", "webp"])
def test_pictures_carry_their_receipt_unless_told_not_to(draw, format):
    body = {"prompt": "ein Ritter 🐉", "seed": 11, "output_format": format}
    answer = draw(body)
    assert answer.headers["content-type"] == f"image/{format}"
    metadata = imaging.read_metadata(answer.content)
    assert metadata.receipt["parameters"]["seed"] == 11
    assert metadata.parameters.startswith("ein Ritter 🐉\nSteps: 20, Sampler: UniPC")
    assert draw(body).content == answer.content
    assert imaging.read_metadata(draw(body | {"metadata": False}).content) == imaging.Metadata()


def test_a_receipt_too_long_for_jpeg_is_told(draw):
    long = {"prompt": "\U0001f409" * 9_999, "negative_prompt": "\U0001f409" * 9_999}
    answer = draw(long)
    assert notes(answer) == ["the receipt is too long for a JPEG; its id stands in its place"]
    assert notes(draw(long | {"output_format": "webp"})) == []


@pytest.mark.parametrize("name", SCHEDULER_NAMES)
def test_published_schedulers(draw, services, name):
    draw({"prompt": "x", "scheduler": name})
    assert generation(services).scheduler == name


@pytest.mark.parametrize(
    ("sent", "found"),
    [("euler_a", "Euler a"), ("dpmpp_2m", "DPM Multi"), ("dmpp_2m", "DPM Multi"),
     ("dpmpp_sde_ancestral", "DPM Single"), ("dpm_discrete", "DPM2 Karras"),
     ("dpm_ancestral", "DPM2 a Karras"), ("LMS", "LMS"), ("heun", "Heun")],
)  # fmt: skip
def test_schedulers_by_other_names(draw, services, sent, found):
    assert notes(draw({"prompt": "x", "scheduler": sent})) == []
    assert generation(services).scheduler == found


def test_an_unknown_scheduler_is_replaced_and_told(draw, services):
    answer = draw({"prompt": "x", "scheduler": "dragon"})
    assert generation(services).scheduler == "UniPC"
    assert notes(answer) == ['scheduler "dragon" is unknown; UniPC was used']


def test_a_strict_server_refuses_it(services):
    strict = create_app(Settings(data_dir="/nonexistent", strict=True), services)
    answer = TestClient(strict).post(
        PATH, json={"prompt": "x", "scheduler": "dragon"}, headers={"x-api-key": fakes.KEY}
    )
    assert answer.status_code == 406
    assert "DDIM" in answer.json()["error"]
    assert services.generate.orders == []


def test_base64_by_default(services):
    app = create_app(Settings(data_dir="/nonexistent", base64_default=True), services)
    client = TestClient(app, headers={"x-api-key": fakes.KEY})
    assert client.post(PATH, json={"prompt": "x"}).json()["status"] == "Success"
    raw = client.post(PATH, json={"prompt": "x", "base64": False})
    assert raw.headers["content-type"] == "image/jpeg"


def test_aliases_of_fields(draw, services):
    answer = draw(
        {"prompt": "x", "negativePrompt": "y", "width": 1024, "height": "1024", "steps": 30}
    )
    drawn = generation(services)
    assert (drawn.negative_prompt, drawn.width, drawn.height, drawn.steps) == ("y", 1024, 1024, 30)
    assert notes(answer) == []


def test_the_fields_own_name_wins(draw, services):
    answer = draw({"prompt": "x", "width": 1024, "img_width": 768})
    assert generation(services).width == 768
    assert notes(answer) == ["width was ignored"]


def test_extra_keys_are_ignored_and_listed(draw):
    extra = {"style": "base", "high_noise_fraction": 0.8, "refiner": True, "size": "x", "é": []}
    answer = draw({"prompt": "x", **extra, "strength": 0.5})
    assert answer.status_code == 200
    assert answer.headers["x-adjustments"].isascii()
    assert notes(answer) == [
        "style was ignored",
        "high_noise_fraction was ignored",
        "refiner was ignored",
        "size was ignored",
        "é was ignored",
        "strength was ignored: it acts only where image is present",
    ]


def test_many_extra_keys_stay_within_two_kilobytes(draw):
    answer = draw({"prompt": "x", **{f"unknown_{n}_{'é' * 20}": n for n in range(300)}})
    assert answer.status_code == 200
    assert len(answer.headers["x-adjustments"]) <= 2048
    assert notes(answer)[-1].startswith("and ")


def test_null_and_empty_count_as_absent(draw, services):
    draw({"prompt": "x", "seed": "", "samples": None, "negative_prompt": None, "scheduler": None})
    assert (generation(services).samples, generation(services).negative_prompt) == (1, "")


def test_adjustments_of_the_engine_are_told(draw, services):
    services.generate.adjustments = ("the tag <lora:x> was left out",)
    assert notes(draw()) == ["the tag <lora:x> was left out"]


def test_native_fields(draw, services):
    draw(
        {"prompt": "x", "exact": "true", "noise_source": "torch-cpu", "clip_skip": 2,
         "subseed": 9, "subseed_strength": 0.25}
    )  # fmt: skip
    drawn = generation(services)
    assert (drawn.exact, drawn.noise_source, drawn.clip_skip) == (True, "torch-cpu", 2)
    assert (drawn.subseed, drawn.subseed_strength) == (9, 0.25)


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("num_inference_steps", 10, "num_inference_steps is 10; it must be a whole number 20 to"),
        ("num_inference_steps", 101, "20 to 100"),
        ("guidance_scale", 40, "guidance_scale is 40; it must be a number 0.1 to 25"),
        ("guidance_scale", 0, "0.1 to 25"),
        ("samples", 9, "samples is 9; it must be a whole number 1 to 4"),
        ("samples", 2.5, "samples is 2.5"),
        ("samples", True, "samples is true"),
        ("seed", 10**20, f"seed is {10**20}; it must be a whole number -1 to 999999999999999"),
        ("seed", -2, "seed is -2"),
        ("img_width", 500, "img_width is 500; it must be a multiple of 64 from 512 to 1024"),
        ("img_height", 1088, "512 to 1024"),
        ("width", 448, "width is 448"),
        ("base64", "maybe", 'base64 is "maybe"; it must be true or false'),
        ("prompt", "", "prompt has 0 characters; it must be text of 1 to 10,000 characters"),
        ("prompt", "x" * 10_001, "prompt has 10,001 characters"),
        ("prompt", 5, "prompt is 5"),
        ("negative_prompt", ["x"], 'negative_prompt is ["x"]'),
        ("scheduler", 5, "scheduler is 5"),
        ("output", "video", "output is"),
        ("output_format", "gif", "jpeg, png, webp"),
        ("image", "http://127.0.0.1/a.png", "image: 127.0.0.1 is not a public address"),
        ("image", "!!", "image is no base64"),
        ("image", {"a": 1}, "image is"),
        ("seed", {"a": [1]}, "seed is"),
    ],
)  # fmt: skip
def test_out_of_range(draw, services, field, value, sentence):
    answer = draw({"prompt": "x", field: value})
    assert answer.status_code == 400
    assert sentence in answer.json()["error"]
    assert answer.headers["x-remaining-credits"] == "10"
    assert services.generate.orders == []


def test_a_missing_prompt(draw):
    answer = draw({"seed": 1})
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("prompt is missing")


def test_a_whole_float_is_an_integer(draw, services):
    draw({"prompt": "x", "samples": 2.0, "base64": "yes", "num_inference_steps": "30.0"})
    assert (generation(services).samples, generation(services).steps) == (2, 30)


def picture_field(size=(64, 64), mode="RGB", colour="red"):
    buffer = io.BytesIO()
    Image.new(mode, size, colour).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def test_image_makes_it_img2img(draw, services):
    body = {"prompt": "x", "image": picture_field(), "strength": "0.5", "resize_mode": "fill"}
    assert draw(body).status_code == 200
    order = services.generate.orders[-1]
    source = order.generation.source
    assert (source.strength, source.resize_mode, source.mask_sha256) == (0.5, "fill", None)
    assert order.pixels[source.sha256].shape == (512, 512, 3)


def test_image_and_mask(draw, services):
    mask = "data:image/png;base64," + picture_field(mode="L", colour=255)
    draw({"prompt": "x", "imageUrl": picture_field(), "mask": mask, "mask_blur": 4})
    order = services.generate.orders[-1]
    assert order.pixels[order.generation.source.mask_sha256].tolist() == [[255] * 512] * 512
    assert order.generation.source.mask_blur == 4


def test_a_strength_that_leaves_no_step(draw):
    answer = draw({"prompt": "x", "image": picture_field(), "strength": 0.01})
    assert answer.status_code == 400
    assert "at least 0.05 would do" in answer.json()["error"]


def test_a_form_with_text_and_a_file(client, services):
    fields = {"prompt": "x", "samples": "1", "seed": "5", "base64": "true"}
    file = {"image": ("a.png", base64.b64decode(picture_field()), "image/png")}
    answer = client.post(PATH, data=fields, files=file)
    assert answer.json()["status"] == "Success"
    assert generation(services).source is not None
    assert generation(services).seed == 5


@pytest.mark.parametrize(
    ("headers", "content"),
    [({}, b'{"prompt": "x"}'), ({"Content-Type": "text/plain"}, b"x"),
     ({"Content-Type": "application/x-www-form-urlencoded"}, b"prompt=x")],
)  # fmt: skip
def test_other_content_types(client, headers, content):
    answer = client.post(PATH, content=content, headers=headers)
    assert (answer.status_code, answer.json()) == (406, {"error": "Invalid content type"})


def test_content_type_with_a_charset(client):
    kind = {"Content-Type": "Application/JSON; charset=utf-8"}
    assert client.post(PATH, content=b'{"prompt": "x"}', headers=kind).status_code == 200


def test_too_little_credit(draw, services):
    services.accounts.keys[fakes.KEY].micro = 10
    answer = draw()
    assert answer.status_code == 406
    assert answer.json()["error"].startswith("Insufficient credits")
    assert answer.headers["x-remaining-credits"] == "0.00001"


def test_a_replay_tells_what_was_drawn_then(draw):
    body, key = {"prompt": "x", "samples": 2}, {"Idempotency-Key": "abc"}
    draw(body, headers=key | {"Accept": "multipart/mixed"})
    again = draw(body, headers=key)
    assert again.headers["content-type"] == "image/jpeg"
    assert notes(again) == ["the first of 2 pictures drawn and billed is answered"]


def test_idempotency(draw):
    headers = {"Idempotency-Key": "abc"}
    first = draw({"prompt": "x", "seed": -1}, headers=headers)
    again = draw({"seed": -1, "prompt": "x"}, headers=headers)
    assert again.content == first.content
    assert again.headers["x-replayed"] == "true"
    assert draw({"prompt": "y"}, headers=headers).status_code == 422


@pytest.mark.parametrize(
    ("error", "status", "retry"),
    [
        (errors.QueueFull("full", 7), 503, "7"),
        (errors.ModelLoading("loading"), 503, "5"),
        (errors.WaitedTooLong("late"), 503, "5"),
        (errors.LimitExceeded("too many", 3), 429, "3"),
        (errors.Gone("expired"), 410, None),
        (errors.Aborted("Request req_1 was cancelled"), 422, None),
    ],
)
def test_what_the_use_case_raises(draw, services, error, status, retry):
    services.generate.error = error
    answer = draw()
    assert (answer.status_code, answer.json()) == (status, {"error": str(error)})
    assert answer.headers.get("retry-after") == retry
    assert answer.headers["x-remaining-credits"] == "10"
    assert answer.headers["x-cost"] == "0"
    assert answer.headers["x-request-id"].startswith("req_")


@pytest.mark.parametrize("error", [errors.EngineFault("It broke."), errors.NotFinite("It broke.")])
def test_a_picture_that_failed_gives_an_id(draw, services, error):
    services.generate.error = error
    answer = draw()
    id = answer.headers["x-request-id"]
    said = f"It broke; please report {id} to its operator"
    assert (answer.status_code, answer.json()) == (500, {"error": said})
    assert answer.headers["x-cost"] == "0"


def test_a_field_that_is_null_is_absent(draw):
    assert "x-adjustments" not in draw({"prompt": "x", "seed": None, "quality": None}).headers


def test_a_fault_gives_an_id_and_no_traceback(draw, services, caplog):
    services.generate.error = RuntimeError("secret detail")
    answer = draw()
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert answer.headers["x-request-id"] in answer.json()["error"]
    assert answer.headers["x-request-id"] in caplog.text
    assert fakes.KEY not in caplog.text


def test_a_licence_not_accepted(draw, services):
    services.generate.error = errors.LicenceNotAccepted("read it at /license")
    answer = draw()
    assert (answer.status_code, answer.json()) == (403, {"error": "read it at /license"})


def test_aliases_of_the_slug(client):
    assert client.post("/v1/rpg", json={"prompt": "x"}).status_code == 200

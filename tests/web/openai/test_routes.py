"""OpenAI's images surface, through its own client over a real socket."""

import base64
import hashlib
import io
import json
import pathlib
import re

import numpy as np
import openai
import pytest
from PIL import Image

from limner import imaging
from limner.engine.batching.fake import fake_pixels
from limner.web.openai import routes as surface
from tests.waiting import LONG_S
from tests.web import fakes
from tests.web.served import serve

PRICE = 0.00256
PAGE = pathlib.Path(__file__).parents[3] / "docs" / "openai.md"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serve(tmp_path_factory.mktemp("openai"), aliases=("rpg",)) as running:
        yield running


@pytest.fixture
def ai(server):
    client = openai.OpenAI(
        api_key=server.new_key(), base_url=f"{server.url}/v1", max_retries=0, timeout=LONG_S
    )
    with client:
        yield client


def pixels_of(image):
    return imaging.read_image(base64.b64decode(image.b64_json, validate=True))


def png(size=(96, 64), colour="red", alpha=None):
    picture = Image.new("RGBA", size, colour)
    if alpha is not None:
        picture.putalpha(Image.fromarray(alpha))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return ("a.png", buffer.getvalue(), "image/png")


def stored(server, ai):
    """The newest stored request of the client's key."""
    with server.http(ai.api_key) as http:
        return http.get("/api/requests?limit=1").json()["requests"][0]


def test_pictures_as_base64(server, ai):
    answer = ai.images.generate(
        model="sd1.5-rpg",
        prompt="a knight",
        n=3,
        size="256x320",
        extra_body={"seed": 5, "scheduler": "ddim", "num_inference_steps": 25},
    )
    assert answer.size == "256x320"
    assert answer.output_format == "png"
    for index, image in enumerate(answer.data):
        assert np.array_equal(pixels_of(image), fake_pixels("a knight", 5 + index, 256, 320))
        assert image.url is None
    drawn = stored(server, ai)
    assert (drawn["surface"], drawn["generation"]["scheduler"]) == ("openai", "DDIM")
    assert drawn["cost"] == 3 * 25 * 2 * 20 / 1e6
    assert drawn["adjustments"] == []


def test_only_a_prompt(ai):
    answer = ai.images.generate(prompt="x")
    assert answer.size == "512x512"
    assert pixels_of(answer.data[0]).shape == (512, 512, 3)
    assert answer.created > 1_700_000_000


@pytest.mark.parametrize(("format", "kind"), [("png", "PNG"), ("jpeg", "JPEG"), ("webp", "WEBP")])
def test_urls_work_with_the_key(server, ai, format, kind):
    answer = ai.images.generate(
        prompt="x", response_format="url", output_format=format, extra_body={"seed": 1}
    )
    url = answer.data[0].url
    assert answer.data[0].b64_json is None
    with server.http(ai.api_key) as http:
        file = http.get(url)
        assert file.headers["content-type"] == f"image/{format}"
        assert Image.open(io.BytesIO(file.content)).format == kind
        assert imaging.read_metadata(file.content).receipt["parameters"]["seed"] == 1
    with server.http(server.new_key()) as other:
        assert other.get(url).status_code == 404


def test_what_is_not_done_is_told(ai):
    raw = ai.images.with_raw_response.generate(
        model="dall-e-3", prompt="x", size="500x500", quality="high", background="opaque",
        user="u", extra_body={"style": "vivid", "samples": 9},
    )  # fmt: skip
    told = json.loads(raw.headers["x-adjustments"])
    assert "model dall-e-3 is not served here; sd1.5-rpg was used" in told
    assert "size 500x500 was floored to 496x496" in told
    for name in ("quality", "background", "user", "style", "samples"):
        assert f"{name} was ignored" in told
    assert raw.headers["x-cost"] == str(20 * 2 * 64 / 1e6)
    assert raw.headers["x-remaining-credits"] == str(10 - PRICE)
    assert pixels_of(raw.parse().data[0]).shape == (496, 496, 3)


def test_an_alias_is_a_model(ai):
    raw = ai.images.with_raw_response.generate(model="rpg", prompt="x", size="64x64")
    assert "x-adjustments" not in raw.headers


def test_models(ai):
    assert [model.id for model in ai.models.list()] == ["sd1.5-rpg", "rpg", "squire"]
    assert ai.models.retrieve("rpg").object == "model"
    with pytest.raises(openai.NotFoundError, match="no model 'gpt-9'"):
        ai.models.retrieve("gpt-9")


def test_an_edit_repaints_what_the_mask_leaves_clear(server, ai):
    clear = np.full((64, 96), 255, np.uint8)
    clear[:, :40] = 0
    answer = ai.images.edit(image=png(), mask=png(alpha=clear), prompt="a hat", n=2)
    assert answer.size == "96x64"
    assert len(answer.data) == 2
    source = stored(server, ai)["generation"]["source"]
    assert source["strength"] == 1.0
    assert source["mask_sha256"] == _sha256(255 - clear)


def test_a_picture_that_is_clear_in_parts_is_its_own_mask(server, ai):
    clear = np.zeros((64, 96), np.uint8)
    ai.images.edit(image=[png(alpha=clear)], prompt="a hat")
    assert stored(server, ai)["generation"]["source"]["mask_sha256"] == _sha256(255 - clear)


def test_an_opaque_mask_is_read_as_white_and_told(server, ai):
    raw = ai.images.with_raw_response.edit(
        image=png(), mask=png(colour="white"), prompt="x", extra_body={"strength": 0.5}
    )
    assert "no transparent pixels" in raw.headers["x-adjustments"]
    source = stored(server, ai)["generation"]["source"]
    assert source["strength"] == 0.5
    assert source["mask_sha256"] == _sha256(np.full((64, 96), 255, np.uint8))


def test_an_edit_without_a_mask_is_img2img(server, ai):
    answer = ai.images.edit(image=png((2000, 1000)), prompt="x", response_format="url")
    assert answer.size == "1024x512"
    source = stored(server, ai)["generation"]["source"]
    assert (source["strength"], source["mask_sha256"]) == (0.75, None)


@pytest.mark.parametrize(
    ("options", "param", "told"),
    [
        ({"n": 11}, "n", "n is 11; it must be a whole number 1 to 10"),
        ({"size": "huge"}, "size", "WIDTHxHEIGHT"),
        ({"size": "8192x64"}, "size", "64 to 2048"),
        ({"output_format": "gif"}, "output_format", "png, jpeg, webp"),
        ({"prompt": ""}, "prompt", "1 to 10,000"),
        ({"extra_body": {"num_inference_steps": 5}}, "num_inference_steps", "20 to 100"),
        ({"extra_body": {"stream": True}}, "stream", "leave it out"),
    ],
)
def test_bad_fields_are_named_in_its_envelope(ai, options, param, told):
    with pytest.raises(openai.BadRequestError, match=told) as refused:
        ai.images.generate(**{"prompt": "x"} | options)
    assert (refused.value.param, refused.value.type) == (param, "invalid_request_error")


def test_an_edit_without_a_picture(ai):
    with pytest.raises(openai.BadRequestError, match="image is missing"):
        ai.images.edit(image=("a.png", b"", "image/png"), prompt="x")


def test_pictures_that_are_not_taken_are_told_or_refused(ai, server):
    with server.http(ai.api_key) as http:
        both = [("image", png()), ("image[]", png(colour="blue"))]
        told = http.post("/v1/images/edits", files=both, data={"prompt": "x"})
        assert json.loads(told.headers["x-adjustments"]) == ["image was ignored beside image[]"]
        clear = np.zeros((64, 96), np.uint8)
        clear[:, 48:] = 255
        files = [("image", png()), ("mask[]", png(alpha=255 - clear))]
        http.post("/v1/images/edits", files=files, data={"prompt": "x"}).raise_for_status()
        source = stored(server, ai)["generation"]["source"]
        assert source["mask_sha256"] == _sha256(clear)
    with pytest.raises(openai.BadRequestError, match=r"'image\[\]' stands more than once"):
        ai.images.edit(image=[png(), png()], prompt="x")


def test_a_prompt_of_too_many_chunks_is_no_question_of_credit(server):
    poor = openai.OpenAI(
        api_key=server.new_key(credits=0), base_url=f"{server.url}/v1", max_retries=0
    )
    with poor, pytest.raises(openai.BadRequestError, match="9 chunks") as refused:
        poor.images.generate(prompt=" BREAK ".join("abcdefghi"))
    assert refused.value.param == "prompt"


def test_too_little_credit(server):
    client = openai.OpenAI(
        api_key=server.new_key(credits=0), base_url=f"{server.url}/v1", max_retries=0
    )
    with client, pytest.raises(openai.APIStatusError, match="Insufficient credits") as refused:
        client.images.generate(prompt="x")
    assert (refused.value.status_code, refused.value.code) == (406, "insufficient_quota")


def test_faults_are_free_and_ours(ai, server):
    with pytest.raises(openai.InternalServerError) as failed:
        ai.images.generate(prompt="!black")
    assert failed.value.type == "server_error"
    named = failed.value.response.headers["x-request-id"]
    assert named in str(failed.value)
    assert stored(server, ai)["request_id"] == named
    with server.http(ai.api_key) as http:
        assert http.get("/v1/get-user-credits").json()["credits"] == 10


def test_the_gate_speaks_its_language(stranger):
    for verb, path in (("POST", "/v1/images/generations"), ("GET", "/v1/models")):
        missing = stranger.request(verb, path).json()["error"]
        assert missing["message"] == "Missing Authorization or x-api-key in header"
        wrong = stranger.request(verb, path, headers={"Authorization": "Bearer SG_1"})
        assert wrong.status_code == 401
        assert wrong.json()["error"]["code"] == "invalid_api_key"
    assert stranger.post("/v1/images/nope").json()["error"]["type"] == "invalid_request_error"
    assert stranger.get("/v1/images/edits").status_code == 405


def test_a_retry_with_its_key_is_billed_once(ai, server):
    headers = {"Idempotency-Key": "k"}
    first, second = (
        ai.images.generate(prompt="x", extra_headers=headers).data[0].b64_json for _ in range(2)
    )
    assert first == second
    with server.http(ai.api_key) as http:
        assert http.get("/v1/get-user-credits").json()["credits"] == 10 - PRICE


def test_refusals_come_before_drawing(client, services):
    answer = client.post("/v1/images/generations", json={"prompt": "x", "n": 0})
    assert answer.status_code == 400
    assert services.generate.orders == []
    reader = {"x-api-key": fakes.READER}
    answer = client.post("/v1/images/generations", json={"prompt": "x"}, headers=reader)
    assert answer.status_code == 403


def test_the_page_says_how(server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    clear = np.zeros((768, 512), np.uint8)
    (tmp_path / "mask.png").write_bytes(png((512, 768), alpha=clear)[1])
    code = "\n".join(re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL))
    code = code.replace("http://127.0.0.1:8420", server.url).replace("SG_...", server.key)
    code = re.sub(r'open\(("[\w.-]+"), "rb"\)', r"pathlib.Path(\1)", code)
    said = {"pathlib": pathlib}
    exec(code, said)
    assert Image.open("knight-1.png").size == (512, 768)
    assert said["answer"].size == "512x768"
    said["client"].close()


def test_the_page_names_every_field():
    described = set(re.findall(r"`([\w.]+)`", PAGE.read_text()))
    assert set(surface.OWN) <= described


def _sha256(mask):
    return hashlib.sha256(mask.tobytes()).hexdigest()

"""``POST /api/replay`` over the whole server with the fake engine."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from limner import imaging
from limner.engine.batching.fake import fake_pixels
from tests.web.conftest import PATH
from tests.web.served import serve

PRICE = 20 * 2 * 64 / 1e6


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with serve(tmp_path_factory.mktemp("replay")) as running:
        yield running


@pytest.fixture
def http(served):
    with served.http(served.new_key()) as client:
        yield client


def draw(http, **body):
    """Draws a picture; its id and its receipt."""
    answer = http.post(PATH, json={"prompt": "x", "seed": 5, "output_format": "png", **body})
    assert answer.status_code == 200, answer.text
    [picture] = http.get("/api/requests?limit=1").json()["requests"][0]["pictures"]
    return picture["id"], imaging.read_metadata(answer.content).receipt


def replay(http, status=200, **body):
    answer = http.post("/api/replay", json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


def test_a_stored_picture_is_drawn_again_and_billed(http):
    picture_id, receipt = draw(http)
    assert http.get(f"/api/receipts/{picture_id}").json() == receipt
    told = replay(http, picture_id=picture_id)
    assert told["identical"]
    assert told["text"] == "identical, 0 of 262,144 pixels differ"
    assert (told["different_pixels"], told["largest_difference"]) == (0, 0)
    assert (told["cost"], told["changed"]) == (PRICE, [])
    assert told["picture_id"] != picture_id
    again = http.get(f"/api/pictures/{told['picture_id']}").content
    assert np.array_equal(imaging.read_image(again), fake_pixels("x", 5, 512, 512))
    credits = http.get("/v1/get-user-credits").json()["credits"]
    assert credits == pytest.approx(10 - 2 * PRICE)


def test_a_receipt_is_compared_with_the_picture_it_names(served, http, monkeypatch):
    _, receipt = draw(http, prompt="one")

    def other(prompt, seed, width, height, *tint):
        pixels = fake_pixels(prompt, seed, width, height, *tint)
        pixels[10, :7] += 3
        return pixels

    monkeypatch.setattr("limner.engine.batching.fake.fake_pixels", other)
    told = replay(http, receipt=receipt)
    assert not told["identical"]
    assert (told["different_pixels"], told["largest_difference"]) == (7, 3)
    assert told["text"] == "7 of 262,144 pixels differ, by 3 of 255 at most"
    assert told["changed"] == [
        "nothing that the receipt names; the picture shared forward passes, in which company "
        "can change the rounding of a large model (exact draws it alone)"
    ]
    receipt["machine"] = {"device": "none", "processor": "Cray-1", "threads": 2}
    told = replay(http, receipt=receipt)
    assert told["changed"] == ["processor was Cray-1, is unknown", "threads was 2, is None"]
    del receipt["machine"]  # as of an older Limner
    assert "names neither processor nor threads" in replay(http, receipt=receipt)["changed"][0]


def test_a_receipt_of_a_picture_that_is_not_stored(http):
    _, receipt = draw(http, prompt="mine")
    receipt["parameters"]["prompt"] = "changed"
    receipt["versions"]["diffusers"] = "0.1"
    told = replay(http, receipt=receipt)
    assert not told["identical"]
    assert 0 < told["different_pixels"] <= told["of"]
    receipt["rgb_sha256"] = "0" * 64
    told = replay(http, receipt=receipt)
    assert (told["identical"], told["different_pixels"], told["of"]) == (False, None, 262144)
    assert told["changed"][0].startswith("diffusers was 0.1, is ")


def test_sources_are_kept_for_the_replay_and_gone_with_the_picture(http):
    source = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(source, "PNG")
    image = base64.b64encode(source.getvalue()).decode()
    all_of_it = base64.b64encode(imaging.to_png(np.full((64, 64), 255, np.uint8))).decode()
    picture_id, receipt = draw(http, prompt="from red", image=image, mask=all_of_it, strength=0.5)
    assert replay(http, picture_id=picture_id)["identical"]
    assert http.delete("/api/pictures").json()["deleted"]
    told = replay(http, 410, receipt=receipt)
    assert "is no longer kept" in told["error"]


def test_what_a_picture_started_from_is_fetched_by_its_owner_and_makes_it_again(served, http):
    rng = np.random.default_rng(3)
    red, spots = (rng.integers(0, 256, shape, np.uint8) for shape in ((96, 64, 3), (96, 64)))
    image, mask = (base64.b64encode(imaging.to_png(pixels)).decode() for pixels in (red, spots))
    _, receipt = draw(http, image=image, mask=mask, strength=0.5)
    source = receipt["parameters"]["source"]
    fetched = [http.get(f"/api/sources/{source[name]}") for name in ("sha256", "mask_sha256")]
    assert [answer.headers["content-type"] for answer in fetched] == ["image/png"] * 2
    image, mask = (base64.b64encode(answer.content).decode() for answer in fetched)
    _, again = draw(http, image=image, mask=mask, strength=0.5)
    assert again["parameters"] == receipt["parameters"]
    with served.http(served.new_key()) as stranger:
        assert stranger.get(f"/api/sources/{source['sha256']}").status_code == 410
    http.delete("/api/pictures")
    gone = http.get(f"/api/sources/{source['sha256']}")
    assert (gone.status_code, "is no longer kept" in gone.json()["error"]) == (410, True)


def test_others_pictures_are_not_found(served, http):
    picture_id, _ = draw(http)
    with served.http(served.new_key()) as stranger:
        assert replay(stranger, 404, picture_id=picture_id)


def sent_again(http, **body):
    return http.post("/api/replay", json=body, headers={"idempotency-key": "once"})


def credits_of(http):
    return http.get("/v1/get-user-credits").json()["credits"]


def test_a_comparison_that_fails_says_what_the_drawing_took(http, monkeypatch):
    _, receipt = draw(http)
    before = credits_of(http)
    with monkeypatch.context() as broken:
        broken.setattr("limner.usecases.pictures.replay.judge", None)
        failed = sent_again(http, receipt=receipt)
    assert failed.status_code == 500
    assert float(failed.headers["x-cost"]) == pytest.approx(before - credits_of(http)) == PRICE
    again = sent_again(http, receipt=receipt)
    assert (again.status_code, again.headers["x-cost"], again.json()["cost"]) == (200, "0", 0)
    assert again.headers["x-request-id"] == failed.headers["x-request-id"]


def test_a_retry_finds_its_outcome_whatever_became_of_the_first_picture(http):
    picture_id, _ = draw(http)
    told = sent_again(http, picture_id=picture_id).json()
    assert sent_again(http, picture_id=picture_id).json() == {**told, "cost": 0}
    before = credits_of(http)
    http.delete(f"/api/pictures/{picture_id}")
    gone = sent_again(http, picture_id=picture_id)
    assert (gone.status_code, gone.headers["x-cost"]) == (410, "0")
    assert picture_id in gone.json()["error"]
    assert told["picture_id"] in gone.json()["error"]
    http.delete(f"/api/pictures/{told['picture_id']}")
    assert sent_again(http, picture_id=picture_id).status_code == 410
    assert sent_again(http, picture_id=told["picture_id"]).status_code == 422  # another body
    assert credits_of(http) == before


def test_a_damaged_picture_is_drawn_again_from_its_receipt(served, http, monkeypatch):
    picture_id, receipt = draw(http)
    [file] = served.settings.pictures_dir.rglob(f"{picture_id}.png")
    file.write_bytes(b"rust")
    assert http.get(f"/api/pictures/{picture_id}").status_code == 500
    assert http.get(f"/api/receipts/{picture_id}").json() == receipt
    assert replay(http, picture_id=picture_id)["identical"]

    def other(prompt, seed, width, height, *tint):
        return np.zeros((height, width, 3), np.uint8)

    monkeypatch.setattr("limner.engine.batching.fake.fake_pixels", other)
    assert "are not here to compare" in replay(http, picture_id=picture_id)["text"]


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({}, "receipt: send"),
        ({"picture_id": "a", "receipt": {}}, "and one of them"),
        ({"receipt": "x"}, 'receipt is "x"; send'),
        ({"picture_id": 5}, "picture_id is 5; send"),
        ({"receipt": {"receipt": 9}}, "schema 9 is unknown"),
        ({"receipt": {"receipt": 1, "parameters": {"prompt": 1}}}, "receipt: parameters."),
        ({"receipt": {"receipt": 1, "parameters": {"prompt": "x", "seed": 1}}}, "drawn by None"),
    ],
)
def test_what_is_no_receipt(http, body, sentence):
    assert sentence in replay(http, 400, **body)["error"]

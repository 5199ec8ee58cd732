"""LoRAs on every surface: refused before the hold, kept on receipts, priced and drawn again."""

import json

import pytest

from limner import imaging
from tests.usecases.drawing.test_adapters import written
from tests.web.served import CREDITS, serve

PLAIN = {"prompt": "a knight", "seed": 5}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("loras")
    sums = {
        name: written(folder / "models" / f"{name}.safetensors", number=number)
        for number, name in enumerate(("hero", "!unfit"))
    }
    with serve(folder / "data", models_dirs=(folder / "models",)) as server:
        server.sums = sums
        yield server


def credits(http):
    return http.get("/v1/get-user-credits").json()["credits"]


@pytest.mark.parametrize(
    "asked",
    [
        {"prompt": "a knight <lora:hero:0.5>"},
        {"prompt": "a knight", "loras": [{"name": "hero", "unet": 0.5}]},
    ],
    ids=["tag", "field"],
)
@pytest.mark.parametrize("path", ["/v1/sd1.5-rpg", "/sdapi/v1/txt2img"])
def test_a_lora_is_bound_on_the_receipt_and_leaves_the_prompt(served, path, asked):
    if "sdapi" in path and "loras" in asked:
        return  # AUTOMATIC1111's calls know tags alone
    with served.http() as http:
        answer = http.post(path, json={**PLAIN, **asked})
    assert answer.status_code == 200, answer.text
    if "sdapi" in path:
        info = json.loads(answer.json()["info"])
        assert "<lora:hero:0.5>" in info["infotexts"][0].splitlines()[0]
        return
    metadata = imaging.read_metadata(answer.content)
    parameters = metadata.receipt["parameters"]
    assert parameters["prompt"].strip() == "a knight"
    [lora] = parameters["loras"]
    assert (lora["sha256"], lora["unet"], lora["text_encoder"]) == (served.sums["hero"], 0.5, 0.5)


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"prompt": "a <lora:herro:1>"}, "did you mean 'hero'?"),
        ({"loras": [{"name": "!unfit"}]}, "loras: a planted file that does not fit"),
        ({"loras": [{"name": "hero", "unet": 99}]}, "it must be a number -10 to 10"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/sd1.5-rpg", "/v2/sd1.5-rpg", "/api/requests"])
def test_what_cannot_be_drawn_with_is_refused_before_the_hold(served, path, asked, sentence):
    with served.http() as http:
        before = credits(http)
        answer = http.post(path, json={**PLAIN, **asked})
        assert answer.status_code == 400, answer.text
        assert sentence in answer.text
        assert credits(http) == before <= CREDITS


def test_what_the_model_cannot_draw_with_has_no_price(served):
    asked = {**PLAIN, "loras": [{"name": "!unfit"}]}
    with served.http() as http:
        answer = http.post("/api/quote", json=asked)
        assert answer.status_code == 400, answer.text
        assert "loras: a planted file that does not fit" in answer.text


def test_a_lora_is_priced_as_quoted_and_drawn_again(served):
    with served.http() as http:
        asked = {**PLAIN, "loras": [{"sha256": served.sums["hero"], "start": 0.5}]}
        named = http.post("/api/quote", json={**PLAIN, "loras": [{"name": "hero"}]})
        assert named.status_code == 200  # from here on its SHA-256 is known
        plain = http.post("/api/quote", json=PLAIN).json()
        quoted = http.post("/api/quote", json=asked).json()
        assert quoted["micro_credits"] > plain["micro_credits"]
        assert quoted["rows"] == plain["rows"]
        before = credits(http)
        answer = http.post("/v1/sd1.5-rpg", json=asked)
        assert round((before - credits(http)) * 1_000_000) == quoted["micro_credits"]
        receipt = imaging.read_metadata(answer.content).receipt
        again = http.post("/api/replay", json={"receipt": receipt})
        assert again.status_code == 200, again.text
        assert again.json()["identical"] is True


def test_what_ships_with_the_embedded_model_is_named_as_any_other(served):
    with served.http() as http:
        answer = http.post("/v1/sd1.5-rpg", json=PLAIN | {"prompt": "a knight <lora:handheld:1>"})
        assert answer.status_code == 200, answer.text
        [lora] = imaging.read_metadata(answer.content).receipt["parameters"]["loras"]
        listed = {row["name"]: row for row in http.get("/api/models").json()}
    assert lora["sha256"] == listed["handheld"]["sha256"]
    assert listed["handheld"]["library"] == "built-in"

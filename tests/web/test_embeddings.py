"""Embeddings on every surface: kept on receipts, told by explain, refused before the hold."""

import json

import pytest

from limner import imaging
from tests.usecases.drawing.test_embeddings import written
from tests.web.served import serve

PLAIN = {"prompt": "a knight", "negative_prompt": "EasyNegative, blurry", "seed": 5}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("embeddings")
    sums = {
        name: written(folder / "models" / f"{name}{end}", count, number=float(number), width=width)
        for number, (name, end, count, width) in enumerate(
            [
                ("easynegative", ".safetensors", 8, 768),
                ("unfit", ".pt", 1, 768),
                ("second", ".pt", 2, 1024),
            ]
        )
    }
    with serve(folder / "data", models_dirs=(folder / "models",)) as server:
        server.sums, server.folder = sums, folder / "models"
        yield server


def credits(http):
    return http.get("/v1/get-user-credits").json()["credits"]


@pytest.mark.parametrize("path", ["/v1/sd1.5-rpg", "/sdapi/v1/txt2img"])
def test_a_name_is_bound_on_the_receipt_and_drawn_again(served, path):
    expected = [{"name": "easynegative", "sha256": served.sums["easynegative"], "vectors": 8}]
    with served.http() as http:
        answer = http.post(path, json=PLAIN)
        assert answer.status_code == 200, answer.text
        if "sdapi" in path:
            text = json.loads(answer.json()["info"])["infotexts"][0]
            assert f'TI hashes: "easynegative: {expected[0]["sha256"][:12]}"' in text
            return
        receipt = imaging.read_metadata(answer.content).receipt
        assert receipt["parameters"]["embeddings"] == expected
        assert receipt["parameters"]["negative_prompt"] == PLAIN["negative_prompt"]
        again = http.post("/api/replay", json={"receipt": receipt})
        assert again.json()["identical"] is True, again.text


def test_explain_shows_them(served):
    with served.http() as http:
        told = http.post("/api/explain", json=PLAIN).json()
        assert told["embeddings"] == []
        [first] = told["negative"]["chunks"]
        assert first[0] == ["easynegative</w>", 1.0]
        assert len(first) == 10
        assert [each["name"] for each in told["negative"]["embeddings"]] == ["easynegative"]


def test_an_old_receipt_says_nothing_of_them_and_means_words(served):
    with served.http() as http:
        record = imaging.read_metadata(http.post("/v1/sd1.5-rpg", json=PLAIN).content).receipt
        del record["parameters"]["embeddings"]
        assert http.post("/api/replay", json={"receipt": record}).status_code == 200


@pytest.mark.parametrize(
    ("prompt", "sentence"),
    [
        ("a knight, unfit", "prompt: a planted file that does not fit"),
        ("embedding:second", "the embedding second cannot be used: It is for Stable Diffusion 2"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/sd1.5-rpg", "/v2/sd1.5-rpg", "/api/requests"])
def test_what_cannot_be_used_is_refused_before_the_hold(served, path, prompt, sentence):
    with served.http() as http:
        before = credits(http)
        answer = http.post(path, json={**PLAIN, "prompt": prompt})
        assert answer.status_code == 400, answer.text
        assert sentence in answer.text
        assert credits(http) == before


def test_a_name_of_the_trade_that_is_not_here_is_told(served):
    with served.http() as http:
        asked = {**PLAIN, "negative_prompt": "bad-hands-5, embedding:nothing"}
        answer = http.post("/v1/sd1.5-rpg", json=asked)
        assert answer.status_code == 200, answer.text
        told = " ".join(json.loads(answer.headers["x-adjustments"]))
        assert "'bad-hands-5' was read as plain words" in told
        assert "'nothing' was read as plain words" in told


def test_the_lists_know_shape_and_vectors(served):
    with served.http() as http:
        told = http.get("/sdapi/v1/embeddings").json()
        assert set(told["loaded"]) == {"easynegative", "squire-negative", "unfit"}
        assert (told["loaded"]["easynegative"]["shape"], told["loaded"]["unfit"]["vectors"]) == (
            768,
            1,
        )
        assert told["skipped"]["second"]["shape"] == 1024
        listed = {each["name"]: each for each in http.get("/api/models").json()}
        assert listed["easynegative"]["usable"] is True
        assert listed["unfit"]["usable"] is True  # a pickle, which is read without being run
        assert listed["second"]["usable"] is False

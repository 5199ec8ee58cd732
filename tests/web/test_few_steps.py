"""A model of few steps over every surface, by the operator's word, with the fake engine."""

from __future__ import annotations

import json

import pytest

from tests.models import files
from tests.web.served import serve

TOLD = "fake is made for few steps (lcm): drawn "
PROMPT = {"prompt": "a knight"}
TEXT = "a knight\nSteps: 20, Sampler: {}, Seed: 5, Size: 512x512"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with serve(tmp_path_factory.mktemp("few"), few_steps={"FAKE": "lcm"}) as running:
        yield running


@pytest.fixture
def http(served):
    with served.http(served.new_key()) as client:
        yield client


def drawn(http):
    """The sampler, steps and guidance of the latest request, and what it was told."""
    [latest] = http.get("/api/requests?limit=1").json()["requests"]
    g = latest["generation"]
    return (g["sampler"], g["steps"], g["guidance"]), latest["adjustments"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/sd1.5-rpg", PROMPT),
        ("/v2/sd1.5-rpg", PROMPT),
        ("/api/draw", PROMPT),
        ("/v1/images/generations", PROMPT),
        ("/sdapi/v1/txt2img", PROMPT),
    ],
)
def test_who_says_nothing_gets_what_fits(http, path, body):
    assert http.post(path, json=body).status_code in (200, 202)
    (sampler, steps, guidance), told = drawn(http)
    assert (sampler, steps, guidance) == ("LCM", 6, 1)
    assert f"{TOLD}by LCM, in 6 steps, at guidance 1" in told


@pytest.mark.parametrize(
    ("body", "expected", "ways"),
    [
        ({"sampler_name": "Euler a"}, ("Euler a", 6, 1), "in 6 steps, at guidance 1"),
        ({"sampler_index": "Euler a"}, ("Euler a", 6, 1), "in 6 steps, at guidance 1"),
        ({"steps": 4}, ("LCM", 4, 1), "by LCM, at guidance 1"),
        ({"steps": 20, "cfg_scale": 7}, ("LCM", 20, 7), "by LCM"),
        ({"sampler_name": "Euler", "steps": 20, "cfg_scale": 7}, ("Euler", 20, 7), None),
    ],
)
def test_what_automatic1111s_clients_say_stays(http, body, expected, ways):
    answer = http.post("/sdapi/v1/txt2img", json=PROMPT | body)
    assert answer.status_code == 200, answer.text
    said, told = drawn(http)
    assert said == expected
    assert [each for each in told if each.startswith(TOLD)] == ([TOLD + ways] if ways else [])
    if "sampler_name" not in body:
        assert answer.json()["parameters"]["steps"] == expected[1]
        assert json.loads(answer.json()["info"])["steps"] == expected[1]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/sd1.5-rpg", {"num_inference_steps": 80}),
        ("/api/draw", {"preset": "hard", "guidance_scale": 1}),
        ("/sdapi/v1/txt2img", {"steps": 60}),
    ],
)
def test_more_steps_than_its_sampler_has_are_drawn_by_the_usual_one(http, path, body):
    """They were refused, by the limit of a sampler for which nobody had asked."""
    answer = http.post(path, json=PROMPT | body)
    assert answer.status_code == 200, answer.text
    [latest] = http.get("/api/requests?limit=1").json()["requests"]
    assert latest["generation"].get("sampler") != "LCM"
    assert latest["generation"]["guidance"] == 1


def test_a_schedule_stays_where_the_sampler_is_the_models(tmp_path):
    with (
        serve(tmp_path / "turbo", few_steps={"fake": "turbo"}) as running,
        running.http(running.new_key()) as http,
    ):
        for body, schedule in (({"scheduler": "Karras"}, "Karras"), ({}, "SGM Uniform")):
            assert http.post("/sdapi/v1/txt2img", json=PROMPT | body).status_code == 200
            [latest] = http.get("/api/requests?limit=1").json()["requests"]
            assert latest["generation"]["schedule"] == schedule


def test_the_price_of_another_programs_text_is_that_of_its_drawing(http):
    """Of what the text does not say; the price was told as if the model were of many steps."""
    body = {"text": TEXT.format("Euler a")}
    asked = http.post("/api/replay", json=body | {"dry_run": True}).json()
    told = http.post("/api/replay", json=body).json()
    assert told["cost"] == asked["credits"] == 20 * 64 / 1e6  # of one row each
    assert told["adjustments"] == asked["adjustments"] == [f"{TOLD}at guidance 1"]
    assert told["settings"] == asked["settings"]


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """A server of many steps, with LoRAs that were taught to draw in few."""
    folder = tmp_path_factory.mktemp("loras")
    files.lora(folder / "fast.safetensors", few_steps="lcm")
    files.lora(folder / "hyper8.safetensors")
    files.note(folder / "hyper8.json", {"few steps": "hyper"})
    files.lora(folder / "told.safetensors")
    files.lora(folder / "wrong.safetensors", few_steps="lcm")
    few = {"told": "turbo", "wrong": "none"}
    with serve(tmp_path_factory.mktemp("quick"), models_dirs=(folder,), few_steps=few) as running:
        yield running


@pytest.mark.parametrize(
    ("path", "body", "expected", "by"),
    [
        ("/api/draw", {"prompt": "a <lora:fast:1>"}, ("LCM", 6, 1), "LoRA fast"),
        ("/v1/sd1.5-rpg", {"prompt": "a <lora:hyper8:0.8>"}, ("TCD", 8, 1), "LoRA hyper8"),
        ("/sdapi/v1/txt2img", {"prompt": "a <lora:fast:1>"}, ("LCM", 6, 1), "LoRA fast"),
        ("/sdapi/v1/txt2img", {"prompt": "<lora:told:1>"}, ("Euler a", 6, 1), "LoRA told"),
        ("/v1/images/generations", {"prompt": "a <lora:fast:1>"}, ("LCM", 6, 1), "LoRA fast"),
        ("/api/draw", {**PROMPT, "loras": [{"name": "fast"}]}, ("LCM", 6, 1), "LoRA fast"),
        ("/api/draw", {"prompt": "<lora:fast:1>", "steps": 4}, ("LCM", 4, 1), "LoRA fast"),
        ("/api/draw", {"prompt": "<lora:fast:-1>"}, (None, 20, 7.5), None),
        ("/api/draw", {"prompt": "<lora:wrong:1>"}, (None, 20, 7.5), None),
        ("/api/draw", PROMPT, (None, 20, 7.5), None),
    ],
)
def test_a_lora_of_few_steps_brings_what_fits(quick, path, body, expected, by):
    with quick.http(quick.new_key()) as http:
        if path == "/api/draw":
            asked = http.post("/api/quote", json=body)
            assert any(str(by) in told for told in asked.json()["adjustments"]) == bool(by)
        answer = http.post(path, json=body)
        assert answer.status_code in (200, 202), answer.text
        [latest] = http.get("/api/requests?limit=1").json()["requests"]
    g, told = latest["generation"], latest["adjustments"]
    assert (g.get("sampler"), g["steps"], g["guidance"]) == expected
    assert any(each.startswith(f"{by} is made for few steps") for each in told) == bool(by)

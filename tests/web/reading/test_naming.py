"""A refusal names the field as its caller wrote it, on every surface."""

import pytest

from limner.domain.params import Generation
from limner.errors import InvalidInput
from limner.settings import Settings
from limner.web.reading import form, naming
from limner.web.segmind import siblings
from tests.web.conftest import PATH

LCM = {"prompt": "x", "sampler": "LCM"}
MANY = "60; LCM is drawn in at most 50"


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        (PATH, {**LCM, "num_inference_steps": 60}, f"num_inference_steps is {MANY}"),
        (PATH, {**LCM, "steps": 60}, f"steps is {MANY}"),
        ("/api/quote", {**LCM, "steps": 60}, f"steps is {MANY}"),
        ("/api/explain", {**LCM, "num_inference_steps": 60}, f"num_inference_steps is {MANY}"),
        ("/v2/sd1.5-rpg", {**LCM, "steps": 60}, f"steps is {MANY}"),
        ("/sdapi/v1/txt2img", {"sampler_name": "LCM", "steps": 60}, f"steps is {MANY}"),
    ],
)  # fmt: skip
def test_what_is_known_once_fields_meet(client, path, body, said):
    answer = client.post(path, json=body)
    assert answer.status_code == 400
    told = answer.json()
    assert (told.get("detail") or told["error"]) == said


def test_openais_param(client):
    body = {**LCM, "num_inference_steps": 60}
    told = client.post("/v1/images/generations", json=body).json()["error"]
    assert (told["param"], told["message"]) == (
        "num_inference_steps",
        f"num_inference_steps is {MANY}",
    )


def test_a_note_names_it_so_too():
    body = {"prompt": "x", "image": "AAAA", "width": 626, "img_height": 626}
    asked = form.ask(body, Settings(), form=siblings.FORMS["sd1.5-img2img"])
    assert asked.notes == (
        "width 626 was floored to 624, a multiple of 8",
        "img_height 626 was floored to 624, a multiple of 8",
    )


@pytest.mark.parametrize(
    ("path", "said"),
    [
        (PATH, "guidance_scale: planted"),
        ("/v2/sd1.5-rpg", "guidance_scale: planted"),
        ("/sdapi/v1/txt2img", "cfg_scale: planted"),
    ],
)
def test_what_only_accepting_finds(client, services, monkeypatch, path, said):
    async def refuse(*_):
        raise InvalidInput("guidance", "guidance: planted")

    monkeypatch.setattr(services.generate, "run", refuse)
    monkeypatch.setattr(services.queue, "submit_all", refuse)
    told = client.post(path, json={"prompt": "x"}).json()
    assert (told.get("detail") or told["error"]) == said


@pytest.mark.parametrize(
    "name",
    {name.partition(".")[0] for name in (*naming.WIRE, *naming.AUTOMATIC1111)} - {"strength"},
)
def test_only_fields_of_a_generation_have_other_names(name):
    assert name in Generation.model_fields


def test_another_sentence_is_left_alone():
    with (
        pytest.raises(InvalidInput, match=r"^A picture of 50 steps") as refused,
        naming.named(naming.WIRE),
    ):
        raise InvalidInput("steps", "A picture of 50 steps is too large")
    assert refused.value.field == "num_inference_steps"

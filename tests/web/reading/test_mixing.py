"""Style mixes, templates and explain over HTTP, and what they cost and leave in the receipt."""

import io
import json

import pytest
from PIL import Image

from limner import imaging
from limner.domain.schedulers import SCHEDULER_NAMES
from limner.web.native import form
from tests.web.conftest import PATH

MIX = {"mood": "candlelit", "colors": {"name": "amber", "weight": 1.1}, "artists": ["random"]}
LINES = {"sequence": ["a knight", "a mage"], "subsequence": ["young", "old"], "mood": "gloomy"}


def notes(answer):
    return json.loads(answer.headers.get("x-adjustments", "[]"))


def last(services):
    return services.generate.orders[-1].generation


def test_a_mix_is_drawn_and_remembered(draw, services):
    body = {"prompt": "a wizard", "negative_prompt": "red", "seed": 4, "style_mix": MIX}
    answer = draw({**body, "output_format": "png"})
    assert answer.status_code == 200, answer.text
    g = last(services)
    assert g.prompt.startswith("(candlelight, warm glow:1.3) a wizard, (by ")
    assert g.prompt.endswith(", (glowing amber tones:1.1)")
    assert (g.origin.prompt, g.origin.negative_prompt, g.origin.template) == (
        "a wizard", "red", False,
    )  # fmt: skip
    parameters = imaging.read_metadata(answer.content).receipt["parameters"]
    assert parameters["prompt"] == g.prompt
    picks = parameters["origin"]["picks"]
    assert picks["colors"] == [{"name": "amber", "weight": 1.1}]
    assert picks["artists"][0]["name"] in g.prompt
    again = draw({**body, "output_format": "png"})
    assert last(services) == g
    assert again.content == answer.content


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/v1/sd1.5-rpg", {}),
        ("/v1/images/generations", {"size": "512x512", "response_format": "b64_json"}),
        ("/sdapi/v1/txt2img", {"steps": 20}),
    ],
)
def test_every_surface_mixes_styles(client, services, path, fields):
    mix = {"mood": "candlelit", "sequence": ["with a {red} hat"]}
    body = {"prompt": "a wizard", "seed": 4, "style_mix": mix, "template": True, **fields}
    variation = {"subseed": 9, "subseed_strength": 0.25}
    assert client.post(path, json={**body, **variation}).status_code == 200
    g = last(services)
    assert g.prompt == "(candlelight, warm glow:1.3) a wizard, with a red hat"
    assert g.origin.prompt == "a wizard"
    assert (g.seed, g.subseed, g.subseed_strength) == (4, 9, 0.25)


def test_a_mix_as_text_of_a_form(client, services):
    fields = {"prompt": (None, "a wizard"), "style_mix": (None, json.dumps({"mood": "candlelit"}))}
    assert client.post(PATH, files=fields).status_code == 200
    assert last(services).prompt == "(candlelight, warm glow:1.3) a wizard"


@pytest.mark.parametrize(
    ("mix", "sentence"),
    [
        ({"mood": "candelit"}, "style_mix.mood is 'candelit'"),
        ({"mood": {"name": "candlelit", "weight": 3}}, "style_mix.mood.weight: "),
        ({"mod": "candlelit"}, "style_mix.mod: a mix and its picks may hold concept, "),
        ({"artists": ["random"] * 4}, "style_mix.artists: it has 4 entries; at most 3"),
        ({"artists": "Rembrandt"}, 'style_mix.artists: it is "Rembrandt"; it must be a list'),
        ([], "style_mix is []; it must be an object"),
        ("{", 'style_mix is "{"; it must be JSON'),
        ({"sequence": ["a"] * 65}, "style_mix.sequence: "),
        ({"sequence": ["a"] * 40, "subsequence": ["b"] * 2}, "style_mix.sequence"),
    ],
)
def test_mixes_that_are_refused(draw, services, mix, sentence):
    answer = draw({"prompt": "x", "style_mix": mix, "base64": True})
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(sentence)
    assert services.generate.orders == []


def test_a_sequence_is_one_order_of_several_lines(client, draw, services):
    body = {"prompt": "portrait", "seed": 9, "base64": True, "style_mix": LINES}
    quote = client.post("/api/quote", json=body).json()
    answer = draw(body, headers={"Idempotency-Key": "k"})
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["image"]) == 4
    [order] = services.generate.orders
    assert [g.seed for g in order.lines] == [9] * 4
    assert [g.origin.prompt for g in order.lines] == ["portrait"] * 4
    assert "a knight, young" in order.lines[0].prompt
    assert "a mage, old" in order.lines[3].prompt
    assert answer.headers["x-cost"] == str(quote["credits"])
    assert quote["samples"] == 4
    assert order.idempotency_key == "k"
    again = draw(body, headers={"Idempotency-Key": "k"})
    assert (again.headers["x-replayed"], again.headers["x-cost"]) == ("true", "0")
    assert again.json() == answer.json()
    assert len(services.generate.orders) == 1


def test_an_answer_with_room_for_one_draws_the_first_line(draw, services):
    answer = draw({"prompt": "portrait", "style_mix": LINES})
    assert len(services.generate.orders) == 1
    assert "a knight, young" in last(services).prompt
    assert notes(answer)[0].startswith("one of 4 lines of style_mix was drawn")


def test_a_retry_leaves_nothing_to_chance_anew(draw, services, monkeypatch):
    body = {"prompt": "a {red|blue} knight", "template": True, "samples": 4, "base64": True}
    first = draw(body, headers={"Idempotency-Key": "k"})
    monkeypatch.setattr("limner.web.reading.form.to_call", None)  # not even called
    again = draw(body, headers={"Idempotency-Key": "k"})
    assert again.json() == first.json()
    other = draw({**body, "samples": 3}, headers={"Idempotency-Key": "k"})
    assert other.status_code == 422


def test_templates_draw_from_each_pictures_seed(draw, services):
    body = {"prompt": "a {red|blue|green|black} {dwarf|elf|orc}", "template": True, "seed": 3}
    answer = draw({**body, "samples": 4, "base64": True})
    [order] = services.generate.orders
    drawn = order.lines
    assert len(answer.json()["image"]) == 4 == order.samples
    assert len({g.prompt for g in drawn}) > 1
    assert not any("{" in g.prompt for g in drawn)
    assert {g.origin.prompt for g in drawn} == {body["prompt"]}
    services.generate.orders.clear()
    draw({**body, "seed": 3})
    assert last(services).prompt == drawn[0].prompt


def test_braces_are_text_without_template(draw, services):
    draw({"prompt": "a {red|blue} hat"})
    assert last(services).prompt == "a {red|blue} hat"
    assert last(services).origin is None


def test_a_preview_is_free(client, services):
    body = {"prompt": "portrait", "seed": 9, "style_mix": {**LINES, "colors": "random"}}
    answer = client.post("/api/styles/preview", json=body).json()
    assert answer["lines"][0]["prompt"] == answer["prompt"]
    assert len(answer["lines"]) == 4
    assert answer["picks"]["mood"] == [{"name": "gloomy", "weight": 1.3}]
    assert answer["picks"]["colors"][0]["name"]
    assert services.generate.orders == []


def test_the_lists(client):
    schedulers = client.get("/api/schedulers").json()
    assert [entry["name"] for entry in schedulers] == list(SCHEDULER_NAMES)
    assert {entry["order"] for entry in schedulers} == {1, 2}
    styles = client.get("/api/styles").json()
    sizes = {kind: len(entries) for kind, entries in styles.items()}
    assert sizes == {
        "concepts": 12, "image_types": 6, "directions": 12, "moods": 20, "colors": 24,
        "artists": 20, "movements": 12, "presets": 12,
    }  # fmt: skip
    assert set(styles["moods"][0]) == {"name", "text", "suffix", "negative"}


def test_explain(client, services):
    body = {"prompt": "a (knight:1.2) AND [red:blue:0.5] :0.7", "steps": 10, "negative_prompt": "x"}
    told = client.post("/api/explain", json=body).json()
    assert [entry["until_step"] for entry in told["schedule"]] == [5, 10]
    assert [branch["weight"] for branch in told["schedule"][0]["branches"]] == [1.0, 0.7]
    assert ["knight</w>", 1.2] in told["chunks"][0]
    assert told["negative"]["chunks"] == [[["x</w>", 1.0]]]
    assert services.generate.orders == []


def test_an_empty_prompt_can_be_explained(client):
    told = client.post("/api/explain", json={"prompt": "", "steps": 10}).json()
    assert told["schedule"][0]["branches"][0]["spans"] == [["", 1.0]]
    assert client.post("/api/quote", json={"prompt": "", "steps": 10}).status_code == 400


def test_explain_shows_what_the_styles_made(client):
    body = {"prompt": "a wizard", "style_mix": {"mood": "candlelit"}, "foo": 1}
    told = client.post("/api/explain", json=body).json()
    assert told["prompt"] == "(candlelight, warm glow:1.3) a wizard"
    assert told["adjustments"] == ["foo was ignored"]


@pytest.mark.parametrize("preset", form.PRESETS)
def test_presets_fill_in_what_is_absent(client, preset):
    steps = form.PRESETS[preset]["num_inference_steps"]
    told = client.post("/api/explain", json={"prompt": "x", "preset": preset}).json()
    assert told["steps"] == steps
    told = client.post("/api/explain", json={"prompt": "x", "preset": preset, "steps": 7}).json()
    assert told["steps"] == 7


def test_the_published_route_knows_no_presets(draw, services):
    answer = draw({"prompt": "x", "preset": "hard"})
    assert notes(answer) == ["preset was ignored"]
    assert last(services).steps == 20


def test_several_pictures_in_a_grid(draw):
    answer = draw({"prompt": "x", "output": "grid", "output_format": "png", "style_mix": LINES})
    assert Image.open(io.BytesIO(answer.content)).size == (1024, 1024)


def test_a_style_that_cannot_be_read_stops_the_start(tmp_path):
    from limner.errors import SettingsError
    from limner.settings import Settings
    from limner.web.app import create_app
    from tests.web import fakes

    (tmp_path / "styles").mkdir()
    (tmp_path / "styles" / "moods.toml").write_text("broken")
    with pytest.raises(SettingsError, match=r"moods\.toml"):
        create_app(Settings(data_dir=tmp_path), fakes.services())


@pytest.mark.parametrize(
    ("mix", "words"),
    [
        ({"sequence": [1] * 501}, "style_mix holds more than 500 values"),
        ({f"a{i}": 1 for i in range(251)}, "style_mix holds more than 500 values"),
        ({"mood": {f"a{i}": 1 for i in range(251)}}, "style_mix holds more than 500 values"),
        ('{"sequence": ["' + "a, " * 70_000 + '"]}', "style_mix is a text of 210,"),
        ({"sequence": ["a"] * 65}, "style_mix.sequence: it has"),
    ],
)
def test_a_mix_is_bounded_before_it_is_validated(client, mix, words):
    answer = client.post("/api/quote", json={"prompt": "x", "style_mix": mix})
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(words)


def test_the_largest_mix_fits(client):
    kinds = ("concept", "mood", "colors", "preset")
    picks = {kind: {"name": "random", "weight": 1} for kind in kinds}
    mix = {**picks, "artists": ["random"] * 3, "sequence": ["a"] * 64, "subsequence": ["b"]}
    answer = client.post("/api/quote", json={"prompt": "x", "style_mix": mix, "output": "grid"})
    assert answer.json()["samples"] == 64

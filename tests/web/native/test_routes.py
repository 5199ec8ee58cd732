"""Quote, licence, model, health, and the pages made of the OpenAPI document."""

import re

from limner.web import openapi
from limner.web.reading import form
from tests.web import fakes
from tests.web.conftest import PATH


def test_credits(client, services):
    services.accounts.keys[fakes.KEY].micro = 1
    assert client.get("/v1/get-user-credits").text == '{"credits": 0.000001, "free-credits": 0}'


def test_a_quote_is_the_price(client, draw):
    body = {"prompt": "x", "samples": 3, "base64": True, "scheduler": "heun", "img_width": 768}
    quote = client.post("/api/quote", json=body).json()
    assert quote["rows"] == 78
    assert quote["tiles"] == 12 * 8
    assert quote["micro_credits"] == 3 * quote["each_micro_credits"] == 3 * 78 * 96
    assert draw(body).headers["x-cost"] == str(quote["credits"])


def test_a_drawing_within_the_engines_own_limits(client, draw, services):
    beyond = {"prompt": "x", "num_inference_steps": 150, "img_width": 64, "output_format": "png"}
    assert draw(beyond).status_code == 400
    answer = client.post("/api/draw", json={**beyond, "seed": 2**64 - 1})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    assert answer.headers["x-seed-value"] == str(2**64 - 1)
    order = services.generate.orders[-1]
    assert (order.surface, order.lines[0].steps, order.lines[0].width) == ("native", 150, 64)
    refused = client.post("/api/draw", json={**beyond, "num_inference_steps": 151})
    assert refused.json()["error"].startswith("num_inference_steps is 151; it must be")


def test_a_quote_says_what_would_be_changed(client, services):
    quote = client.post("/api/quote", json={"prompt": "x", "samples": 4, "scheduler": "?"}).json()
    assert quote["samples"] == 1
    assert len(quote["adjustments"]) == 2
    assert services.generate.orders == []


def test_health(stranger, services):
    assert stranger.get("/health/live").json() == {"status": "live"}
    assert stranger.get("/health/ready").json()["status"] == "ready"
    services.generate.troubled = "Pictures cannot be stored now: No space left on device"
    answer = stranger.get("/health/ready")
    assert (answer.status_code, answer.json()["status"]) == (503, "failing")
    assert answer.json()["message"] == services.generate.troubled
    services.engine.current = fakes.EngineStatus(False, "reading the UNet, 40 %", None)
    answer = stranger.get("/health/ready")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert answer.json()["message"] == "reading the UNet, 40 %"
    services.engine.current = fakes.EngineStatus(False, "no replica answers", failing=True)
    assert stranger.get("/health/ready").json()["status"] == "failing"
    assert stranger.get("/health/live").status_code == 200
    assert stranger.get("/license").status_code == 503


def test_the_licence_is_served_whole(stranger, services):
    services.engine.current = fakes.EngineStatus(True, "", fakes.RAIL_MODEL)
    answer = stranger.get("/license")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    for part in ("RPG V4 by Anashel", "CreativeML Open RAIL-M", "Attachment A",
                 "To defame, disparage or otherwise harass others", "END OF TERMS",
                 "float16 read as float32", "POST /api/license/accept"):  # fmt: skip
        assert part in answer.text


def test_accepting_the_licence(client, services):
    services.engine.current = fakes.EngineStatus(True, "", fakes.RAIL_MODEL)
    licence = "creativeml-openrail-m"
    answer = client.post("/api/license/accept")
    assert answer.json() == {"accepted": True, "licence": licence, "version": "2022-08-22"}
    assert services.accounts.accepted == {("key_1", licence)}


def test_the_model_without_its_path(client, services):
    services.engine.current = fakes.EngineStatus(True, "", fakes.RAIL_MODEL)
    facts = client.get("/api/model").json()
    assert facts["licence"] == "creativeml-openrail-m"
    assert facts["attribution"] == ["RPG V4 by Anashel"]
    assert "secret" not in str(facts)


def test_the_document_lists_every_route(client, app):
    paths = client.get("/openapi.json").json()["paths"]
    pages = {"/", "/static/{path}", "/docs", "/openapi.json"}
    routes = {route.path_format for route in app.routes} - pages
    assert set(paths) == routes
    assert not any(":" in path for path in paths), "how a part is converted is no tool's business"


def test_the_document_describes_every_field():
    schema = openapi.generation_schema()
    assert set(schema["properties"]) == set(form.READERS)
    described = schema["properties"]["seed"]
    assert (described["minimum"], described["maximum"]) == (-1, 999_999_999_999_999)


def test_defaults_of_the_document_are_those_that_act(client, services):
    defaults = {
        name: field["default"]
        for name, field in openapi.generation_schema()["properties"].items()
        if "default" in field
    }
    seed = {"seed": 1}
    for body in ({"prompt": "x"}, {"prompt": "x"} | defaults):
        assert client.post(PATH, json=body | seed).status_code == 200
    first, second = services.generate.orders
    assert first.generation == second.generation


def test_the_docs_need_no_network(stranger):
    page = stranger.get("/docs").text
    assert not re.search(r"(src|href)=|https?://(?!limner\.test)|@import|<script", page)
    for name in (PATH, *form.READERS, "x-remaining-credits"):
        assert name in page
    assert "default-src 'none'" in stranger.get("/docs").headers["content-security-policy"]
